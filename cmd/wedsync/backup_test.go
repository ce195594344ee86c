package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// threePorts is a loopback address that nobody listens on, nor on the two ports after it, outside of the range from
// which connections get theirs.
func threePorts(t *testing.T) string {
	t.Helper()
	for {
		addr, free := fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)), true
		for n := range 3 {
			next, err := portAfter(addr, n)
			if err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", next)
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return addr
		}
	}
}

// cores are the configurations of three nodes that are one cluster.
func cores(t *testing.T, change ...func(*Config)) [3]Config {
	t.Helper()
	var all [3]Config
	key := event.SecretOf(cluster.GenerateKey().Reveal())
	join := []string{threePorts(t), threePorts(t), threePorts(t)}
	for i := range all {
		all[i] = testConfig(t)
		all[i].Node.Name = fmt.Sprint("n", i+1)
		all[i].Cluster.Bind, all[i].Cluster.Join, all[i].Cluster.Key = join[i], join, key
		for _, c := range change {
			c(&all[i])
		}
	}
	return all
}

// startAll starts nodes side by side and stops them when the test ends.
func startAll(t *testing.T, all ...Config) []*node {
	t.Helper()
	nodes := make([]*node, len(all))
	var starting sync.WaitGroup
	for i, c := range all {
		starting.Go(func() {
			n := newNode(c, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel))
			if err := n.Start(t.Context()); err != nil {
				t.Errorf("%s: %v", c.Node.Name, err)
				return
			}
			nodes[i] = n
		})
	}
	starting.Wait()
	t.Cleanup(func() {
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
	})
	if t.Failed() {
		t.FailNow()
	}
	return nodes
}

// clusterFlags are the flags of "wedsync serve", and of "wedsync log restore", for a node of a cluster.
func clusterFlags(c Config) []string {
	return []string{
		"--data", c.Data, "--name", c.Node.Name, "--bind", c.Cluster.Bind, "--join", strings.Join(c.Cluster.Join, ","),
		"--cluster-key", c.Cluster.Key.Reveal(), "--log-level=error",
	}
}

// copyKeys puts a node's keys into another data folder, as an operator does.
func copyKeys(t *testing.T, from, to string) {
	t.Helper()
	for name := range keyMakers {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
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
	go func() { restored <- wedsync(t, restore...) }()
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

// A node's log is copied while it runs, and restored for another one.
func TestBackupOfARunningNode(t *testing.T) {
	t.Parallel()
	n := startNode(t, testConfig(t))
	seq := publishOn(t, n, "a:b", `{"n":1}`)
	backup := filepath.Join(t.TempDir(), "backup")
	var told struct {
		Folder, Epoch string
		Online        bool
		Bytes         int64
	}
	got := wedsync(t, "log", "backup", "--to", backup, "--addr", n.URL(), "--data", n.cfg.Data, "--json")
	if got.code != exitOK || got.errors != "" || json.Unmarshal([]byte(got.out), &told) != nil || !told.Online || told.Bytes == 0 || told.Epoch != n.journal.Epoch() {
		t.Fatalf("%+v", got)
	}
	if got := wedsync(t, "log", "backup", "--to", backup, "--addr", n.URL(), "--data", n.cfg.Data); got.code != exitFailed || !strings.Contains(got.errors, "name an empty folder") {
		t.Errorf("into the same folder: %+v", got)
	}
	if got := wedsync(t, "log", "backup", "--offline", "--to", filepath.Join(t.TempDir(), "b"), "--data", n.cfg.Data); got.code != exitFailed ||
		!strings.Contains(got.errors, journal.ErrLocked.Error()) || !strings.Contains(got.errors, "is no backup") {
		t.Errorf("offline, beside the node: %+v", got)
	}
	other := testConfig(t)
	copyKeys(t, n.cfg.Data, other.Data)
	restore := []string{"log", "restore", "--from", backup, "--data", other.Data, "--log-level=error"}
	if got := wedsync(t, append(restore, "--set", "log.shards=4")...); got.code != exitFailed || !strings.Contains(got.errors, "set the shard count to 8") {
		t.Errorf("with other shards: %+v", got)
	}
	if got := wedsync(t, restore...); got.code != exitOK || !strings.Contains(got.errors, "EV.snapshot is restored, ") {
		t.Fatalf("%+v", got)
	}
	m := startNode(t, other)
	ev, err := m.journal.EventAt(t.Context(), seq)
	if err != nil || string(ev.Payload) != `{"n":1}` || m.journal.Epoch() == n.journal.Epoch() {
		t.Errorf("the event is %+v, %v, in the epoch %s", ev, err, m.journal.Epoch())
	}
	if got := wedsync(t, "integrations", "--addr", m.URL(), "--data", n.cfg.Data); got.code != exitOK {
		t.Errorf("with the old node's key: %+v", got)
	}
}

func TestBackupThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	part := func(name, body string) string {
		return "--x\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\n\r\n" + body + "\r\n"
	}
	good := filepath.Join(t.TempDir(), "good")
	n := startNode(t, testConfig(t))
	if got := wedsync(t, "log", "backup", "--to", good, "--addr", n.URL(), "--data", n.cfg.Data); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	manifest, err := os.ReadFile(filepath.Join(good, journal.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct{ kind, body string }{
		"sends no backup":         {"application/json", "{}"},
		"the log is away":         {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + part("problem.json", `{"detail":"the log is away"}`) + "--x--\r\n"},
		"sends no more":           {"multipart/mixed; boundary=x", part("EV.snapshot", "a")},
		"no more: unexpected EOF": {"multipart/mixed; boundary=x", strings.TrimSuffix(part("EV.snapshot", "a"), "\r\n")},
		"none of a backup":        {"multipart/mixed; boundary=x", part("api.key", "a") + "--x--\r\n"},
		"no manifest":             {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + "--x--\r\n"},
		"did not arrive":          {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + part(journal.ManifestFile, string(manifest)) + "--x--\r\n"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				_, _ = w.Write([]byte(c.body))
			}))
			t.Cleanup(node.Close)
			to := t.TempDir()
			got := wedsync(t, "log", "backup", "--to", to, "--addr", node.URL, "--data", t.TempDir())
			if got.code != exitFailed || !strings.Contains(got.errors, want) || !strings.Contains(got.errors, "is no backup") {
				t.Errorf("%+v, want %q", got, want)
			}
			if _, err := os.Stat(filepath.Join(to, journal.ManifestFile)); !os.IsNotExist(err) {
				t.Errorf("there is a manifest: %v", err)
			}
			if got := wedsync(t, "log", "restore", "--from", to, "--data", n.cfg.Data, "--log-level=error"); got.code != exitFailed || !strings.Contains(got.errors, "no whole backup") {
				t.Errorf("restored: %+v", got)
			}
		})
	}
}
