package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/cluster/journal"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  journal.Config
		want string
	}{
		"neither":       {journal.Config{}, `either Dir ("") or URL (""), or a cluster`},
		"both":          {journal.Config{Dir: "d", URL: "nats://me:secret@h:4222"}, `either Dir ("d") or URL ("nats://h:4222"), or a cluster`},
		"shards":        {journal.Config{Dir: "d", Shards: 257}, "Shards is 257; allowed are 1 to 256"},
		"below":         {journal.Config{Dir: "d", Shards: -1}, "Shards is -1"},
		"age":           {journal.Config{Dir: "d", EventAge: time.Second}, "EventAge is 1s; at least 1m is needed"},
		"store":         {journal.Config{Dir: "d", MaxStore: -1}, "MaxStore is -1"},
		"events":        {journal.Config{Dir: "d", EventBytes: -2}, "EventBytes is -2"},
		"work, records": {journal.Config{Dir: "d", WorkBytes: -3, RecordBytes: -4}, "WorkBytes is -3; it cannot be negative\njournal: RecordBytes is -4"},
		"dead":          {journal.Config{Dir: "d", DeadBytes: -5}, "DeadBytes is -5"},
	} {
		if _, err := journal.Open(t.Context(), tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tc.want)
		}
		if _, err := os.Stat("d"); err == nil {
			t.Fatalf("%s: the directory was made", name)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                      "",
		"nats://h:1":                            "nats://h:1",
		"nats://u:p@h:1":                        "nats://h:1",
		"nats://token@h:1,tls://u:p@s@h2:2,h3:": "nats://h:1,tls://h2:2,h3:",
		"u:p@h":                                 "h",
	} {
		if got := journal.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// refused checks that the store is refused for that reason, with its path and a way out, and that
// nothing in it was changed.
func refused(t *testing.T, cfg journal.Config, want error, words ...string) {
	t.Helper()
	before := tree(t, cfg.Dir)
	_, err := journal.Open(t.Context(), cfg)
	var store *journal.StoreError
	if !errors.Is(err, want) || !errors.As(err, &store) || store.Path != cfg.Dir || store.Do == "" {
		t.Fatalf("%v; want a *StoreError for %s that is %v and says what to do", err, cfg.Dir, want)
	}
	for _, w := range append(words, cfg.Dir) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
	if after := tree(t, cfg.Dir); after != before {
		t.Errorf("the directory was changed from\n%sto\n%s", before, after)
	}
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %d %x\n", path, len(data), uuid.NewSHA1(uuid.Nil, data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLockedStore(t *testing.T) {
	t.Parallel()
	cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t)}
	j := openWith(t, cfg)
	_, err := journal.Open(t.Context(), cfg)
	pid := fmt.Sprintf("pid %d", os.Getpid())
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), pid) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("opening it twice: %v, want ErrLocked with %s", err, pid)
	}
	closeJournal(t, j)
	if err := os.WriteFile(filepath.Join(cfg.Dir, "wedsync.lock"), []byte("nonsense, but nobody holds it"), 0o600); err != nil {
		t.Fatal(err)
	}
	openWith(t, cfg)
}

func TestForeignStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "photos", "wedding.jpg"), "x")
	refused(t, journal.Config{Dir: dir}, journal.ErrForeign, `"photos"`)

	for name, marker := range map[string]string{
		"not JSON": "{", "of nothing": "{}", "of another program": `{"name":"x"}`, "empty": "",
		"of a cluster": `{"format":1,"mode":"cluster","shards":8}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "wedsync.json"), marker)
			write(t, filepath.Join(dir, "wedsync.lock"), fmt.Sprintln(os.Getpid()))
			refused(t, journal.Config{Dir: dir}, journal.ErrForeign)
		})
	}
	newer := t.TempDir()
	write(t, filepath.Join(newer, "wedsync.json"), `{"format":2,"something":"else"}`)
	write(t, filepath.Join(newer, "wedsync.lock"), fmt.Sprintln(os.Getpid()))
	refused(t, journal.Config{Dir: newer}, journal.ErrNewer, "format 2")
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x")
	var store *journal.StoreError
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := journal.Open(t.Context(), journal.Config{Dir: dir}); !errors.As(err, &store) || store.Path != dir {
			t.Errorf("%s: %v, want a *StoreError", dir, err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "wedsync.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(t.Context(), journal.Config{Dir: dir}); !errors.As(err, &store) {
		t.Errorf("a marker that is a directory: %v, want a *StoreError", err)
	}
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "wedsync.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(t.Context(), journal.Config{Dir: dir}); !errors.As(err, &store) {
		t.Errorf("a lock that is a directory: %v, want a *StoreError", err)
	}
	dir = t.TempDir()
	closeJournal(t, openWith(t, journal.Config{Dir: dir, Logger: logger(t)}))
	if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "log"), "not a directory")
	if _, err := journal.Open(t.Context(), journal.Config{Dir: dir, Logger: logger(t)}); !errors.As(err, &store) {
		t.Errorf("a log that is a file: %v, want a *StoreError", err)
	}
}

func TestWhatAFirstStartMayFind(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	write(t, filepath.Join(dir, "wedsync.lock"), "")
	write(t, filepath.Join(dir, "wedsync.json.123"), "{")                     // a start that was cut short
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o700); err != nil { // a fresh file system
		t.Fatal(err)
	}
	j := openWith(t, journal.Config{Dir: dir, Logger: logger(t)})
	var m struct {
		Format, Shards int
		Mode           string
		Created        time.Time
	}
	data, err := os.ReadFile(filepath.Join(dir, "wedsync.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Format != 1 || m.Shards != 8 || m.Mode != "standalone" || time.Since(m.Created) > time.Hour {
		t.Errorf("the marker is %s", data)
	}
	if _, err := uuid.Parse(j.Epoch()); err != nil {
		t.Errorf("the epoch is %q: %v", j.Epoch(), err)
	}
	if s := status(t, j); s.Mode != "standalone" || s.Store != dir || s.Epoch != j.Epoch() || s.DiskFree <= 0 {
		t.Errorf("the status is %+v", s)
	}
}

func TestShardCountIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openWith(t, journal.Config{Dir: dir, Shards: 3, Logger: logger(t)})
	if j.Shards() != 3 {
		t.Errorf("there are %d shards", j.Shards())
	}
	closeJournal(t, j)
	_, err := journal.Open(t.Context(), journal.Config{Dir: dir, Logger: logger(t)})
	var count *journal.ShardCountError
	if !errors.As(err, &count) || count.Stored != 3 || count.Wanted != 8 || count.Path != dir || !strings.Contains(err.Error(), "set the shard count to 3") {
		t.Errorf("opening it with 8: %v, want a *ShardCountError", err)
	}
	openWith(t, journal.Config{Dir: dir, Shards: 3, Logger: logger(t)})
}

// A log that was removed is another log: sequences begin again, so it must not have the old epoch.
func TestLostLogGetsANewEpoch(t *testing.T) {
	t.Parallel()
	cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t)}
	j := openWith(t, cfg)
	epoch := j.Epoch()
	mustAppend(t, j, newEvent("a:b"))
	closeJournal(t, j)
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "log")); err != nil {
		t.Fatal(err)
	}
	j = openWith(t, cfg)
	if j.Epoch() == epoch || j.Epoch() == "" {
		t.Errorf("the epoch is %q, was %q", j.Epoch(), epoch)
	}
	next := j.Epoch()
	closeJournal(t, j)
	if j = openWith(t, cfg); j.Epoch() != next {
		t.Errorf("the new epoch was not kept: %q, was %q", j.Epoch(), next)
	}
}

func TestSizesFitTheDisk(t *testing.T) {
	t.Parallel()
	const mib, gib = 1 << 20, 1 << 30
	for name, tc := range map[string]struct {
		cfg   journal.Config
		room  int64
		store int64
		want  [4]int64 // EV, DL, REC, DEAD; 0: any
	}{
		"a large disk":     {journal.Config{}, 1000 * gib, 32 * gib, [4]int64{8 * gib, 4 * gib, 10 * gib, gib}},
		"an external one":  {journal.Config{}, 0, 0, [4]int64{8 * gib, 4 * gib, 10 * gib, gib}},
		"10 GiB":           {journal.Config{}, 10 * gib, 8 * gib, [4]int64{}},
		"no room at all":   {journal.Config{}, 1, 64 * mib, [4]int64{}},
		"one is set":       {journal.Config{EventBytes: 5 * gib}, 10 * gib, 8 * gib, [4]int64{5 * gib}},
		"all are set":      {journal.Config{MaxStore: gib, EventBytes: mib, WorkBytes: mib, RecordBytes: mib, DeadBytes: mib}, gib, gib, [4]int64{mib, mib, mib, mib}},
		"little is left":   {journal.Config{MaxStore: 20 * mib, EventBytes: 16 * mib}, 1000 * gib, 20 * mib, [4]int64{16 * mib}},
		"the store is set": {journal.Config{MaxStore: gib}, 1000 * gib, gib, [4]int64{}},
	} {
		store, streams, buckets, err := journal.ChooseSizes(tc.cfg, tc.room)
		if err != nil || store != tc.store {
			t.Errorf("%s: the store may have %d, %v; want %d", name, store, err, tc.store)
			continue
		}
		sum := buckets
		for i, bytes := range streams {
			sum += bytes
			if bytes <= 0 || tc.want[i] > 0 && bytes != tc.want[i] {
				t.Errorf("%s: stream %d may have %d, want %d", name, i, bytes, tc.want[i])
			}
		}
		if store > 0 && (sum > store || buckets <= 0) {
			t.Errorf("%s: all streams together may have %d of %d", name, sum, store)
		}
	}
	_, _, _, err := journal.ChooseSizes(journal.Config{MaxStore: gib, RecordBytes: gib}, gib)
	var store *journal.StoreError
	if !errors.As(err, &store) || !errors.Is(err, journal.ErrFull) || !strings.Contains(err.Error(), "1073741824") {
		t.Errorf("sizes above MaxStore: %v, want a *StoreError with the numbers", err)
	}
}

// Less room than last time must neither delete what is stored nor keep the log from opening.
func TestSmallerSizesDeleteNothing(t *testing.T) {
	t.Parallel()
	cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t)}
	j := openWith(t, cfg)
	fill(t, j, 2000, 10)
	kv := bucket(t, j, "config")
	if _, err := kv.Put(t.Context(), "k", bytes.Repeat([]byte("x"), 100_000)); err != nil {
		t.Fatal(err)
	}
	before := stream(t, j, "EV")
	closeJournal(t, j)
	cfg.MaxStore, cfg.EventBytes = 80<<20, 10_000
	j = openWith(t, cfg)
	if after := stream(t, j, "EV"); after.Messages != before.Messages || after.FirstSeq != 1 || after.MaxBytes != before.Bytes {
		t.Errorf("the events were %+v, are %+v; want the same, in a stream that takes no more", before, after)
	}
	if _, err := j.Append(t.Context(), newEvent("a:b")); !errors.Is(err, journal.ErrFull) {
		t.Errorf("appending to it: %v, want ErrFull", err)
	}
	if _, err := bucket(t, j, "config").Get(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	closeJournal(t, j)
	cfg.MaxStore, cfg.EventBytes = 0, 0
	j = openWith(t, cfg)
	mustAppend(t, j, newEvent("a:b"))
}
