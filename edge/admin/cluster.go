package admin

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const clusterPath = "/admin/cluster"

func (a *Admin) routeCluster(s *site) {
	s.page(page{path: clusterPath, name: "Cluster", icon: "cluster", scope: access.StatusRead, show: a.cluster})
	s.act(clusterPath+"/drain", func(v *visit) (templ.Component, error) {
		if node := v.PostFormValue("node"); node != a.cfg.Node { // a balancer gave the page of another one
			return nil, problem.New(problem.FieldInvalid, "this reached %s, and %.100q was to be drained; load the page again, at that node's own address", a.cfg.Node, node)
		}
		if err := v.Drain(v.Context()); err != nil {
			return nil, err
		}
		return done("The shards of " + a.cfg.Node + " are handed over. It serves clients until it is stopped."), nil
	})
	s.act(clusterPath+"/nodes/{name}/remove", func(v *visit) (templ.Component, error) {
		name := v.PathValue("name")
		if v.FormValue("name") != name {
			return nil, problem.New(problem.FieldInvalid, "to remove it, enter the node's name: %.100s", name)
		}
		if err := v.RemoveMember(v.Context(), name); err != nil {
			return nil, err
		}
		return done("The log counts on " + name + " no more. What it held is copied to another node."), nil
	})
}

// What the API says of a node that needs somebody.
const (
	nodeUp       = "up"
	nodeMissing  = "missing"
	nodeFailed   = "failed"
	nodeDraining = "draining"
	coreRole     = "core"
	logLeads     = "leader"
)

// clusterView is the nodes and who has which shards.
type clusterView struct {
	nodes  []api.Member
	shards int // of all nodes
	up     int
	leader string
	lag    uint64 // of the node that is furthest behind
	others bool   // another core node is up, so this one can hand over
	self   api.Member
}

func (a *Admin) cluster(v *visit) (screen, error) {
	nodes, err := v.Members(v.Context())
	if err != nil {
		return screen{}, err
	}
	c := clusterView{nodes: nodes}
	for _, n := range nodes {
		c.shards += len(n.Shards)
		c.lag = max(c.lag, n.Lag)
		if n.State == nodeUp {
			c.up++
		}
		if n.Log == logLeads {
			c.leader = n.Name
		}
		if n.Name == a.cfg.Node {
			c.self = n
		} else if n.State == nodeUp && slices.Contains(n.Roles, coreRole) {
			c.others = true
		}
	}
	return screen{
		title: "Cluster", body: clusterBody(v, &c), live: []part{{"cluster", clusterPart(v, &c)}, {"cluster-dialogs", clusterDialogs(v, &c)}},
	}, nil
}

// drains reports whether this node can be told to hand over what it has.
func (c *clusterView) drains() bool {
	return c.others && c.self.State == nodeUp && len(c.self.Shards) > 0
}

// removable reports whether the log counts on a node that is not there.
func removable(n *api.Member) bool { return n.State == nodeMissing }

func removeURL(name string) string { return clusterPath + "/nodes/" + url.PathEscape(name) + "/remove" }

// nodeTone says how a node's state looks.
func nodeTone(n *api.Member) string {
	switch {
	case n.State == nodeMissing || n.State == nodeFailed:
		return "open"
	case n.State != nodeUp || n.Log == "behind" || n.Log == "offline" || n.Log == "unknown":
		return "degraded"
	}
	return "healthy"
}

// nodeWords says what a node's state means.
func nodeWords(n *api.Member) string {
	switch n.State {
	case nodeMissing:
		return "The log counts on it, and nobody hears of it. Start it again, or remove it if it will not come back."
	case nodeFailed:
		return "Its part of the log does not work, as with a full disk. Others have its shards; its own log says why."
	case nodeDraining:
		return "It hands its shards over and takes none. It can be stopped when it has none left."
	case "joining":
		return "It takes part soon: it catches up with the log first."
	}
	return ""
}

// logWords says what a node is to the log.
func logWords(n *api.Member) string {
	switch n.Log {
	case logLeads:
		return "Leader"
	case "replica":
		return "Replica"
	case "behind":
		return "Replica, behind"
	case "offline":
		return "Offline"
	case "alone":
		return "All of it, alone"
	case "none":
		return "Holds none"
	}
	return "Not known: the log does not answer"
}

// owns reports whether a node has a shard.
func owns(n *api.Member, shard int) bool {
	_, has := slices.BinarySearch(n.Shards, shard)
	return has
}

// ranges writes numbers that ascend, those in a row together: 0–3, 7.
func ranges(all []int) string {
	var parts []string
	for i := 0; i < len(all); {
		j := i
		for j+1 < len(all) && all[j+1] == all[j]+1 {
			j++
		}
		text := strconv.Itoa(all[i])
		if j > i {
			text += "–" + strconv.Itoa(all[j])
		}
		parts, i = append(parts, text), j+1
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// drainWords says what draining does, as it stands.
func (c *clusterView) drainWords() string {
	n := len(c.self.Shards)
	return "Its " + count(n) + plural(n, " shard goes", " shards go") + " to the other core nodes, one after the other; deliveries of each pause for a moment, and none is lost. " +
		"It goes on serving clients, takes no shards until it is started anew, and can be stopped afterwards."
}

// removeWords says what removing a node does.
func removeWords(name string) string {
	return "The log counts on " + name + " no more, for good: what it held is copied to another core node, and it cannot come back with the data that it has. " +
		"Do this only if it will not come back; if it may, start it again."
}
