package api

import "context"

// Member is a node as the API lists it.
type Member = member

// Members is members.
func (l Local) Members(ctx context.Context) ([]Member, error) {
	p, err := of(call(ctx, l, "members", l.api.listMembers, &struct{}{}))
	return p.Items, err
}

// RemoveMember is remove-member.
func (l Local) RemoveMember(ctx context.Context, name string) error {
	_, err := call(ctx, l, "remove-member", l.api.removeMember, &memberInput{name})
	return err
}

// Drain is drain, of this node.
func (l Local) Drain(ctx context.Context) error {
	_, err := call(ctx, l, "drain", l.api.drain, &struct{}{})
	return err
}
