package cluster

import "sync/atomic"

var _ Membership = (*Solo)(nil)

// Solo is the membership of a node that is alone: it owns every shard until it drains.
type Solo struct {
	board
	self     Member // as it was at first
	draining atomic.Bool
}

// NewSolo returns a membership whose only member is up, with both roles.
func NewSolo(name string) *Solo {
	s := &Solo{self: Member{Name: name, Roles: Core | Edge, State: Up, Incarnation: 1}}
	s.show(NewView(s.self))
	return s
}

// Drain changes the node's state to draining, so that nobody owns any shard. It can be called more
// than once.
func (s *Solo) Drain() {
	if !s.draining.CompareAndSwap(false, true) {
		return
	}
	m := s.self
	m.State = Draining
	s.show(NewView(m))
}
