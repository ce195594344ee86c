package cluster

import (
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

var (
	_ memberlist.Delegate         = (*roster)(nil)
	_ memberlist.EventDelegate    = (*roster)(nil)
	_ memberlist.ConflictDelegate = (*roster)(nil)
	_ memberlist.MergeDelegate    = (*roster)(nil)
)

// roster is what memberlist has told, and what it asks for. It calls under its own lock: these methods
// note what they are told, wake who works on it, and return.
type roster struct {
	name string
	log  zerolog.Logger
	woke chan struct{} // of one: something has changed

	mu    sync.Mutex
	addr  string // of this node
	self  []byte // this node's metadata, encoded
	nodes map[string]Member
	known bool  // somebody said that this name is at this address
	rival rival // where somebody said that it is instead
}

// rival is another node of this node's name.
type rival struct {
	addr string
	meta meta
}

func newRoster(name string, log zerolog.Logger) *roster {
	return &roster{name: name, log: log, woke: make(chan struct{}, 1), nodes: map[string]Member{}}
}

// members returns the members.
func (r *roster) members() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.nodes))
}

// listens notes where this node is.
func (r *roster) listens(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addr = addr
}

// tell makes data the metadata that others get.
func (r *roster) tell(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self = data
}

// heard returns what was said of this node's name since the last call.
func (r *roster) heard() (known bool, by rival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, by = r.known, r.rival
	r.known, r.rival = false, rival{}
	return known, by
}

func (r *roster) wake() {
	select {
	case r.woke <- struct{}{}:
	default:
	}
}

// NotifyJoin notes a node that has come, or come back.
func (r *roster) NotifyJoin(n *memberlist.Node) { r.note(n) }

// NotifyUpdate notes a node that says something else of itself.
func (r *roster) NotifyUpdate(n *memberlist.Node) { r.note(n) }

func (r *roster) note(n *memberlist.Node) {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		r.log.Warn().Err(err).Str("member", n.Name).Str("addr", n.Address()).Msg("a node says of itself what this release cannot read; it is no member here")
		r.NotifyLeave(n)
		return
	}
	r.mu.Lock()
	r.nodes[n.Name] = m.member(n.Name, n.Address())
	r.mu.Unlock()
	r.wake()
}

// NotifyLeave notes a node that has left, or is dead.
func (r *roster) NotifyLeave(n *memberlist.Node) {
	r.mu.Lock()
	delete(r.nodes, n.Name)
	r.mu.Unlock()
	r.wake()
}

// NotifyConflict notes another node of this node's name.
func (r *roster) NotifyConflict(_, other *memberlist.Node) { r.claim(other, false) }

// NotifyMerge notes what a node that this one joins, or that joins it, knows of this node's name. A list
// with no other name is this node's own, or another's that nobody knows yet.
func (r *roster) NotifyMerge(known []*memberlist.Node) error {
	alive := slices.DeleteFunc(slices.Clone(known), func(n *memberlist.Node) bool {
		return n.State != memberlist.StateAlive && n.State != memberlist.StateSuspect
	})
	others := slices.ContainsFunc(alive, func(n *memberlist.Node) bool { return n.Name != r.name })
	for _, n := range alive {
		r.claim(n, others)
	}
	return nil
}

// claim notes who has this node's name, and whether it is others who say so.
func (r *roster) claim(n *memberlist.Node, others bool) {
	if n.Name != r.name {
		return
	}
	m, err := decodeMeta(n.Meta)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.Address() == r.addr {
		r.known = r.known || others
	} else if err == nil {
		r.rival = rival{n.Address(), m}
	}
}

// NodeMeta returns this node's metadata.
func (r *roster) NodeMeta(int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.self
}

// NotifyMsg, GetBroadcasts, LocalState and MergeRemoteState are for messages of a program's own; this one has none.
func (r *roster) NotifyMsg([]byte) {}

// GetBroadcasts returns none.
func (r *roster) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState returns none.
func (r *roster) LocalState(bool) []byte { return nil }

// MergeRemoteState takes none.
func (r *roster) MergeRemoteState([]byte, bool) {}
