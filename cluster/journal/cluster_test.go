package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/natstest"
)

// trio is a log that three nodes hold together.
type trio struct {
	tb    testing.TB
	cfgs  [3]journal.Config
	nodes [3]*journal.Journal
}

func startTrio(tb testing.TB, change ...func(*journal.Config)) *trio {
	tb.Helper()
	n := newTrio(tb, change...)
	var all sync.WaitGroup
	for i := range n.nodes {
		all.Go(func() { n.start(i) })
	}
	all.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
	return n
}

// newTrio is one that nobody has started yet.
func newTrio(tb testing.TB, change ...func(*journal.Config)) *trio {
	tb.Helper()
	n := &trio{tb: tb}
	var peers []string
	for range 3 {
		peers = append(peers, freeAddr(tb))
	}
	for i := range n.cfgs {
		n.cfgs[i] = journal.Config{
			Dir: filepath.Join(tb.TempDir(), "log"), Node: fmt.Sprint("n", i+1), Logger: logger(tb),
			Cluster: &journal.Cluster{Routes: peers[i], Peers: peers, Clients: freeAddr(tb)},
		}
		for _, c := range change {
			c(&n.cfgs[i])
		}
	}
	return n
}

// visitor is of a node that holds nothing of the log.
func (n *trio) visitor() journal.Config {
	cfg := n.cfgs[0]
	cfg.Dir, cfg.Node = "", "edge"
	cfg.Cluster = &journal.Cluster{Servers: []string{n.cfgs[0].Cluster.Clients, n.cfgs[1].Cluster.Clients, n.cfgs[2].Cluster.Clients}}
	return cfg
}

func (n *trio) start(i int) {
	ctx, cancel := context.WithTimeout(n.tb.Context(), 4*within)
	defer cancel()
	j, err := journal.Open(ctx, n.cfgs[i])
	if err != nil {
		n.tb.Errorf("opening the log of node %d: %v", i+1, err)
		return
	}
	n.nodes[i] = j
	n.tb.Cleanup(func() { closeJournal(n.tb, j) })
}

func (n *trio) leader() int {
	n.tb.Helper()
	peers, err := n.nodes[0].Peers(n.tb.Context())
	if err != nil {
		n.tb.Fatal(err)
	}
	for i, p := range peers {
		if p.Leader {
			return i
		}
	}
	n.tb.Fatalf("nobody leads: %+v", peers)
	return -1
}

// client is a connection to a node's part of the log.
func (n *trio) client(i int) *nats.Conn {
	n.tb.Helper()
	nc, err := nats.Connect("nats://" + n.cfgs[i].Cluster.Clients)
	must(n.tb, err)
	n.tb.Cleanup(nc.Close)
	return nc
}

// freeAddr is a loopback address that nobody listens on, outside of the range from which connections get theirs.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			must(tb, l.Close())
			return l.Addr().String()
		}
	}
}

func TestClusterIsOneLog(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	for i, j := range n.nodes {
		if j.Epoch() != n.nodes[0].Epoch() || j.Epoch() == "" {
			t.Errorf("the epoch of node %d is %q, of node 1 %q", i+1, j.Epoch(), n.nodes[0].Epoch())
		}
		at := mustAppend(t, j, newEvent("a:b"))
		if at.Seq != uint64(i+1) {
			t.Errorf("node %d appends at %d, want %d", i+1, at.Seq, i+1)
		}
	}
	peers, err := n.nodes[1].Peers(t.Context())
	if err != nil || len(peers) != 3 {
		t.Fatalf("the peers are %+v, %v", peers, err)
	}
	if s := status(t, n.nodes[2]); s.Mode != "cluster" {
		t.Errorf("the mode is %q", s.Mode)
	}
	edge := openWith(t, n.visitor())
	if at := mustAppend(t, edge, newEvent("a:b")); at.Seq != 4 || edge.Epoch() != n.nodes[0].Epoch() {
		t.Errorf("a node without a log appends at %d, epoch %q", at.Seq, edge.Epoch())
	}
	if err := edge.RemovePeer(t.Context(), "n1"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("removing a peer from a node without a log: %v, want ErrNotFound", err)
	}
	if err := n.nodes[0].RemovePeer(t.Context(), "nobody"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("removing a peer that is none: %v, want ErrNotFound", err)
	}
}

// The node that leads the log ends in order; the others go on at once, and it takes over what it missed.
func TestClusterNodeStopsAndReturns(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	mustAppend(t, n.nodes[0], newEvent("a:b"))
	gone := n.leader()
	left := (gone + 1) % 3
	closeJournal(t, n.nodes[gone])
	for {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		_, err := n.nodes[left].Append(ctx, newEvent("a:b"))
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, journal.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	n.start(gone)
	last, err := n.nodes[left].Last(t.Context(), "a:b")
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		ev, err := n.nodes[gone].EventAt(t.Context(), last)
		return err == nil && ev.Seq == last
	})
}

func TestClusterRefusesOtherStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closeJournal(t, openWith(t, journal.Config{Dir: dir, Logger: logger(t)}))
	addr := freeAddr(t)
	refused(t, journal.Config{Dir: dir, Cluster: &journal.Cluster{Routes: addr, Peers: []string{addr, freeAddr(t), freeAddr(t)}, Clients: freeAddr(t)}},
		journal.ErrForeign, `"standalone"`, `"cluster"`)
}

func TestClusterConfig(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cluster journal.Cluster
		want    string
	}{
		"two cores":     {journal.Cluster{Routes: "a:1", Peers: []string{"a:1", "b:1"}, Clients: "a:2"}, "2 core nodes"},
		"one core":      {journal.Cluster{Routes: "a:1", Peers: []string{"a:1"}, Clients: "a:2"}, "1 core nodes"},
		"no port":       {journal.Cluster{Routes: "a:1", Peers: []string{"a:1", "b:1", "c:1"}, Clients: "a"}, "no host:port"},
		"nobody to ask": {journal.Cluster{}, "Servers is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := journal.Config{Cluster: &tc.cluster}
			if tc.cluster.Routes != "" {
				cfg.Dir = "x"
			}
			if err := cfg.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want an error that says %q", err, tc.want)
			}
		})
	}
}

// Three nodes must start together; one alone says what it waits for and gives up with its context.
func TestClusterWithoutQuorum(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := journal.Open(ctx, journal.Config{
		Dir: t.TempDir(), Node: "n1", Logger: logger(t),
		Cluster: &journal.Cluster{Routes: addr, Peers: []string{addr, freeAddr(t), freeAddr(t)}, Clients: freeAddr(t)},
	})
	if !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("one of three nodes: %v, want ErrUnavailable", err)
	}
}

// Many writers on every node at once: each event has a place of its own, and each channel keeps the order
// in which its writer was answered.
func TestClusterManyWriters(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	const writers, each = 24, 40
	var mu sync.Mutex
	taken := map[uint64]bool{}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			var last uint64
			for range each {
				at, err := n.nodes[w%3].Append(t.Context(), newEvent(fmt.Sprint("a:", w)))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if taken[at.Seq] || at.Seq <= last {
					t.Errorf("writer %d got %d after %d", w, at.Seq, last)
				}
				taken[at.Seq], last = true, at.Seq
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(taken) != writers*each {
		t.Errorf("%d events are stored, want %d", len(taken), writers*each)
	}
}

// The node that leads the event log leads everything before anybody works on it, and soon after another one was
// elected for something.
func TestClusterGathersLeads(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	for i, j := range n.nodes {
		if leads := journal.Leads(j); len(leads) != 1 {
			t.Errorf("node %d is open while %v lead", i+1, leads)
		}
	}
	leader := n.leader()
	nc := n.client(leader)
	elected := make(chan *nats.Msg, 64)
	_, err := nc.ChanSubscribe("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.DEAD", elected)
	must(t, err)
	other := n.cfgs[(leader+1)%3].Node
	_, err = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.DEAD", []byte(`{"placement":{"preferred":"`+other+`"}}`), within)
	must(t, err)
	for by := ""; by != n.cfgs[leader].Node; { // the other one, then again the one who leads all
		var said struct{ Leader string }
		select {
		case m := <-elected:
			must(t, json.Unmarshal(m.Data, &said))
			by = said.Leader
		case <-time.After(2 * within): // as when it is asked for once more
			t.Fatal("nobody is elected")
		}
	}
}

// What a stream's leader has not answered when it ceases to lead is not waited for any longer, on any node.
func TestClusterLeaderMoves(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	leader := n.leader()
	nc := n.client(leader)
	asked := silent(t, nc, "ev.unanswered") // no event's subject, but it belongs to their stream
	failed := make(chan error, len(n.nodes))
	for _, j := range n.nodes {
		go func() {
			for { // until it is known on that node that somebody listens
				err := journal.Publish(t.Context(), j, "ev.unanswered")
				if !errors.Is(err, nats.ErrNoResponders) {
					failed <- err
					return
				}
			}
		}()
	}
	for range n.nodes {
		receive(t, asked)
	}
	_, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.EV", nil, within)
	must(t, err)
	for range n.nodes {
		if err := receive(t, failed); !errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "elected") {
			t.Errorf("%v, want ErrUnavailable since a leader was elected", err)
		}
	}
}

// What gives out a shard's work reads the copy that is never behind, whatever node works on the shard.
func TestClusterReadsTheLeadersCopy(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	var shards []*journal.Shard
	for shard := range 6 {
		shards = append(shards, mustShard(t, n.nodes[shard%3], shard))
	}
	read := func() {
		t.Helper()
		for _, stream := range []string{"EV", "DL"} {
			waitFor(t, func() bool { // another node may come to lead
				for _, s := range shards {
					nothing(t, s.NextEvents)
					nothing(t, s.NextDeliveries)
				}
				read := map[string]bool{}
				for _, subject := range natstest.Feeds(t, n.nodes[n.leader()].Server(), stream) {
					read[subject] = true
				}
				return len(read) == len(shards)
			})
		}
	}
	read()
	_, err := n.client(0).Request("$JS.API.STREAM.LEADER.STEPDOWN.EV", nil, within)
	must(t, err)
	read()
}
