package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/cluster"
)

func core(name string) cluster.Member {
	return cluster.Member{Name: name, Roles: cluster.Core | cluster.Edge, State: cluster.Up, Incarnation: 1}
}

func TestOwnerIsAnUpCoreMember(t *testing.T) {
	t.Parallel()
	joining, draining, edge := core("joining"), core("draining"), core("edge")
	joining.State, draining.State, edge.Roles = cluster.Joining, cluster.Draining, cluster.Edge
	for name, tc := range map[string]struct {
		members []cluster.Member
		want    []string // possible owners
	}{
		"nobody":          {nil, []string{""}},
		"none is up":      {[]cluster.Member{joining, draining}, []string{""}},
		"no core":         {[]cluster.Member{edge}, []string{""}},
		"one":             {[]cluster.Member{core("a")}, []string{"a"}},
		"one of them":     {[]cluster.Member{edge, joining, core("a"), draining}, []string{"a"}},
		"two of them":     {[]cluster.Member{edge, core("b"), core("a"), draining}, []string{"a", "b"}},
		"an empty name":   {[]cluster.Member{core("")}, []string{""}},
		"named after all": {[]cluster.Member{core("0"), core("00")}, []string{"0", "00"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := cluster.NewView(tc.members...)
			seen := map[string]bool{}
			for shard := range 256 {
				owner := v.Owner(shard)
				if !slices.Contains(tc.want, owner) {
					t.Fatalf("shard %d is owned by %q, want one of %q", shard, owner, tc.want)
				}
				seen[owner] = true
			}
			if len(seen) != len(tc.want) {
				t.Errorf("256 shards are owned by %v, want each of %q to own some", seen, tc.want)
			}
		})
	}
}

// The placement is part of what nodes of different releases must agree on.
func TestOwnerStaysTheSameOverReleases(t *testing.T) {
	t.Parallel()
	v := cluster.NewView(core("node-1"), core("node-2"), core("node-3"))
	var got string
	for shard := range 12 {
		got += strings.TrimPrefix(v.Owner(shard), "node-")
	}
	if want := "212211323112"; got != want {
		t.Errorf("nodes %s own the shards, want %s", got, want)
	}
}

func TestOwnerDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	members := nodes(7)
	want := cluster.NewView(members...)
	for range 20 {
		rand.Shuffle(len(members), func(i, k int) { members[i], members[k] = members[k], members[i] })
		v := cluster.NewView(members...)
		for shard := range 64 {
			if v.Owner(shard) != want.Owner(shard) {
				t.Fatalf("shard %d: %q and %q own it, by the order of members", shard, v.Owner(shard), want.Owner(shard))
			}
		}
	}
}

func TestOnlyTheLeaversShardsMove(t *testing.T) {
	t.Parallel()
	const shards = 512
	for n := 2; n <= 9; n++ {
		members := nodes(n)
		before := cluster.NewView(members...)
		for leaver := range members {
			rest := slices.Delete(slices.Clone(members), leaver, leaver+1)
			drained := slices.Clone(members)
			drained[leaver].State = cluster.Draining
			for how, after := range map[string]*cluster.View{"leaves": cluster.NewView(rest...), "drains": cluster.NewView(drained...)} {
				for shard := range shards {
					was, is := before.Owner(shard), after.Owner(shard)
					switch {
					case was == members[leaver].Name && is == was:
						t.Fatalf("%s %s and still owns shard %d", was, how, shard)
					case was != members[leaver].Name && is != was:
						t.Fatalf("%s %s, and shard %d moves from %s to %s", members[leaver].Name, how, shard, was, is)
					}
				}
			}
		}
	}
}

func TestShardsAreSpread(t *testing.T) {
	t.Parallel()
	const shards = 4096
	for n := 2; n <= 9; n++ {
		v := cluster.NewView(nodes(n)...)
		owned := map[string]int{}
		for shard := range shards {
			owned[v.Owner(shard)]++
		}
		for name, k := range owned {
			if fair := shards / n; k < fair*3/4 || k > fair*5/4 {
				t.Errorf("of %d nodes, %s owns %d of %d shards; about %d would be fair", n, name, k, shards, fair)
			}
		}
	}
}

