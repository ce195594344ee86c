package cluster

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// meta is what a node tells the others of itself, with each of its messages that it is alive. Nodes of
// different releases read each other's: fields are only ever added, and those that a node does not know
// it skips.
type meta struct {
	Roles      Roles  `json:"r"`
	State      State  `json:"s"`
	Started    uint64 `json:"t"`            // its incarnation
	In         bool   `json:"in,omitempty"` // others know it: the name is its own
	Empty      bool   `json:"e,omitempty"`
	Failed     bool   `json:"f,omitempty"`
	Log        string `json:"l,omitempty"`
	LogClients string `json:"c,omitempty"`
	Peers      string `json:"p,omitempty"`
	HTTP       string `json:"h,omitempty"`
	Version    string `json:"v,omitempty"`
}

func (m meta) encode() ([]byte, error) {
	data, err := json.Marshal(m)
	if err == nil && len(data) > memberlist.MetaMaxSize {
		err = fmt.Errorf("endpoints and version are too long for gossip: %d bytes with the rest, at most %d", len(data), memberlist.MetaMaxSize)
	}
	return data, err
}

func decodeMeta(data []byte) (m meta, err error) {
	if err := json.Unmarshal(data, &m); err != nil {
		return meta{}, fmt.Errorf("metadata %.40q: %w", data, err)
	}
	return m, nil
}

func (m meta) endpoints() Endpoints { return Endpoints{m.Log, m.LogClients, m.Peers, m.HTTP} }

func (m *meta) setEndpoints(e Endpoints) {
	m.Log, m.LogClients, m.Peers, m.HTTP = e.Log, e.LogClients, e.Peers, e.HTTP
}

func (m meta) member(name, addr string) Member {
	return Member{
		Name: name, Addr: addr, Roles: m.Roles, State: m.State, Incarnation: m.Started,
		Endpoints: m.endpoints(), Version: m.Version, Empty: m.Empty, Failed: m.Failed,
	}
}

// yieldsTo reports which of two nodes of one name gives in. One whose name is its own stays, so that a
// second node disturbs nobody. Where both were cut off from each other and others know both, the one
// that was started later stays: it was started in the other's place. Where nobody knows either, the first stays.
func (m meta) yieldsTo(other meta) bool {
	if m.In != other.In {
		return other.In
	}
	return m.In == (m.Started < other.Started)
}
