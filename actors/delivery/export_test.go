package delivery

import "net"

// MailAddr is where a mail is handed over.
var MailAddr = mailAddr

// Held is how many keys the limiter remembers.
func Held(l *KeyedLimiter) int { return len(l.recent) + len(l.older) }

// Guests is how many integrations the gate remembers.
func Guests(g *Gate) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.guests)
}

// Kept reports whether the lanes keep a map.
func Kept[T any](l *Lanes[T]) bool { return l.lanes != nil }

// ResolveBy has the sender look names up by a resolver.
func (s *Sender) ResolveBy(r *net.Resolver) { s.dialer.Resolver = r }
