package api_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

// member is a node as the API lists it.
type member struct {
	Name      string            `json:"name"`
	Roles     []string          `json:"roles"`
	State     string            `json:"state"`
	Shards    []int             `json:"shards"`
	Log       string            `json:"log"`
	Lag       uint64            `json:"lag"`
	Version   string            `json:"version"`
	StartedAt time.Time         `json:"startedAt"`
	Addresses map[string]string `json:"addresses"`
}

func (m member) String() string {
	return fmt.Sprintf("%s %v %s shards %v log %s lag %d version %s since %d at %v", m.Name, m.Roles, m.State, m.Shards, m.Log, m.Lag, m.Version, m.StartedAt.Unix(), m.Addresses)
}

// nodes are members that a test has put together.
type nodes []cluster.Member

func (n nodes) View() *cluster.View { return cluster.NewView(n...) }

type log = api.History

// manyHeld is a log that many nodes hold, as far as it tells of them.
type manyHeld struct {
	log
	shards int
	peers  []journal.Peer
	err    error
}

func (l manyHeld) Shards() int { return l.shards }

func (l manyHeld) Peers(ctx context.Context) ([]journal.Peer, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("the log would be waited for")
	}
	return l.peers, l.err
}

func TestMembers(t *testing.T) {
	t.Parallel()
	both := cluster.Core | cluster.Edge
	at := cluster.Endpoints{Log: "h:2", LogClients: "h:3", Peers: "h:4", HTTP: "h:5"}
	view := nodes{
		{Name: "c", Roles: both, State: cluster.Joining, Addr: "c:1", Incarnation: 3000},
		{Name: "a", Roles: both, State: cluster.Up, Addr: "a:1", Incarnation: 1000, Endpoints: at, Version: "1.2"},
		{Name: "b", Roles: cluster.Core, State: cluster.Up, Addr: "b:1", Incarnation: 2000},
		{Name: "e", Roles: cluster.Edge, State: cluster.Up, Addr: "e:1", Incarnation: 5000},
		{Name: "f", Roles: cluster.Core, State: cluster.Up, Addr: "f:1", Incarnation: 6000, Failed: true},
	}
	held := manyHeld{shards: 6, peers: []journal.Peer{
		{Name: "a", Copy: true, Leader: true, Online: true, Current: true},
		{Name: "b", Copy: true, Online: true, Current: true},
		{Name: "c", Copy: true, Online: true, Lag: 7},
		{Name: "d", Copy: true, Current: true, Lag: 9},
		{Name: "f", Online: true},
		{Name: "g"}, // it had no copy, but counts
	}}
	n := start(t, func(c *api.Config) { held.log, c.Members = c.History, view; c.History = held })
	owned := map[string][]int{}
	for shard := range held.shards { // where they are is for cluster to say
		owner := view.View().Owner(shard)
		owned[owner] = append(owned[owner], shard)
	}
	want := []string{
		"a [core edge] up shards " + fmt.Sprint(owned["a"]) + " log leader lag 0 version 1.2 since 1 at map[gossip:a:1 http:h:5 log:h:2 logClients:h:3 peers:h:4]",
		"b [core] up shards " + fmt.Sprint(owned["b"]) + " log replica lag 0 version  since 2 at map[gossip:b:1]",
		"c [core edge] joining shards [] log behind lag 7 version  since 3 at map[gossip:c:1]",
		"d [core] missing shards [] log offline lag 9 version  since -62135596800 at map[]",
		"e [edge] up shards [] log none lag 0 version  since 5 at map[gossip:e:1]",
		"f [core] failed shards [] log none lag 0 version  since 6 at map[gossip:f:1]",
		"g [core] missing shards [] log offline lag 0 version  since -62135596800 at map[]",
	}
	var got []string
	for _, m := range into[list[member]](t, n.do(t, "GET", "/api/cluster/members", "")).Items {
		got = append(got, m.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	held.peers, held.err = nil, journal.ErrUnavailable
	n = start(t, func(c *api.Config) { held.log, c.Members = c.History, view; c.History = held })
	got = nil
	for _, m := range into[list[member]](t, n.do(t, "GET", "/api/cluster/members", "")).Items {
		got = append(got, m.Name+" "+m.Log)
	}
	if !slices.Equal(got, []string{"a unknown", "b unknown", "c unknown", "e none", "f unknown"}) {
		t.Errorf("while the log does not answer: %s", got)
	}
}

func (l manyHeld) RemovePeer(_ context.Context, name string) error {
	if name == "d" {
		return l.err
	}
	return fmt.Errorf("removing %s: %w", name, journal.ErrNotFound)
}

// drained is a node whose shards are handed over at once.
func drained(context.Context) error { return nil }

func TestRemoveMember(t *testing.T) {
	t.Parallel()
	held := manyHeld{}
	n := start(t, func(c *api.Config) {
		held.log, c.Members, c.History = c.History, nodes{{Name: "a", State: cluster.Up, Addr: "a:1"}}, &held
	})
	remove := func(name, code, says string) {
		t.Helper()
		a := n.do(t, "DELETE", "/api/cluster/members/"+name, "")
		if code == "" && a.status != 204 || code != "" && (a.code(t) != code || !strings.Contains(a.body, says)) {
			t.Errorf("removing %s: %d %s", name, a.status, a.body)
		}
		if audits := n.audited(); len(audits) != 1 || audits[0].Action != "member.remove" || audits[0].Target != name || audits[0].Outcome != cmp.Or(code, "ok") {
			t.Errorf("removing %s: the audit has %+v", name, audits)
		}
	}
	remove("a", problem.MemberAlive, "is up, at a:1")
	remove("x", problem.MemberUnknown, "no node \\\"x\\\"")
	remove("d", "", "")
	held.err = journal.ErrUnavailable
	remove("d", problem.LogUnavailable, "")
}

func TestDrain(t *testing.T) {
	t.Parallel()
	self := cluster.Member{Name: "n1", Roles: cluster.Core, State: cluster.Up}
	other := cluster.Member{Name: "n2", Roles: cluster.Core, State: cluster.Up}
	edge, joining := other, other
	edge.Roles, joining.State = cluster.Edge, cluster.Joining
	for name, c := range map[string]struct {
		members nodes
		drain   error
		status  int
		code    string
	}{
		"alone":             {nodes{self}, nil, 409, problem.NoSuccessor},
		"beside an edge":    {nodes{self, edge}, nil, 409, problem.NoSuccessor},
		"beside a new node": {nodes{self, joining}, nil, 409, problem.NoSuccessor},
		"beside another":    {nodes{self, other}, nil, 204, ""},
		"that fails":        {nodes{self, other}, journal.ErrUnavailable, 503, problem.LogUnavailable},
	} {
		asked := 0
		n := start(t, func(cfg *api.Config) {
			cfg.Members = c.members
			cfg.Drain = func(ctx context.Context) error {
				asked++
				if until, bounded := ctx.Deadline(); !bounded || time.Until(until) > 16*time.Second { // a request has 20 s
					t.Errorf("%s: it may take until %v, and nobody is told that it goes on", name, until)
				}
				return c.drain
			}
		})
		a := n.do(t, "POST", "/api/cluster/drain", "")
		if a.status != c.status || c.code != "" && a.code(t) != c.code || (asked > 0) != (c.code != problem.NoSuccessor) {
			t.Errorf("%s: asked %d times, %d %s", name, asked, a.status, a.body)
		}
		if audits := n.audited(); len(audits) != 1 || audits[0].Action != "member.drain" || audits[0].Target != "n1" || audits[0].Outcome != cmp.Or(c.code, "ok") {
			t.Errorf("%s: the audit has %+v", name, audits)
		}
	}
}

func TestNodeAloneIsItsOnlyMember(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	items := into[list[member]](t, n.do(t, "GET", "/api/cluster/members", "")).Items
	if want := "n1 [core edge] up shards [0] log alone lag 0 version 1.2.3 since -62135596800 at map[]"; len(items) != 1 || items[0].String() != want {
		t.Errorf("got %v, want %s", items, want)
	}
}
