package journal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

// load appends on several nodes until it is stopped, and keeps what was answered.
type load struct {
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	seqs map[uint64]bool
	many atomic.Int64
}

func startLoad(tb testing.TB, nodes ...*journal.Journal) *load {
	tb.Helper()
	l := &load{stop: make(chan struct{}), seqs: map[uint64]bool{}}
	for i, j := range nodes {
		for k := range 4 {
			l.done.Go(func() { l.run(tb, j, fmt.Sprintf("load:%d", 4*i+k)) })
		}
	}
	return l
}

func (l *load) run(tb testing.TB, j *journal.Journal, channel string) {
	tb.Helper()
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		at, err := j.Append(tb.Context(), newEvent(channel))
		switch {
		case errors.Is(err, journal.ErrClosed): // its node was stopped
			return
		case errors.Is(err, journal.ErrUnavailable):
			continue
		case err != nil:
			tb.Errorf("appending: %v", err)
			return
		}
		l.mu.Lock()
		l.seqs[at.Seq] = true
		l.mu.Unlock()
		l.many.Add(1)
	}
}

// more waits until so many more were answered.
func (l *load) more(tb testing.TB, n int64) {
	tb.Helper()
	until := l.many.Load() + n
	waitFor(tb, func() bool { return l.many.Load() >= until })
}

// end stops it, and fails unless a node has everything that was answered.
func (l *load) end(tb testing.TB, j *journal.Journal) {
	tb.Helper()
	close(l.stop)
	l.done.Wait()
	l.check(tb, j)
}

func (l *load) check(tb testing.TB, j *journal.Journal) {
	tb.Helper()
	found := map[uint64]bool{}
	for after := uint64(0); ; {
		var page []journal.Entry
		waitFor(tb, func() (ok bool) {
			var err error
			page, err = j.HistoryFrom(tb.Context(), "load:*", after, 1000)
			return err == nil
		})
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			found[e.Seq] = true
			after = e.Seq
		}
	}
	lost := 0
	for seq := range l.seqs {
		if !found[seq] {
			lost++
		}
	}
	if lost > 0 || len(l.seqs) == 0 {
		tb.Errorf("%d of %d events that were answered are lost", lost, len(l.seqs))
	}
}

// whole waits until every stream has its three copies, on these nodes.
func whole(tb testing.TB, j *journal.Journal, names ...string) {
	tb.Helper()
	var peers []journal.Peer
	ok := func() bool {
		ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Second)
		defer cancel()
		var err error
		if peers, err = j.Peers(ctx); err != nil || len(peers) != len(names) {
			return false
		}
		for i, p := range peers {
			if p.Name != names[i] || !p.Online || !p.Current {
				return false
			}
		}
		return journal.Whole(ctx, j) == nil
	}
	deadline := time.After(4 * within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("the log's nodes are %+v, want %v, all current", peers, names)
		}
	}
}

// A node that has lost its disk returns under its name, while the others are written to, and has all of it
// again: the log goes on with it and one of the others.
func TestClusterNodeReturnsEmpty(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	gone := n.leader()
	left, other := (gone+1)%3, (gone+2)%3
	l := startLoad(t, n.nodes[left], n.nodes[other])
	l.more(t, 2000)
	closeJournal(t, n.nodes[gone])
	l.more(t, 1000)
	n.cfgs[gone].Dir = filepath.Join(t.TempDir(), "log")
	n.start(gone)
	l.more(t, 1000)
	whole(t, n.nodes[left], "n1", "n2", "n3")
	closeJournal(t, n.nodes[other])
	l.more(t, 200)
	l.end(t, n.nodes[gone])
}

// A core node beyond the copies counts, too: one that left is told of until it is removed, by nodes that hold
// nothing of the log as well.
func TestClusterTellsOfNodesWithoutACopy(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	edge := openWith(t, n.visitor())
	fourth := n.cfgs[2]
	fourth.Dir, fourth.Node = filepath.Join(t.TempDir(), "log"), "n4"
	fourth.Cluster = &journal.Cluster{Routes: freeAddr(t), Peers: n.cfgs[2].Cluster.Peers, Clients: freeAddr(t)}
	told := func(online, there bool) {
		t.Helper()
		for _, j := range []*journal.Journal{n.nodes[0], n.nodes[1], edge} {
			waitFor(t, func() bool {
				peers, err := j.Peers(t.Context())
				if err != nil || len(peers) < 3 {
					return false
				}
				copies := 0
				for _, p := range peers {
					if p.Copy {
						copies++
					}
				}
				if !there {
					return len(peers) == 3 && copies == 3
				}
				last := peers[len(peers)-1]
				return len(peers) == 4 && copies == 3 && last.Name == "n4" && last.Online == online && !last.Copy && !last.Leader
			})
		}
	}
	told(false, false)
	j := openWith(t, fourth)
	told(true, true)
	closeJournal(t, j)
	told(false, true)
	waitFor(t, func() bool { return n.nodes[0].RemovePeer(t.Context(), "n4") == nil })
	told(false, false)
}

// A node that will not come back is removed, and another one takes its place: before or after.
func TestClusterNodeIsReplaced(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"removed first": true, "started first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startTrio(t)
			l := startLoad(t, n.nodes[0], n.nodes[1])
			l.more(t, 1000)
			closeJournal(t, n.nodes[2])
			remove := func() {
				waitFor(t, func() bool { return n.nodes[0].RemovePeer(t.Context(), "n3") == nil })
			}
			if first {
				remove()
				l.more(t, 500)
			}
			n.cfgs[2].Dir, n.cfgs[2].Node = filepath.Join(t.TempDir(), "log"), "n4"
			n.cfgs[2].Cluster.Routes, n.cfgs[2].Cluster.Clients = freeAddr(t), freeAddr(t)
			n.start(2)
			if !first {
				remove()
			}
			whole(t, n.nodes[0], "n1", "n2", "n4")
			closeJournal(t, n.nodes[1])
			l.more(t, 200)
			l.end(t, n.nodes[2])
			if err := n.nodes[0].RemovePeer(t.Context(), "n3"); !errors.Is(err, journal.ErrNotFound) {
				t.Errorf("removing it again: %v", err)
			}
		})
	}
}
