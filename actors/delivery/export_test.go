package delivery

// Held is how many keys the limiter remembers.
func Held(l *KeyedLimiter) int { return len(l.recent) + len(l.older) }

// Guests is how many integrations the gate remembers.
func Guests(g *Gate) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.guests)
}
