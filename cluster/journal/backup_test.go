package journal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// folder is a backup in memory.
type folder map[string]*bytes.Buffer

func (f folder) create(name string) (io.Writer, error) {
	f[name] = &bytes.Buffer{}
	return f[name], nil
}

func (f folder) open(name string) (io.ReadCloser, error) {
	b := f[name]
	if b == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b.Bytes())), nil
}

func (f folder) without(name string) folder {
	return f.with(name, nil)
}

func (f folder) with(name string, data []byte) folder {
	other := folder{}
	for n, b := range f {
		other[n] = b
	}
	delete(other, name)
	if data != nil {
		other[name] = bytes.NewBuffer(data)
	}
	return other
}

func (f folder) restore(tb testing.TB, cfg journal.Config, change ...func(*journal.Restore)) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*within)
	defer cancel()
	r := journal.Restore{Open: f.open}
	for _, c := range change {
		c(&r)
	}
	_, err := journal.RestoreLog(ctx, cfg, r)
	return err
}

func backUp(tb testing.TB, j *journal.Journal, online bool) folder {
	tb.Helper()
	f := folder{}
	if err := j.Backup(tb.Context(), online, f.create, nil); err != nil {
		tb.Fatal(err)
	}
	return f
}

// used is what a log holds of everything: on one channel of shard, an event that is routed and delivered,
// one that is routed and waits, one that was given out, and one that nobody has seen.
type used struct {
	shard, delivers int
	events          [4]journal.Appended
	waits           string // the id of the delivery that waits
}

func use(tb testing.TB, j *journal.Journal) (u used) {
	tb.Helper()
	u.shard, u.delivers = j.ShardOf("a:b"), j.ShardOf("crm")
	for i := range u.events {
		u.events[i] = mustAppend(tb, j, newEvent("a:b"))
	}
	s := mustShard(tb, j, u.shard)
	d := mustShard(tb, j, u.delivers)
	for i, e := range events(tb, s, 3) {
		if i == 2 {
			break // it is under way
		}
		delivery := newDelivery(e.Event.Seq, "crm")
		must(tb, j.Enqueue(tb.Context(), delivery))
		e.Ack()
		u.waits = delivery.ID
	}
	for i, w := range deliveries(tb, d, 2) {
		if i == 0 {
			must(tb, w.Ack())
		}
	}
	waitFor(tb, func() bool {
		shards := status(tb, j).Shards
		return shards[u.shard].RouteLag == 2 && shards[u.delivers].DeliveryLag == 1
	})
	must(tb, j.Bury(tb.Context(), &event.DeadLetter{V: event.Version, Delivery: *newDelivery(9, "crm"), Event: *newEvent("a:b")}))
	must(tb, j.Record(tb.Context(), "r1", newRecord("x")))
	config, err := j.KV(tb.Context(), "config")
	must(tb, err)
	_, err = config.Put(tb.Context(), "in/crm", []byte(`{"id":"crm"}`))
	must(tb, err)
	return u
}

// check fails unless the log has what was used, and gives out nothing twice.
func (u used) check(tb testing.TB, j *journal.Journal) {
	tb.Helper()
	all, err := j.History(tb.Context(), "a:b", 0, 10)
	must(tb, err)
	for i, e := range all {
		if i >= len(u.events) || e.Seq != u.events[i].Seq {
			tb.Errorf("the history has %d at %d", e.Seq, i)
		}
	}
	s := mustShard(tb, j, u.shard)
	for i, e := range events(tb, s, 2) {
		if e.Event.Seq != u.events[2+i].Seq {
			tb.Errorf("event %d comes to be routed, want %d", e.Event.Seq, u.events[2+i].Seq)
		}
		e.Ack()
	}
	nothing(tb, s.NextEvents)
	d := mustShard(tb, j, u.delivers)
	if w := deliveries(tb, d, 1)[0]; w.Delivery.ID != u.waits {
		tb.Errorf("%s comes to be delivered, want %s", w.Delivery.ID, u.waits)
	} else {
		must(tb, w.Ack())
	}
	nothing(tb, d.NextDeliveries)
	letters, err := j.DeadLetters(tb.Context(), journal.DeadQuery{Limit: 10})
	must(tb, err)
	records, err := j.Records(tb.Context(), 0, 10, time.Millisecond)
	must(tb, err)
	if len(letters) != 1 || len(records) != 1 || len(all) != len(u.events) {
		tb.Errorf("there are %d events, %d dead letters, %d records", len(all), len(letters), len(records))
	}
	config, err := j.KV(tb.Context(), "config")
	must(tb, err)
	if v, err := config.Get(tb.Context(), "in/crm"); err != nil || string(v.Data) != `{"id":"crm"}` {
		tb.Errorf("the configuration has %q, %v", v.Data, err)
	}
}

