package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster"
)

func TestNodesSeeEachOther(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	a := gossip(t, seat(t, "a", key))
	cfg := seat(t, "b", key, a.Addr())
	cfg.Roles, cfg.Version = cluster.Edge, "1.2.3"
	cfg.Endpoints = cluster.Endpoints{Log: "h:1", LogClients: "h:2", Peers: "h:3", HTTP: "h:4"}
	b := gossip(t, cfg)
	a.SetState(cluster.Up)
	b.SetState(cluster.Up)
	awaitAll(t, []string{"a", "b"}, a, b)
	got, _ := a.View().Member("b")
	if got.Addr != b.Addr() || got.Roles != cluster.Edge || got.Endpoints != cfg.Endpoints || got.Version != "1.2.3" || got.Incarnation == 0 {
		t.Errorf("a sees b as %+v", got)
	}
}

// A node whose part of the log does not work keeps its place among the members, and owns nothing.
func TestFailedNodeOwnsNothing(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	a, b := couple(t, key)
	for _, failed := range []bool{true, false} {
		if err := a.SetFailed(failed); err != nil {
			t.Fatal(err)
		}
		for _, g := range []*cluster.Gossip{a, b} {
			await(t, g, fmt.Sprintf("a, failed %t", failed), func(v *cluster.View) bool {
				m, ok := v.Member("a")
				return ok && m.State == cluster.Up && m.Failed == failed
			})
			owned := 0
			for shard := range 8 {
				if g.View().Owner(shard) == "a" {
					owned++
				}
			}
			if failed != (owned == 0) {
				t.Errorf("failed %t, and it owns %d of 8 shards", failed, owned)
			}
		}
	}
}

// couple starts the nodes a and b, which see each other up.
func couple(t *testing.T, key cluster.Key) (a, b *cluster.Gossip) {
	t.Helper()
	a = gossip(t, seat(t, "a", key))
	b = gossip(t, seat(t, "b", key, a.Addr()))
	a.SetState(cluster.Up)
	b.SetState(cluster.Up)
	awaitAll(t, []string{"a", "b"}, a, b)
	return a, b
}

func TestSecondNodeOfANameIsRefused(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	a, b := couple(t, key)
	for _, join := range [][]string{{a.Addr()}, {b.Addr()}, {a.Addr(), b.Addr()}} {
		cfg := seat(t, "b", key, join...)
		cfg.NameWait = time.Second
		g, err := cluster.StartGossip(t.Context(), cfg)
		var taken *cluster.NameTakenError
		if !errors.As(err, &taken) || taken.Name != "b" || taken.Theirs != b.Addr() || !strings.Contains(err.Error(), b.Addr()) {
			t.Fatalf("joining %v as a second b: %v, %v; want a NameTakenError that names %s", join, g, err, b.Addr())
		}
	}
	awaitAll(t, []string{"a", "b"}, a, b)
}

// A start that waits for a name ends when it is given up.
func TestStartIsGivenUp(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	a, _ := couple(t, key)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := cluster.StartGossip(ctx, seat(t, "b", key, a.Addr())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second b: %v, want the end of the context", err)
	}
}

// A node whose time is over leaves at once, and the others find that it is gone.
func TestLeavingWithoutTime(t *testing.T) {
	t.Parallel()
	a, b := couple(t, cluster.GenerateKey())
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	b.Leave(ctx)
	if err := b.Wait(); err != nil {
		t.Error(err)
	}
	awaitAll(t, []string{"a"}, a)
}

func TestEightNodesConverge(t *testing.T) {
	t.Parallel()
	const starts = 20
	took := make([]time.Duration, starts)
	for i := range took {
		list := seats(t, 8, cluster.GenerateKey())
		began := time.Now()
		nodes := together(t, list)
		awaitAll(t, namesOf(list), nodes...)
		took[i] = time.Since(began).Round(time.Millisecond)
		for _, g := range nodes {
			g.Close()
		}
	}
	t.Logf("8 nodes saw each other up within %v, in %d starts: %v", slices.Max(took), starts, took)
}

func BenchmarkEightNodesConverge(b *testing.B) {
	var most time.Duration
	for b.Loop() {
		b.StopTimer()
		list := seats(b, 8, cluster.GenerateKey())
		b.StartTimer()
		began := time.Now()
		nodes := together(b, list)
		awaitAll(b, namesOf(list), nodes...)
		b.StopTimer()
		most = max(most, time.Since(began))
		for _, g := range nodes {
			g.Close()
		}
		b.StartTimer()
	}
	b.ReportMetric(most.Seconds(), "s/most")
}

// ownersOf returns who owns each of 64 shards, as g sees it.
func ownersOf(g *cluster.Gossip) (owners [64]string) {
	for shard := range owners {
		owners[shard] = g.Owner(shard)
	}
	return owners
}

