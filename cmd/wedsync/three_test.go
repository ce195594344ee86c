//go:build !race

// Several nodes in one process: each starts protoactor's remote, which sets gRPC's global logger
// (remote/server.go, Start) while the others use it. The race detector reports that.

package main

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// startAll starts nodes side by side and stops them when the test ends.
func startAll(t *testing.T, all ...Config) []*node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second) // what one waits for may have failed
	defer cancel()
	nodes := make([]*node, len(all))
	var starting sync.WaitGroup
	for i, c := range all {
		starting.Go(func() {
			n := newNode(c, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel))
			if err := n.Start(ctx); err != nil {
				t.Errorf("%s: %v", c.Node.Name, err)
				return
			}
			nodes[i] = n
		})
	}
	starting.Wait()
	t.Cleanup(func() { stopAll(t, nodes) })
	if t.Failed() {
		t.FailNow()
	}
	return nodes
}

func stopAll(t *testing.T, nodes []*node) {
	t.Helper()
	var stopping sync.WaitGroup
	for _, n := range nodes {
		if n != nil {
			stopping.Go(func() {
				if err := n.Stop(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	stopping.Wait()
	http.DefaultClient.CloseIdleConnections()
}

// clusterFlags are the flags of "wedsync serve", and of "wedsync log restore", for a node of a cluster.
func clusterFlags(c Config) []string {
	return []string{
		"--data", c.Data, "--name", c.Node.Name, "--bind", c.Cluster.Bind, "--join", strings.Join(c.Cluster.Join, ","),
		"--cluster-key", c.Cluster.Key.Reveal(), "--log-level=error",
	}
}

// received is a simulator.
type received interface{ Received() []vendors.Receipt }

// taken are the events that a vendor has taken, as they came.
func taken(v received) []string {
	var ids []string
	for _, r := range v.Received() {
		if r.Taken {
			ids = append(ids, r.EventID)
		}
	}
	return ids
}

// TestOneNodeBecomesThree: what a lone node had is all there on three, and nothing of it is sent twice.
func TestOneNodeBecomesThree(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	crm := d.sims.StudioCloud
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=sent")
	d.waitTaken(crm, "sent")
	mend := crm.Faults().Add(vendors.Fault{Status: 422})
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=dead")
	d.waitDead(1)
	mend()
	d.do("integrations", "pause", "sim-studiocloud", "--reason=moving")
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=waits")
	old, epoch := d.node, d.node.journal.Epoch()
	if err := old.Stop(); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if got := wedsync(t, "log", "backup", "--offline", "--data", old.cfg.Data, "--to", backup); got.code != exitOK || !strings.Contains(got.out, "the log is in "+backup) {
		t.Fatalf("%+v", got)
	}

	all := cores(t, func(c *Config) { c.Delivery = old.cfg.Delivery })
	restore := append([]string{"log", "restore", "--from", backup}, clusterFlags(all[0])...)
	if got := wedsync(t, restore...); got.code != exitFailed || !strings.Contains(got.errors, "master.key is not there") {
		t.Fatalf("without the keys: %+v", got)
	}
	copyKeys(t, old.cfg.Data, all[0].Data)
	all[1].Log.AwaitRestore, all[2].Log.AwaitRestore = true, true
	restored := make(chan result, 1)
	go func() {
		got := wedsync(t, restore...)
		if got.code != exitOK {
			t.Errorf("restoring: %+v", got) // the others wait for it
		}
		restored <- got
	}()
	nodes := startAll(t, all[1], all[2])
	if got := <-restored; got.code != exitOK || !strings.Contains(got.out, "is restored") {
		t.Fatalf("%+v", got)
	}
	nodes = append(nodes, startAll(t, all[0])...)

	for _, n := range nodes {
		if !n.keys.api.Equal(old.keys.api) || n.journal.Epoch() != epoch {
			t.Errorf("%s has other keys, or another epoch: %s, was %s", n.cfg.Node.Name, n.journal.Epoch(), epoch)
		}
	}
	d.node = nodes[0]
	if page := d.waitDead(1); len(page.Items) != 1 || page.Items[0].Letter.Event.ID != "dead" {
		t.Errorf("dead letters: %+v", page)
	}
	d.do("integrations", "resume", "sim-studiocloud")
	d.waitTaken(crm, "waits")
	d.node = nodes[2]
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=new")
	d.waitTaken(crm, "new")
	if got := taken(crm); !slices.Equal(got, []string{"sent", "waits", "new"}) {
		t.Errorf("the vendor has taken %v", got)
	}
	entries, err := nodes[1].journal.History(t.Context(), "supplier:dashboard:42", 0, 10)
	if err != nil || len(entries) != 4 {
		t.Errorf("the history has %d events, %v", len(entries), err)
	}
	if peers, err := nodes[1].journal.Peers(t.Context()); err != nil || len(peers) != 3 {
		t.Errorf("the log is held by %+v, %v", peers, err)
	}
	if got := wedsync(t, restore...); got.code != exitFailed || !strings.Contains(got.errors, journal.ErrLocked.Error()) {
		t.Errorf("restored once more: %+v", got)
	}
}

// waitTaken waits until a vendor has taken an event.
func (d *desk) waitTaken(v received, id string) {
	d.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !slices.Contains(taken(v), id) {
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("%s never came; there are %v", id, taken(v))
		}
	}
}

// Two of three nodes come back with empty disks: with or without the third they make no log of their own.
func TestEmptyNodesMakeNoLogBesideAnother(t *testing.T) {
	t.Parallel()
	all := cores(t)
	nodes := startAll(t, all[:]...)
	seq, epoch := publishOn(t, nodes[1], "a:b", `{"n":1}`), nodes[0].journal.Epoch()
	stopAll(t, nodes)
	kept := [2]string{all[1].Data, all[2].Data}
	all[1].Data, all[2].Data = t.TempDir(), t.TempDir()
	tries := func(which ...int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		ended := make(chan error)
		for _, i := range which {
			go func() {
				err := newNode(all[i], zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)).Start(ctx)
				ended <- err
			}()
		}
		for range which {
			if err := <-ended; err == nil || ctx.Err() == nil {
				t.Errorf("a node started, or ended with %v", err)
			}
		}
		for _, i := range []int{1, 2} {
			if !journal.EmptyDir(filepath.Join(all[i].Data, logFolder)) {
				t.Errorf("n%d has begun a log", i+1)
			}
		}
	}
	tries(1, 2)
	tries(0, 1, 2)
	all[1].Data = kept[0]
	nodes = startAll(t, all[:]...) // with one of the disks found again, the other is made up for
	if ev, err := nodes[2].journal.EventAt(t.Context(), seq); err != nil || string(ev.Payload) != `{"n":1}` || nodes[2].journal.Epoch() != epoch {
		t.Errorf("the event is %+v, %v, in the epoch %s, was %s", ev, err, nodes[2].journal.Epoch(), epoch)
	}
}

// While one of three is away the others are degraded, and tell which it is.
func TestNodesTellThatOneIsAway(t *testing.T) {
	t.Parallel()
	all := cores(t)
	nodes := startAll(t, all[:]...)
	copies := func(is func(string) bool) string {
		r := waitReadiness(t, nodes[0].URL(), func(r edge.Readiness) bool { return is(r.Components["copies"].Detail) })
		return r.Components["copies"].Detail
	}
	copies(func(text string) bool { return text == "" })
	if err := nodes[2].Stop(); err != nil {
		t.Fatal(err)
	}
	last := copies(func(text string) bool { return strings.Contains(text, "n3 is away") })
	if !strings.HasPrefix(last, "2 of 3 copies of the log are whole; ") {
		t.Errorf("it says %q", last)
	}
	waitMetric(t, nodes[1].URL(), `wedsync_log_peer_online{peer="n3"} 0`)
	waitMetric(t, nodes[1].URL(), `wedsync_log_peer_online{peer="n1"} 1`)
	if _, body := get(t, nodes[1].URL()+"/metrics"); strings.Count(body, "\nwedsync_log_peer_leader{") != 3 || strings.Count(body, "\nwedsync_log_peer_lag{") != 3 {
		t.Errorf("the metrics have not all peers: %s", body)
	}
}