func TestRestoreIsTheSameLog(t *testing.T) {
	t.Parallel()
	old := open(t)
	u := use(t, old)
	mustClaim(t, old, "0")
	epoch := old.Epoch()
	stopped := func(dir string) (backup folder, err error) {
		backup = folder{}
		return backup, journal.BackupStopped(t.Context(), dir, logger(t), backup.create, nil)
	}
	dir := status(t, old).Store
	if _, err := stopped(dir); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("backing up a log that is open: %v", err)
	}
	if _, err := stopped(t.TempDir()); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("backing up no log: %v", err)
	}
	streams := status(t, old).Streams
	closeJournal(t, old)
	backup, err := stopped(dir)
	must(t, err)
	for _, s := range streams {
		if backup[s.Name+".snapshot"] == nil && s.Name != "KV_shards" {
			t.Errorf("the backup lacks %s", s.Name)
		}
	}

	cfg := journal.Config{Dir: filepath.Join(t.TempDir(), "log"), Logger: logger(t)}
	var told []journal.Progress
	must(t, backup.restore(t, cfg, func(r *journal.Restore) { r.Told = func(p journal.Progress) { told = append(told, p) } }))
	if last := told[len(told)-1]; !last.Done || last.File != "KV_secrets.snapshot" || last.Bytes != int64(backup[last.File].Len()) {
		t.Errorf("the last that was told is %+v", last)
	}
	j := openWith(t, cfg)
	if j.Epoch() != epoch {
		t.Errorf("the epoch is %s, was %s", j.Epoch(), epoch)
	}
	u.check(t, j)
	if at := mustAppend(t, j, newEvent("a:b")); at.Seq != u.events[3].Seq+1 {
		t.Errorf("the next event is %d after %d", at.Seq, u.events[3].Seq)
	}
	if l := mustClaim(t, j, "0"); l.Epoch != 1 {
		t.Errorf("a lease of the old log was restored: the next epoch is %d", l.Epoch)
	}
	if err := backup.restore(t, cfg); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("restoring into an open log: %v", err)
	}
	closeJournal(t, j)
	if err := backup.restore(t, cfg); !errors.Is(err, journal.ErrNotEmpty) || !strings.Contains(err.Error(), "empty data folder") {
		t.Errorf("restoring over a log: %v", err)
	}
	j = openWith(t, cfg)
	if last, err := j.Last(t.Context(), "a:b"); err != nil || last != u.events[3].Seq+1 {
		t.Errorf("after the refusal, the last event is %d, %v", last, err)
	}
}

// A log that went on: clients may know of events that are gone, and deliveries may be there whose events
// are not.
func TestRestoreOfALogThatWentOn(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]bool{"empty": true, "used": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := open(t)
			var u used
			if !empty {
				u = use(t, old)
			}
			backup := backUp(t, old, true)
			cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t)}
			must(t, backup.restore(t, cfg))
			j := openWith(t, cfg)
			if j.Epoch() == old.Epoch() || j.Epoch() == "" {
				t.Errorf("the epoch is %q, was %q", j.Epoch(), old.Epoch())
			}
			if !empty {
				u.check(t, j)
			}
			was := mustAppend(t, old, newEvent("a:b")).Seq
			at := mustAppend(t, j, newEvent("a:b"))
			if at.Seq < was+1<<19 {
				t.Errorf("the next event is %d; the old log had %d", at.Seq, was)
			}
			last, err := j.HistoryLast(t.Context(), "a:b", 2)
			if err != nil || last[len(last)-1].Seq != at.Seq || !empty && (len(last) != 2 || last[1].Prev != u.events[3].Seq) {
				t.Errorf("the end of the channel is %+v, %v", last, err)
			}
		})
	}
}

