package actors_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/loadtest/natstest"
)

// nodes are systems on one log, each with its own way to it, and a placement that the test changes.
type nodes struct {
	t         *testing.T
	server    *natstest.Server
	placement *owner
	keyset    []byte
	ways      map[string]*natstest.Relay
}

func newNodes(t *testing.T) *nodes {
	t.Helper()
	keyset, err := registry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return &nodes{t, natstest.Serve(t), newOwner(""), keyset, map[string]*natstest.Relay{}}
}

func (c *nodes) join(name string, options ...func(*actors.Config)) *node {
	c.t.Helper()
	way := natstest.Between(c.t, strings.TrimPrefix(c.server.URL(), "nats://"))
	c.ways[name] = way
	n := &node{t: c.t, name: name, url: way.URL(), keyset: c.keyset, placement: c.placement, now: time.Now}
	n.boot(options...)
	c.t.Cleanup(func() {
		way.Hold(false, false)
		n.shut()
	})
	return n
}

// owners places the shards as a cluster of these members would.
func (c *nodes) owners(names ...string) {
	members := make([]cluster.Member, len(names))
	for i, name := range names {
		members[i] = cluster.Member{Name: name, Roles: cluster.Core, State: cluster.Up}
	}
	c.placement.place(cluster.NewView(members...).Owner)
}

// stop holds up everything between a node and the log, as when it is stopped, until go on is called.
func (c *nodes) stop(name string) (goOn func()) {
	c.ways[name].Hold(true, true)
	return func() { c.ways[name].Hold(false, false) }
}

func holds(n *node) func() bool {
	return func() bool { held, wanted := n.Ready(); return held == wanted }
}

func holdsNone(n *node) func() bool {
	return func() bool { held, _ := n.Ready(); return held == 0 }
}

