package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge"
)

func TestCoresMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cores   int
		members string // h: holds the log, e: is empty, x: an edge
		self    int
		want    string
	}{
		{3, "eee", 0, ""},
		{3, "ee", 0, "2 of 3"},
		{3, "eex", 0, "2 of 3"},
		{3, "hhe", 2, ""},
		{3, "he", 1, "1 hold it"},
		{3, "hee", 1, "1 hold it and are there, and 2 have none"},
		{3, "hee", 0, ""}, // it holds it
		{3, "hhhe", 3, ""},
		{1, "e", 0, ""},
		{1, "he", 1, ""},
		{5, "hheee", 4, "2 hold it"},
		{5, "hhhee", 4, ""},
	} {
		var members []cluster.Member
		for i, kind := range c.members {
			roles := cluster.Core
			if kind == 'x' {
				roles = cluster.Edge
			}
			members = append(members, cluster.Member{Name: fmt.Sprint("n", i), Roles: roles, Empty: kind == 'e'})
		}
		if got := coresMissing(fmt.Sprint("n", c.self), members, c.cores); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%d of %s in %d waits for %q, want %q", c.self, c.members, c.cores, got, c.want)
		}
	}
}

// Two of three nodes come back with empty disks: with or without the third they make no log of their own.
func TestEmptyNodesMakeNoLogBesideAnother(t *testing.T) {
	t.Parallel()
	all := cores(t)
	seq, epoch := uint64(0), ""
	t.Run("first", func(t *testing.T) {
		nodes := startAll(t, all[:]...)
		seq, epoch = publishOn(t, nodes[1], "a:b", `{"n":1}`), nodes[0].journal.Epoch()
	})
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
	nodes := startAll(t, all[:]...) // with one of the disks found again, the other is made up for
	if ev, err := nodes[2].journal.EventAt(t.Context(), seq); err != nil || string(ev.Payload) != `{"n":1}` || nodes[2].journal.Epoch() != epoch {
		t.Errorf("the event is %+v, %v, in the epoch %s, was %s", ev, err, nodes[2].journal.Epoch(), epoch)
	}
}

// While one of three is away the others are degraded, and tell which it is.
func TestNodesTellThatOneIsAway(t *testing.T) {
	t.Parallel()
	all := cores(t)
	nodes := startAll(t, all[:]...)
	newTrouble(t, nodes[0], func(text string) bool { return text == "" })
	if err := nodes[2].Stop(); err != nil {
		t.Fatal(err)
	}
	last := newTrouble(t, nodes[0], func(text string) bool { return strings.Contains(text, "n3 is away") })
	if !strings.HasPrefix(last, "2 of 3 copies of the log are whole; ") {
		t.Errorf("it says %q", last)
	}
	waitMetric(t, nodes[1].URL(), `wedsync_log_peer_online{peer="n3"} 0`)
	waitMetric(t, nodes[1].URL(), `wedsync_log_peer_online{peer="n1"} 1`)
	if _, body := get(t, nodes[1].URL()+"/metrics"); strings.Count(body, "\nwedsync_log_peer_leader{") != 3 || strings.Count(body, "\nwedsync_log_peer_lag{") != 3 {
		t.Errorf("the metrics have not all peers: %s", body)
	}
}

// newTrouble waits until a node says so of its copies.
func newTrouble(t *testing.T, n *node, is func(string) bool) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var r edge.Readiness
		status, body := get(t, n.URL()+"/readyz")
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		c := r.Components["copies"]
		if is(c.Detail) && (status == http.StatusOK || c.Status == "ok") {
			return c.Detail
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it says %q", c.Detail)
		}
	}
}