func TestRestoreRefusesOtherBackups(t *testing.T) {
	t.Parallel()
	j := open(t)
	use(t, j)
	backup := backUp(t, j, false)
	manifest := func(change func(m map[string]any)) []byte {
		var m map[string]any
		must(t, json.Unmarshal(backup[journal.ManifestFile].Bytes(), &m))
		change(m)
		data, err := json.Marshal(m)
		must(t, err)
		return data
	}
	damaged := bytes.Clone(backup["EV.snapshot"].Bytes())
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]struct {
		from folder
		kind error
		says string
	}{
		"nothing":   {folder{}, journal.ErrForeign, "no whole backup"},
		"partial":   {backup.without(journal.ManifestFile), journal.ErrForeign, "no whole backup"},
		"a file":    {backup.without("DL.snapshot"), journal.ErrForeign, "DL.snapshot"},
		"damaged":   {backup.with("EV.snapshot", damaged), journal.ErrForeign, "EV.snapshot"},
		"cut short": {backup.with("EV.snapshot", damaged[:100]), journal.ErrForeign, "100 bytes"},
		"no JSON":   {backup.with(journal.ManifestFile, []byte("x")), journal.ErrForeign, "manifest.json"},
		"newer":     {backup.with(journal.ManifestFile, []byte(`{"format":2,"streams":"elsewhere"}`)), journal.ErrNewer, "format 2"},
		"no stream": {backup.with(journal.ManifestFile, manifest(func(m map[string]any) { m["streams"] = m["streams"].([]any)[1:] })), journal.ErrForeign, `"KV_seen"`},
		"twice": {backup.with(journal.ManifestFile, manifest(func(m map[string]any) {
			m["streams"] = append(m["streams"].([]any), m["streams"].([]any)[0])
		})), journal.ErrForeign, `"KV_seen"`},
		"no epoch": {backup.with(journal.ManifestFile, manifest(func(m map[string]any) { delete(m, "epoch") })), journal.ErrForeign, "epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "log")
			err := c.from.restore(t, journal.Config{Dir: dir, Logger: logger(t)})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v that says %q", err, c.kind, c.says)
			}
			if found, _ := filepath.Glob(dir); len(found) > 0 {
				t.Error("it has made the store all the same")
			}
		})
	}
	var count *journal.ShardCountError
	if err := backup.restore(t, journal.Config{Dir: t.TempDir(), Shards: 4, Logger: logger(t)}); !errors.As(err, &count) || count.Stored != 8 {
		t.Errorf("another number of shards: %v", err)
	}
}

// A restore that was cut short leaves a store that nobody can open, and that can be restored into again.
func TestRestoreCutShort(t *testing.T) {
	t.Parallel()
	old := open(t)
	u := use(t, old)
	backup := backUp(t, old, false)
	cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t)}
	reads := 0
	broken := errors.New("broken")
	err := backup.restore(t, cfg, func(r *journal.Restore) {
		r.Open = func(file string) (io.ReadCloser, error) {
			if file == "DL.snapshot" {
				if reads++; reads == 2 { // the first time it is checked
					return nil, broken
				}
			}
			return backup.open(file)
		}
	})
	if !errors.Is(err, broken) {
		t.Fatalf("%v, want what the file says", err)
	}
	refused(t, cfg, journal.ErrRestoring, "restore again")
	err = backup.restore(t, cfg, func(r *journal.Restore) {
		r.Finish = func(context.Context, *journal.Journal) error { return broken }
	})
	if !errors.Is(err, broken) {
		t.Fatalf("%v, want what Finish says", err)
	}
	refused(t, cfg, journal.ErrRestoring, "restore again")
	must(t, backup.restore(t, cfg))
	u.check(t, openWith(t, cfg))
}

