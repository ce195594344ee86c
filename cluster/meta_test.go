package cluster_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"github.com/wedsync/wedsync/cluster"
)

func TestNodesReadWhatNewerOnesSay(t *testing.T) {
	t.Parallel()
	want := cluster.Member{
		Name: "n", Addr: "h:1", Roles: cluster.Core, State: cluster.Up, Incarnation: 7,
		Endpoints: cluster.Endpoints{Log: "h:2", LogClients: "h:3", Peers: "h:4", HTTP: "h:5"}, Version: "2.0",
	}
	// As release 1 writes it, with what a later one might add.
	const said = `{"r":1,"s":1,"t":7,"in":true,"l":"h:2","c":"h:3","p":"h:4","h":"h:5","v":"2.0","zone":{"a":[1]},"in2":0}`
	got, err := cluster.ReadMeta([]byte(said), "n", "h:1")
	if err != nil || got != want {
		t.Errorf("%s is read as %+v, %v", said, got, err)
	}
	later, err := cluster.ReadMeta([]byte(`{"r":5,"s":3,"t":7}`), "n", "h:1")
	if err != nil || later.State.String() != "State(3)" || cluster.NewView(later).Owner(1) != "" {
		t.Errorf("a state and a role of a later release are read as %+v, %v, and own %q", later, err, cluster.NewView(later).Owner(1))
	}
	for _, garbage := range []string{"", "x", `{"r":`, `{"r":"core"}`, `{"r":300}`, `[1]`} {
		if m, err := cluster.ReadMeta([]byte(garbage), "n", "h:1"); err == nil {
			t.Errorf("%q is read as %+v", garbage, m)
		}
	}
}

// A node that says what nobody can read is no member, whatever it said before.
func TestNodeThatCannotBeRead(t *testing.T) {
	t.Parallel()
	node := func(name, meta string) *memberlist.Node { return &memberlist.Node{Name: name, Meta: []byte(meta)} }
	got := cluster.Told(node("a", `{"r":1,"s":1}`), node("b", `{"r":1,"s":1}`), node("a", `{"r":"core"}`), node("c", ""))
	if len(got) != 1 || got[0].Name != "b" {
		t.Errorf("the members are %+v, want b alone", got)
	}
}

func TestWhatANodeSaysIsBounded(t *testing.T) {
	t.Parallel()
	cfg := seat(t, "a", cluster.GenerateKey())
	long := cluster.Endpoints{HTTP: strings.Repeat("h", 500) + ":80"}
	g := gossip(t, cfg)
	g.SetState(cluster.Up)
	before, _ := g.View().Member("a")
	if err := g.SetEndpoints(long); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("an endpoint of %d bytes: %v", len(long.HTTP), err)
	}
	if m, _ := g.View().Member("a"); m != before {
		t.Errorf("a refused change leaves %+v, before it was %+v", m, before)
	}
	if err := g.SetEndpoints(cluster.Endpoints{HTTP: "h:80"}); err != nil {
		t.Fatal(err)
	}
	if m, _ := g.View().Member("a"); m.Endpoints.HTTP != "h:80" {
		t.Errorf("the view has %+v after the change", m)
	}
	cfg.Endpoints = long
	if _, err := cluster.StartGossip(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("starting with it: %v", err)
	}
}

func TestWhoseNameItIs(t *testing.T) {
	t.Parallel()
	type says struct {
		T  int  `json:"t"`
		In bool `json:"in"`
	}
	for _, tc := range []struct {
		name   string
		mine   says
		theirs says
		yields bool
	}{
		{"a second node comes", says{1, true}, says{2, false}, false},
		{"this is the second", says{2, false}, says{1, true}, true},
		{"this is the second, by a clock that is late", says{1, false}, says{2, true}, true},
		{"a second comes by a clock that is late", says{2, true}, says{1, false}, false},
		{"another was started in its place", says{1, true}, says{2, true}, true},
		{"this was started in its place", says{2, true}, says{1, true}, false},
		{"both are new, this was first", says{1, false}, says{2, false}, false},
		{"both are new, the other was first", says{2, false}, says{1, false}, true},
	} {
		mine, err1 := json.Marshal(tc.mine)
		theirs, err2 := json.Marshal(tc.theirs)
		yields, err := cluster.Yields(mine, theirs)
		if err1 != nil || err2 != nil || err != nil || yields != tc.yields {
			t.Errorf("%s: yields %v, %v", tc.name, yields, err)
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte(`{"r":3,"s":1,"t":1790000000000,"in":true,"l":"10.0.0.1:7947","v":"1"}`))
	f.Add([]byte(`{"s":9}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := cluster.ReadMeta(data, "n", "h:1")
		if err != nil {
			return
		}
		if m.Name != "n" || m.Addr != "h:1" {
			t.Errorf("%q names the node %+v", data, m)
		}
		if owner := cluster.NewView(m).Owner(1); owner != "" && (m.State != cluster.Up || !m.Roles.Has(cluster.Core)) {
			t.Errorf("%q owns a shard as %+v", data, m)
		}
	})
}