func TestViewKeepsTheLatestIncarnation(t *testing.T) {
	t.Parallel()
	old, restarted := core("a"), core("a")
	old.State, restarted.Incarnation, restarted.Addr = cluster.Draining, 2, "10.0.0.1:7946"
	given := []cluster.Member{core("b"), old, restarted}
	v := cluster.NewView(given...)
	if m, ok := v.Member("a"); !ok || m != restarted {
		t.Errorf("Member(a) = %+v, %v; want the later incarnation", m, ok)
	}
	if _, ok := v.Member("c"); ok {
		t.Error("Member(c) is there")
	}
	members := v.Members()
	if len(members) != 2 || members[0].Name != "a" || members[1].Name != "b" {
		t.Errorf("Members() = %+v, want a and b", members)
	}
	members[0].Name, given[0].Name = "x", "y"
	if m := v.Members(); m[0].Name != "a" || m[1].Name != "b" {
		t.Errorf("the view changed with the caller's slices: %+v", m)
	}
}

func TestSoloOwnsEverything(t *testing.T) {
	t.Parallel()
	s := cluster.NewSolo("n1")
	if m := s.View().Members(); len(m) != 1 || m[0].Name != "n1" || m[0].State != cluster.Up || !m[0].Roles.Has(cluster.Core|cluster.Edge) {
		t.Fatalf("members are %+v, want n1 alone, up, core and edge", m)
	}
	for shard := range 8 {
		if s.Owner(shard) != "n1" {
			t.Errorf("shard %d is owned by %q, want n1", shard, s.Owner(shard))
		}
	}
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	var b cluster.Board
	before := b.View()
	var calls, stopped int
	defer b.Subscribe(func() {
		calls++
		if b.Owner(0) != "n1" {
			t.Errorf("told of the change while shard 0 still is %q's", b.Owner(0))
		}
	})()
	stop := b.Subscribe(func() { stopped++ })
	stop()
	stop()
	b.Show(cluster.NewView(core("n1")))
	if calls != 1 || stopped != 0 {
		t.Errorf("told %d times of one change, and %d times after stop", calls, stopped)
	}
	if before.Owner(0) != "" || len(before.Members()) != 0 {
		t.Error("a view taken earlier has changed")
	}
}

func TestChangesAreToldConcurrently(t *testing.T) {
	t.Parallel()
	var b cluster.Board
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				stop := b.Subscribe(func() { _ = b.View() })
				_ = b.Owner(3)
				b.Show(cluster.NewView(core("n1")))
				stop()
			}
		})
	}
	wg.Wait()
	if b.Owner(3) != "n1" {
		t.Errorf("shard 3 is owned by %q, want n1", b.Owner(3))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		cluster.Joining.String(): "joining", cluster.Up.String(): "up", cluster.Draining.String(): "draining",
		cluster.State(9).String(): "State(9)", (cluster.Core | cluster.Edge).String(): "core,edge",
		cluster.Edge.String(): "edge", cluster.Roles(0).String(): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func nodes(n int) []cluster.Member {
	members := make([]cluster.Member, n)
	for i := range members {
		members[i] = core(fmt.Sprintf("node-%d", i+1))
	}
	return members
}

// Small clusters with usual names share eight shards about evenly.
func TestUsualNamesShareEvenly(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"n", "node", "node-", "wedsync-"} {
		for from := range 2 {
			var members []cluster.Member
			for i := range 3 {
				members = append(members, cluster.Member{Name: fmt.Sprint(prefix, from+i), Roles: cluster.Core, State: cluster.Up})
			}
			view, load := cluster.NewView(members...), map[string]int{}
			for shard := range 8 {
				load[view.Owner(shard)]++
			}
			for _, m := range members {
				if load[m.Name] == 0 || load[m.Name] > 4 {
					t.Errorf("the shards are spread %v", load)
				}
			}
		}
	}
}