// full is a file on a disk that is.
type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

// A backup that cannot be written has no manifest, and what it was made of can be backed up again.
func TestBackupThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	j := open(t)
	u := use(t, j)
	broken := errors.New("no space left on device")
	for _, file := range []string{"EV.snapshot", journal.ManifestFile} {
		for name, fail := range map[string]func() (io.Writer, error){
			"created": func() (io.Writer, error) { return nil, broken },
			"written": func() (io.Writer, error) { return full{broken}, nil },
		} {
			f := folder{}
			err := j.Backup(t.Context(), true, func(name string) (io.Writer, error) {
				if name == file {
					return fail()
				}
				return f.create(name)
			}, nil)
			if !errors.Is(err, broken) || f[journal.ManifestFile] != nil {
				t.Errorf("%s cannot be %s: %v, with a manifest: %t", file, name, err, f[journal.ManifestFile] != nil)
			}
		}
	}
	cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t)}
	must(t, backUp(t, j, false).restore(t, cfg))
	u.check(t, openWith(t, cfg))
}

// A lone node's log becomes that of three, of which two wait until it is there.
func TestRestoreIntoACluster(t *testing.T) {
	t.Parallel()
	old := open(t)
	u := use(t, old)
	epoch := old.Epoch()
	backup := backUp(t, old, false)
	closeJournal(t, old)

	n := newTrio(t)
	for i := range n.cfgs {
		n.cfgs[i].Cluster.Await = i > 0
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { n.start(1) })
	waiting.Go(func() { n.start(2) })
	finished := false
	must(t, backup.restore(t, n.cfgs[0], func(r *journal.Restore) {
		r.Finish = func(ctx context.Context, j *journal.Journal) error {
			finished = n.nodes[1] == nil && n.nodes[2] == nil
			shared, err := j.KV(ctx, "wedsync")
			if err == nil {
				_, err = shared.Put(ctx, "keys", []byte("sealed"))
			}
			return err
		}
	}))
	// As docs/backup.md says: the node is started where the restore ran. Until then the others may wait, for
	// what they have yet to take over from it.
	n.start(0)
	waiting.Wait()
	if t.Failed() || !finished {
		t.Fatalf("others opened the log before it was finished: %t", !finished)
	}
	for i, j := range n.nodes {
		if j.Epoch() != epoch {
			t.Errorf("the epoch of node %d is %s, was %s", i+1, j.Epoch(), epoch)
		}
	}
	u.check(t, n.nodes[2])
	if err := backup.restore(t, n.cfgs[0]); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("restoring beside a node that runs: %v", err)
	}
	visitor := n.visitor()
	if err := backup.restore(t, visitor); !errors.Is(err, journal.ErrNotEmpty) {
		t.Errorf("restoring into a cluster that runs: %v", err)
	}

	if err := journal.BackupStopped(t.Context(), n.cfgs[0].Dir, logger(t), folder{}.create, nil); !errors.Is(err, journal.ErrForeign) {
		t.Errorf("backing up one node's part: %v", err)
	}

	// And back: a cluster's log, with what its nodes share, into another log that is shared.
	again := backUp(t, n.nodes[1], false)
	cfg := journal.Config{URL: startNATS(t).url(), Logger: logger(t)}
	must(t, again.restore(t, cfg))
	j := openWith(t, cfg)
	shared, err := j.KV(t.Context(), "wedsync")
	must(t, err)
	if v, err := shared.Get(t.Context(), "keys"); err != nil || string(v.Data) != "sealed" {
		t.Errorf("what the nodes share is %q, %v", v.Data, err)
	}
	if last, err := j.Last(t.Context(), "a:b"); err != nil || last != u.events[3].Seq || j.Epoch() != epoch {
		t.Errorf("the last event is %d, %v, in epoch %s", last, err, j.Epoch())
	}
}
