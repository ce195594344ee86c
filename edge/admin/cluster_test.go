package admin_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
)

// nodes are members that a test has put together.
type nodes []cluster.Member

func (n nodes) View() *cluster.View { return cluster.NewView(n...) }

type log = api.History

// manyHeld is a log that many nodes hold, as far as it tells of them.
type manyHeld struct {
	log
	peers   []journal.Peer
	removed string
}

func (l *manyHeld) Shards() int { return 8 }

func (l *manyHeld) Peers(context.Context) ([]journal.Peer, error) { return l.peers, nil }

func (l *manyHeld) RemovePeer(_ context.Context, name string) error {
	l.removed = name
	return nil
}

func TestTheClusterIsShownAndChanged(t *testing.T) {
	t.Parallel()
	core := cluster.Core | cluster.Edge
	held := &manyHeld{peers: []journal.Peer{
		{Name: "n1", Copy: true, Leader: true, Online: true, Current: true},
		{Name: "n2", Copy: true, Online: true, Lag: 1234},
		{Name: "n4", Copy: true, Lag: 9},
		{Name: "n5", Copy: true, Online: true, Current: true},
	}}
	drained := false
	n := start(t, func(c *api.Config) {
		held.log, c.History = c.History, held
		c.Members = nodes{
			{Name: "n1", Roles: core, State: cluster.Up, Addr: "a:1", Incarnation: 1000, Version: "1.2.3", Endpoints: cluster.Endpoints{HTTP: "a:80"}},
			{Name: "n2", Roles: cluster.Core, State: cluster.Up, Addr: "b:1", Incarnation: 1000},
			{Name: "n3", Roles: cluster.Core, State: cluster.Joining, Addr: "c:1", Incarnation: 1000},
			{Name: "n5", Roles: cluster.Core, State: cluster.Up, Addr: "e:1", Incarnation: 1000, Failed: true},
		}
		c.Drain = func(context.Context) error { drained = true; return nil }
	})
	b := n.signedIn(t, adminKey)
	b.get("/admin/cluster").shows(t, "2 up", "of 5", "Leader", "Replica, behind", "1,234", "Missing", "Failed", "Joining", "shows this page", "a:80", "Drain…", "Remove n4 for good?",
		"go to the other core nodes", "what it held is copied")
	viewer := n.signedIn(t, n.key(t, access.Key{Name: "viewer", Scopes: []access.Scope{access.StatusRead}}))
	seen := viewer.get("/admin/cluster")
	seen.shows(t, "Leader")
	seen.hides(t, "Drain", "Remove")
	for _, path := range []string{"/admin/cluster/drain", "/admin/cluster/nodes/n4/remove"} {
		if got := viewer.post(path, url.Values{"name": {"n4"}, "node": {"n1"}}, htmx()...); got.status != http.StatusForbidden {
			t.Errorf("%s by who may only look: %d", path, got.status)
		}
	}
	if got := b.post("/admin/cluster/drain", url.Values{"node": {"n2"}}, htmx()...); got.status != http.StatusUnprocessableEntity || drained {
		t.Errorf("the page of another node: %d %s", got.status, got.body)
	}
	b.post("/admin/cluster/drain", url.Values{"node": {"n1"}}, htmx()...).shows(t, "handed over")
	if got := b.post("/admin/cluster/nodes/n4/remove", url.Values{"name": {"n5"}}, htmx()...); got.status != http.StatusUnprocessableEntity || held.removed != "" {
		t.Errorf("with another name: %d, removed %q", got.status, held.removed)
	}
	if got := b.post("/admin/cluster/nodes/n2/remove", url.Values{"name": {"n2"}}, htmx()...); got.status != http.StatusConflict || held.removed != "" {
		t.Errorf("a node that is alive: %d, removed %q", got.status, held.removed)
	}
	b.post("/admin/cluster/nodes/n4/remove", url.Values{"name": {"n4"}}, htmx()...).shows(t, "no more")
	if !drained || held.removed != "n4" {
		t.Errorf("drained: %t, removed %q", drained, held.removed)
	}
}

func TestANodeAlone(t *testing.T) {
	t.Parallel()
	b := start(t).signedIn(t, adminKey)
	page := b.get("/admin/cluster")
	page.shows(t, "All of it, alone", "1 up")
	page.hides(t, "Drain…", "Remove…")
	if got := b.post("/admin/cluster/drain", url.Values{"node": {"n1"}}, htmx()...); got.status != http.StatusConflict {
		t.Errorf("draining it: %d %s", got.status, got.body)
	}
}