// A node that is gone is followed within three seconds by another, in all that it owned: what was under way, what
// waited in its park, and what came since. When it is back, it does nothing.
func TestNodeThatIsGoneIsFollowed(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("n1")
	first, s := c.join("n1"), newSink(t)
	next := c.join("n2")
	first.connect("studio", s)
	first.connect("resting", s)
	waitFor(t, holds(first))
	const lanes = 8 // over both shards
	for i := range lanes {
		next.publish("studio", fmt.Sprint("l", i), 0, 5)
	}
	s.wait(t, lanes*5)
	if err := next.registry.Pause(t.Context(), "resting", event.Pause{Reason: "test", By: "test", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	first.health("resting", func(h event.Health) bool { return h.State == event.Paused })
	next.publish("resting", "r", 0, 5)
	first.health("resting", func(h event.Health) bool { return h.Parked == 5 })
	if err := next.registry.Resume(t.Context(), "resting"); err != nil {
		t.Fatal(err)
	}
	s.wait(t, lanes*5+5)

	begun := time.Now()
	goOn := c.stop("n1")
	c.owners("n2")
	for i := range lanes {
		next.publish("studio", fmt.Sprint("l", i), 5, 5)
	}
	s.wait(t, lanes*5+6)
	t.Logf("delivered again after %v", time.Since(begun))
	goOn()
	waitFor(t, holdsNone(first))
	inOrder(t, firsts(s.wait(t, lanes*10+5)))
	waitFor(t, holds(next))

	first.results(lanes*10 + 5)
	begun = time.Now()
	c.owners("n1")
	next.publish("studio", "l0", 10, 1)
	s.wait(t, len(s.receipts())+1)
	t.Logf("handed over after %v", time.Since(begun))
	first.results(lanes*10 + 6)
}

// An owner that is stopped in the midst of its work, and goes on much later, neither loses nor swaps anything.
func TestOwnersThatAreStopped(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("a", "b")
	a, b := c.join("a"), c.join("b")
	s, edge := newSink(t), c.join("edge")
	const rounds, each, lanes = 4, 20, 6
	for i := range lanes {
		edge.connect(fmt.Sprint("studio", i), s)
	}
	waitFor(t, holds(a))
	waitFor(t, holds(b))
	for round := range rounds {
		stopped, other := []string{"a", "b"}[round%2], []string{"b", "a"}[round%2]
		for k := range each {
			for i := range lanes {
				edge.publish(fmt.Sprint("studio", i), fmt.Sprint("l", i), round*each+k, 1)
			}
			switch k {
			case each / 3:
				c.stop(stopped)
				c.owners(other)
			case 2 * each / 3:
				s.wait(t, (round*each+each/3)*lanes+1)
			}
		}
		s.wait(t, (round+1)*each*lanes-lanes)
		c.ways[stopped].Hold(false, false)
		c.owners("a", "b")
	}
	edge.results(rounds * each * lanes)
	got := s.receipts()
	inOrder(t, firsts(got))
	if extra := len(got) - rounds*each*lanes; extra > rounds*each*lanes/4 {
		t.Errorf("%d deliveries were made more than once", extra)
	} else {
		t.Logf("%d deliveries were made more than once", extra)
	}
	waitFor(t, holds(a))
	waitFor(t, holds(b))
}

// An owner without a rival that cannot renew its lease begins nothing, and goes on where it was when it can.
func TestLapseIsAPause(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("n1")
	n, s := c.join("n1"), newSink(t)
	other := c.join("n2")
	n.connect("studio", s)
	waitFor(t, holds(n))
	var paused atomic.Bool
	s.answers(func(receipt) int {
		if paused.Load() {
			t.Error("it is delivered without a valid lease")
		}
		return http.StatusServiceUnavailable
	})
	n.publish("studio", "a", 0, 1)
	n.health("studio", func(h event.Health) bool { return h.State == event.Open })
	goOn := c.stop("n1")
	timer := time.NewTimer(2500 * time.Millisecond) // the lease's two seconds, and some
	<-timer.C
	paused.Store(true)
	for i := 1; i < 20; i++ {
		other.publish("studio", "a", i, 1)
	}
	timer.Reset(1500 * time.Millisecond) // several of the breaker's probes
	<-timer.C
	s.answers(always(http.StatusOK))
	goOn()
	got := s.wait(t, 20)
	inOrder(t, got)
	if epochs := c.epochs(); epochs["0"] != 1 || epochs["1"] != 1 {
		t.Errorf("the shards were claimed again: %v", epochs)
	}
}

// epochs says how often each lease was claimed.
func (c *nodes) epochs() map[string]int {
	c.t.Helper()
	kv, err := c.jetStream().KeyValue(c.t.Context(), "shards")
	if err != nil {
		c.t.Fatal(err)
	}
	keys, err := kv.Keys(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	found := map[string]int{}
	for _, key := range keys {
		e, err := kv.Get(c.t.Context(), key)
		if err != nil {
			c.t.Fatal(err)
		}
		var claim struct{ Epoch int }
		if err := json.Unmarshal(e.Value(), &claim); err != nil {
			c.t.Fatal(err)
		}
		if !strings.HasPrefix(key, "node.") {
			found[key] = claim.Epoch
		}
	}
	return found
}

func (c *nodes) jetStream() jetstream.JetStream {
	c.t.Helper()
	nc, err := nats.Connect(c.server.URL())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	return js
}

// When a node joins or leaves, only the shards move that have to; what is under way is finished, once and in order.
func TestOnlyWhatHasToMoveMoves(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	names := []string{"a", "b", "c"}
	c.owners("a", "b")
	all := map[string]*node{}
	for _, name := range names {
		all[name] = c.join(name)
	}
	s := newSink(t)
	const lanes = 12
	for i := range lanes {
		all["c"].connect(fmt.Sprint("studio", i), s)
	}
	ready := func() {
		for _, name := range names {
			waitFor(t, holds(all[name]))
		}
	}
	ready()
	before, claims := c.placement.all(), c.epochs()
	sent := 0
	for _, members := range [][]string{{"a", "b", "c"}, {"b", "c"}, {"a", "b", "c"}, {"c"}, {"a", "b"}} {
		for k := range 10 {
			for i := range lanes {
				all["c"].publish(fmt.Sprint("studio", i), fmt.Sprint("l", i), sent, 1)
			}
			sent++
			if k == 4 {
				c.owners(members...)
			}
		}
		ready()
		now, epochs := c.placement.all(), c.epochs()
		for shard := range now {
			moved := 0
			if now[shard] != before[shard] {
				moved = 1
			}
			if key := fmt.Sprint(shard); epochs[key] != claims[key]+moved {
				t.Errorf("%v: shard %d from %s to %s was claimed %d times", members, shard, before[shard], now[shard], epochs[key]-claims[key])
			}
		}
		before, claims = now, epochs
	}
	var latencies []time.Duration
	for _, r := range all["c"].results(sent * lanes) {
		latencies = append(latencies, r.Result.FinishedAt.Sub(r.AcceptedAt))
	}
	got := s.wait(t, sent*lanes)
	inOrder(t, got)
	if len(got) != sent*lanes {
		t.Errorf("%d deliveries, want %d: some were made twice", len(got), sent*lanes)
	}
	sort.Slice(latencies, func(i, k int) bool { return latencies[i] < latencies[k] })
	t.Logf("delivered after %v at the most", latencies[len(latencies)-1])
	if most := latencies[len(latencies)-1]; most > 2*time.Second {
		t.Errorf("a delivery took %v while shards moved", most)
	}
}

// The log may lose what gives out a shard's work at any time: all of it comes once and in order.
func TestLostConsumersAreMended(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("n1")
	n, s := c.join("n1"), newSink(t)
	n.connect("studio", s)
	waitFor(t, holds(n))
	js := c.jetStream()
	for round := range 5 {
		n.publish("studio", "a", round*20, 20)
		for _, name := range []string{"EV", "DL"} {
			stream, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			for consumer := range stream.ConsumerNames(t.Context()).Name() {
				if err := js.DeleteConsumer(t.Context(), name, consumer); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.wait(t, round*20+10)
	}
	n.results(100)
	inOrder(t, s.receipts())
	if got := len(s.receipts()); got != 100 {
		t.Errorf("%d deliveries, want 100: some were made twice", got)
	}
}
