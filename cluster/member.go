package cluster

import (
	"fmt"
	"strings"
)

// State is where a node is in its life.
type State uint8

// The states, in their order.
const (
	Joining  State = iota // not ready for work yet
	Up                    // takes its share
	Draining              // hands its shards over and leaves
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Joining:
		return "joining"
	case Up:
		return "up"
	case Draining:
		return "draining"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Roles is a set of what a node does.
type Roles uint8

// The roles.
const (
	Core Roles = 1 << iota // holds the log, owns shards
	Edge                   // serves clients
)

// Has reports whether all of other are in the set.
func (r Roles) Has(other Roles) bool { return r&other == other }

// String returns the roles' names separated by commas.
func (r Roles) String() string {
	var names []string
	if r.Has(Core) {
		names = append(names, "core")
	}
	if r.Has(Edge) {
		names = append(names, "edge")
	}
	return strings.Join(names, ",")
}

// Endpoints are where a node is reached for what, each as host:port; "" is nowhere.
type Endpoints struct {
	Log        string // by other nodes that hold the log
	LogClients string // by nodes that hold none
	Peers      string // by requests between nodes
	HTTP       string // by clients
}

// Member is a node as the others see it.
type Member struct {
	Name        string // unique, and the same after a restart: shards are placed by it
	Addr        string // where gossip reaches it; "" for a node alone
	Roles       Roles
	State       State
	Incarnation uint64 // higher after each restart of the node
	Endpoints   Endpoints
	Version     string // release of the node
	Empty       bool   // has nothing of the log on its disk
	Failed      bool   // its part of the log does not work: it takes no shards
}
