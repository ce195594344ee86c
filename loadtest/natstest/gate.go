package natstest

import "sync"

// gate is open, or makes all wait who want to pass. The zero gate is open.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed when it opens; nil: it is open
}

func (g *gate) shut(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case on && g.open == nil:
		g.open = make(chan struct{})
	case !on && g.open != nil:
		close(g.open)
		g.open = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open != nil {
		<-open
	}
}
