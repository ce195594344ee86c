package ws

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/wedsync/wedsync/edge/problem"
)

// tryAgain is when a client that was sent away may come back.
const tryAgain = 2 * time.Second

// places counts connections, and those of each address and user. It is guarded by Server.mu.
type places struct {
	taken  int
	byAddr map[netip.Addr]int
	byUser map[string]int
}

// reserve takes a place for a connection, unless the server is full or stopping, or the address has all that one
// may have. It adds to Server.readers, too.
func (s *Server) reserve(from netip.Addr) *problem.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch most := s.cfg.MaxPerAddress; {
	case s.stopping:
		return problem.New(problem.ShuttingDown, "connect to another node, or again in a moment").After(tryAgain)
	case s.places.taken >= s.cfg.MaxConnections:
		return problem.New(problem.TooManyClients,
			"this node takes %d clients and has them; connect again in a moment", s.cfg.MaxConnections).After(tryAgain)
	case most > 0 && s.places.byAddr[from] >= most:
		return problem.New(problem.TooManyOfAddress, "%s has %d connections, which is all it may have", from, most).After(tryAgain)
	}
	s.places.taken++
	if s.cfg.MaxPerAddress > 0 {
		s.places.byAddr[from]++
	}
	s.readers.Add(1)
	return nil
}

// vacate gives a reserved place back.
func (s *Server) vacate(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveBack(from)
}

// giveBack is called with mu held.
func (s *Server) giveBack(from netip.Addr) {
	s.readers.Done()
	s.places.taken--
	if s.cfg.MaxPerAddress > 0 {
		drop(s.places.byAddr, from)
	}
}

// seat takes one of the places that the user may have, and reports whether there was one.
func (s *Server) seat(who *identity) bool {
	if s.cfg.MaxPerUser == 0 || who.all {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places.byUser[who.user] >= s.cfg.MaxPerUser {
		return false
	}
	s.places.byUser[who.user]++
	return true
}

func drop[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// addressOf returns where a request comes from: the last address before the proxies that are trusted.
func (s *Server) addressOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	from, _ := netip.ParseAddr(host)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(from); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		from = hop
	}
	return from.Unmap()
}

func (s *Server) trusted(from netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(from.Unmap()) {
			return true
		}
	}
	return false
}
