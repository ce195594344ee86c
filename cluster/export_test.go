package cluster

import (
	"io"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

// ReadMeta reads a node's metadata.
func ReadMeta(data []byte, name, addr string) (Member, error) {
	m, err := decodeMeta(data)
	return m.member(name, addr), err
}

// Yields reports whether the node of the first metadata gives its name to the other.
func Yields(mine, theirs []byte) (bool, error) {
	a, err := decodeMeta(mine)
	if err != nil {
		return false, err
	}
	b, err := decodeMeta(theirs)
	return a.yieldsTo(b), err
}

// Board holds a view.
type Board struct{ board }

// Show is show.
func (b *Board) Show(v *View) { b.show(v) }

// Told returns the members after memberlist has told of nodes, one after the other.
func Told(nodes ...*memberlist.Node) []Member {
	r := newRoster("self", zerolog.Nop())
	for _, n := range nodes {
		r.NotifyUpdate(n)
	}
	return r.members()
}

// GossipLog returns what memberlist writes its log to.
func GossipLog(log zerolog.Logger) io.Writer { return newGossipLog(log) }
