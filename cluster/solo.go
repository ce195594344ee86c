package cluster

var _ Membership = (*Solo)(nil)

// Solo is the membership of a node that is alone: it owns every shard.
type Solo struct{ board }

// NewSolo returns a membership whose only member is up, with both roles.
func NewSolo(name string) *Solo {
	s := &Solo{}
	s.show(NewView(Member{Name: name, Roles: Core | Edge, State: Up, Incarnation: 1}))
	return s
}