func TestOnlyNecessaryShardsMove(t *testing.T) {
	t.Parallel()
	list := seats(t, 4, cluster.GenerateKey())
	for i := range list {
		list[i].ProbeInterval = time.Second // nobody is taken for dead since the machine is busy
	}
	nodes := together(t, list[:3])
	three := namesOf(list[:3])
	awaitAll(t, three, nodes...)
	first := ownersOf(nodes[0])

	moved := func(before, after [64]string, who string) (n int) {
		t.Helper()
		for shard := range before {
			if before[shard] == after[shard] {
				continue
			}
			if n++; before[shard] != who && after[shard] != who {
				t.Errorf("shard %d moves from %s to %s, when %s comes or goes", shard, before[shard], after[shard], who)
			}
		}
		return n
	}
	same := func(nodes ...*cluster.Gossip) [64]string {
		t.Helper()
		for _, g := range nodes[1:] {
			if ownersOf(g) != ownersOf(nodes[0]) {
				t.Fatalf("nodes disagree: %v and %v", ownersOf(nodes[0]), ownersOf(g))
			}
		}
		return ownersOf(nodes[0])
	}
	count := func(owners [64]string, who string) (n int) {
		for _, owner := range owners {
			if owner == who {
				n++
			}
		}
		return n
	}

	late := gossip(t, list[3])
	for _, g := range nodes {
		await(t, g, "node-4 joining", func(v *cluster.View) bool { _, ok := v.Member("node-4"); return ok })
	}
	if same(nodes...) != first {
		t.Error("shards move to a node that is not up yet")
	}
	late.SetState(cluster.Up)
	nodes = append(nodes, late)
	awaitAll(t, namesOf(list), nodes...)
	joined := same(nodes...)
	if n := moved(first, joined, "node-4"); n == 0 || n != count(joined, "node-4") {
		t.Errorf("%d shards move, and node-4 owns %d", n, count(joined, "node-4"))
	}

	late.SetState(cluster.Draining)
	for _, g := range nodes {
		await(t, g, "node-4 draining", func(v *cluster.View) bool { m, _ := v.Member("node-4"); return m.State == cluster.Draining })
	}
	if same(nodes...) != first {
		t.Error("a node that drains leaves others than its shards behind")
	}
	late.Leave(t.Context())
	awaitAll(t, three, nodes[:3]...)
	if same(nodes[:3]...) != first || len(late.View().Members()) != 0 {
		t.Errorf("node-4 left: owners %v; it sees %v", ownersOf(nodes[0]), late.View().Members())
	}

	gone := "node-2"
	nodes[1].Close() // as a crash
	awaitAll(t, []string{"node-1", "node-3"}, nodes[0], nodes[2])
	if n := moved(first, same(nodes[0], nodes[2]), gone); n != count(first, gone) {
		t.Errorf("%d shards move when %s, which owned %d, dies", n, gone, count(first, gone))
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	a := gossip(t, seat(t, "a", cluster.GenerateKey()))
	a.SetState(cluster.Up)
	key := cluster.GenerateKey()
	g, err := cluster.StartGossip(t.Context(), seat(t, "b", key, a.Addr()))
	if !errors.Is(err, cluster.ErrKeyRefused) || !strings.Contains(err.Error(), key.ID()) || strings.Contains(err.Error(), key.Reveal()) ||
		!strings.Contains(err.Error(), a.Addr()) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("joining with another key: %v, %v; want ErrKeyRefused that names %s", g, err, key.ID())
	}
	awaitAll(t, []string{"a"}, a)
}

func TestKeysRotateWhileNodesRun(t *testing.T) {
	t.Parallel()
	list := seats(t, 3, cluster.GenerateKey())
	for i := range list {
		list[i].SyncInterval = 200 * time.Millisecond // so that all is exchanged in each step
	}
	nodes := together(t, list)
	awaitAll(t, namesOf(list), nodes...)
	old, next := list[0].Keyring.List()[0].ID, cluster.GenerateKey()
	version := 0
	for _, step := range []func(*cluster.Keyring) error{
		func(r *cluster.Keyring) error { return r.Add(next) },
		func(r *cluster.Keyring) error { return r.Use(next.ID()) },
		func(r *cluster.Keyring) error { return r.Remove(old) },
	} {
		for i := range list {
			if err := step(list[i].Keyring); err != nil {
				t.Fatal(err)
			}
			// What each says is heard by all, while some have made the step and others have not.
			for _, g := range nodes {
				version++
				says := cluster.Endpoints{HTTP: "h:" + strings.Repeat("1", version)}
				if err := g.SetEndpoints(says); err != nil {
					t.Fatal(err)
				}
				for _, other := range nodes {
					await(t, other, "the new endpoint", func(v *cluster.View) bool {
						return slices.ContainsFunc(v.Members(), func(m cluster.Member) bool { return m.Endpoints == says })
					})
				}
			}
		}
		awaitAll(t, namesOf(list), nodes...)
	}
	late := seat(t, "late", next, nodes[0].Addr())
	g := gossip(t, late)
	g.SetState(cluster.Up)
	awaitAll(t, append(namesOf(list), "late"), append(nodes, g)...)
}

func TestRestartedNodeGetsIn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*cluster.Gossip){
		"after it died": (*cluster.Gossip).Close,
		"after it left": func(g *cluster.Gossip) { g.Leave(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := seats(t, 3, cluster.GenerateKey())
			nodes := together(t, list)
			awaitAll(t, namesOf(list), nodes...)
			was, _ := nodes[0].View().Member("node-3")
			for _, bind := range []string{"127.0.0.1:0", list[2].Bind} { // elsewhere, and where it was at first
				end(nodes[2])
				list[2].Bind = bind
				nodes[2] = gossip(t, list[2])
				nodes[2].SetState(cluster.Up)
				for _, g := range nodes {
					await(t, g, "node-3 restarted at "+nodes[2].Addr(), func(v *cluster.View) bool {
						m, ok := v.Member("node-3")
						return ok && m.Addr == nodes[2].Addr() && m.State == cluster.Up && m.Incarnation > was.Incarnation
					})
				}
				was, _ = nodes[0].View().Member("node-3")
			}
		})
	}
}

func TestNodeWaitsForItsSeeds(t *testing.T) {
	t.Parallel()
	list := seats(t, 2, cluster.GenerateKey())
	list[0].Join = append(list[0].Join, "no.invalid:7946")
	first := gossip(t, list[0]) // nobody is there yet
	first.SetState(cluster.Up)
	awaitAll(t, []string{"node-1"}, first)
	other := list[1]
	other.Join = nil
	second := gossip(t, other)
	second.SetState(cluster.Up)
	awaitAll(t, namesOf(list), first, second)
}

// Two halves that have declared each other dead: what is between them is cut by keys.
func TestHalvesBecomeOneAgain(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	list := seats(t, 2, key)
	nodes := together(t, list)
	awaitAll(t, namesOf(list), nodes...)
	mend := cut(t, list[1].Keyring, key)
	awaitAll(t, []string{"node-1"}, nodes[0])
	awaitAll(t, []string{"node-2"}, nodes[1])
	mend()
	awaitAll(t, namesOf(list), nodes...)
}

// cut leaves a node alone with a key that nobody else has, until mend.
func cut(t *testing.T, r *cluster.Keyring, key cluster.Key) (mend func()) {
	t.Helper()
	apart := cluster.GenerateKey()
	change := func(to, from cluster.Key) {
		t.Helper()
		if err := errors.Join(r.Add(to), r.Use(to.ID()), r.Remove(from.ID())); err != nil {
			t.Fatal(err)
		}
	}
	change(apart, key)
	return func() { change(key, apart) }
}

// A node was cut off, and another was started in its place.
func TestReplacedNodeGivesIn(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	list := seats(t, 3, key)
	list[2].NameWait = time.Second
	nodes := together(t, list)
	awaitAll(t, namesOf(list), nodes...)
	mend := cut(t, list[2].Keyring, key)
	awaitAll(t, namesOf(list[:2]), nodes[:2]...)
	place := list[2]
	place.Bind, place.Keyring = "127.0.0.1:0", list[0].Keyring
	replaced := gossip(t, place)
	replaced.SetState(cluster.Up)
	awaitAll(t, namesOf(list), nodes[0], nodes[1], replaced)
	mend()
	var taken *cluster.NameTakenError
	if err := nodes[2].Wait(); !errors.As(err, &taken) || taken.Theirs != replaced.Addr() || taken.Mine != nodes[2].Addr() {
		t.Errorf("the node that was replaced ended with %v; want a NameTakenError that names %s and %s", err, nodes[2].Addr(), replaced.Addr())
	}
	if members := nodes[2].View().Members(); len(members) != 0 || nodes[2].Owner(1) != "" {
		t.Errorf("a node that is no member sees %v", members)
	}
	awaitAll(t, namesOf(list), nodes[0], nodes[1], replaced)
	if m, _ := nodes[0].View().Member("node-3"); m.Addr != replaced.Addr() {
		t.Errorf("node-3 is at %s, want %s", m.Addr, replaced.Addr())
	}
	nodes[2].SetState(cluster.Draining) // of a node that is over nobody hears
	nodes[2].Leave(t.Context())
	replaced.Leave(t.Context())
	if err := replaced.Wait(); err != nil {
		t.Errorf("a node that left ended with %v", err)
	}
}

func TestPausedNodeIsBack(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	list := seats(t, 2, key)
	nodes := together(t, list)
	process := child(t, childNode{"paused", key.Reveal(), nodes[0].Addr()})
	all := append(namesOf(list), "paused")
	awaitAll(t, all, nodes...)
	first, _ := nodes[0].View().Member("paused")
	for range 2 {
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		awaitAll(t, namesOf(list), nodes...)
		dead := time.Since(began)
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		awaitAll(t, all, nodes...)
		t.Logf("dead after %v, back after %v", dead.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	if m, _ := nodes[0].View().Member("paused"); m != first {
		t.Errorf("it is back as %+v, and was %+v", m, first)
	}
}
