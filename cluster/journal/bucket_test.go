package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
)

func bucket(t *testing.T, j *journal.Journal, name string) *journal.Bucket {
	t.Helper()
	b, err := j.KV(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		for _, name := range []string{"config", "secrets", "seen", "answers", "clients", "syncs"} {
			b := bucket(t, j, name)
			if _, err := b.Get(t.Context(), "k"); !isNotFound(err) {
				t.Errorf("%s: a key without value: %v, want ErrNotFound", name, err)
			}
			first, err := b.Create(t.Context(), "k", []byte("1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Create(t.Context(), "k", []byte("2")); !errors.Is(err, journal.ErrConflict) {
				t.Errorf("%s: creating it again: %v, want ErrConflict", name, err)
			}
			second, err := b.Update(t.Context(), "k", []byte("2"), first)
			if err != nil || second <= first {
				t.Fatalf("%s: updating: %d, %v", name, second, err)
			}
			if _, err := b.Update(t.Context(), "k", []byte("3"), first); !errors.Is(err, journal.ErrConflict) {
				t.Errorf("%s: updating an old revision: %v, want ErrConflict", name, err)
			}
			if v, err := b.Get(t.Context(), "k"); err != nil || v.Key != "k" || string(v.Data) != "2" || v.Revision != second {
				t.Errorf("%s: it is %+v, %v; want 2", name, v, err)
			}
			third, err := b.Put(t.Context(), "k", []byte("3"))
			if err != nil || third <= second {
				t.Fatalf("%s: putting: %d, %v", name, third, err)
			}
			for range 2 {
				if err := b.Delete(t.Context(), "k"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.Get(t.Context(), "k"); !isNotFound(err) {
				t.Errorf("%s: a deleted key: %v, want ErrNotFound", name, err)
			}
			if _, err := b.Create(t.Context(), "k", nil); err != nil {
				t.Errorf("%s: creating a deleted key: %v", name, err)
			}
			if _, err := b.Put(t.Context(), "no such key", nil); err == nil {
				t.Errorf("%s: a key with spaces is taken", name)
			}
		}
		if _, err := j.KV(t.Context(), "other"); !isNotFound(err) {
			t.Errorf("an unknown bucket: %v, want ErrNotFound", err)
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		b := bucket(t, j, "config")
		for i := range 300 {
			if _, err := b.Put(t.Context(), fmt.Sprintf("int.%d", i%100), []byte(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Delete(t.Context(), "int.7"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		changes, ready, ended := make(chan journal.Change, 1000), make(chan int, 2), make(chan error, 1)
		go func() {
			ended <- b.Watch(ctx, func(c journal.Change) { changes <- c }, func() { ready <- len(changes) })
		}()
		values := map[string]string{}
		for range receive(t, ready) {
			if c := receive(t, changes); !c.Deleted {
				values[c.Key] = string(c.Data)
			}
		}
		if len(values) != 99 || values["int.8"] != "208" || values["int.7"] != "" {
			t.Errorf("at first there are %d values, int.8 is %q; want 99 and the newest", len(values), values["int.8"])
		}
		rev, err := b.Put(t.Context(), "int.8", []byte("new"))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Delete(t.Context(), "int.9"); err != nil {
			t.Fatal(err)
		}
		if c := receive(t, changes); c.Key != "int.8" || string(c.Data) != "new" || c.Revision != rev || c.Deleted {
			t.Errorf("the first change is %+v", c)
		}
		if c := receive(t, changes); c.Key != "int.9" || !c.Deleted || len(c.Data) != 0 {
			t.Errorf("the second change is %+v", c)
		}
		cancel()
		if err := receive(t, ended); !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
		if len(ready) != 0 {
			t.Error("it was ready twice")
		}
	})
}

func TestWatchKeys(t *testing.T) {
	t.Parallel()
	j := open(t)
	b := bucket(t, j, "config")
	for _, key := range []string{"int.1", "key.a", "key.b.c", "keys"} {
		if _, err := b.Put(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes, ready, ended := make(chan journal.Change, 10), make(chan int, 1), make(chan error, 1)
	go func() {
		ended <- b.WatchKeys(ctx, "key.*", func(c journal.Change) { changes <- c }, func() { ready <- len(changes) })
	}()
	if n := receive(t, ready); n != 1 {
		t.Errorf("it begins with %d values, want one", n)
	}
	if c := receive(t, changes); c.Key != "key.a" {
		t.Errorf("it begins with %s", c.Key)
	}
	for _, key := range []string{"int.1", "key.a"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if c := receive(t, changes); c.Key != "key.a" || !c.Deleted {
		t.Errorf("the first change is %+v", c)
	}
	cancel()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}

func TestBucketSizesAreKnown(t *testing.T) {
	t.Parallel()
	j := open(t)
	var names []string
	for _, s := range status(t, j).Streams {
		names = append(names, s.Name)
		if s.MaxBytes == 0 {
			t.Errorf("%s has no bound", s.Name)
		}
	}
	want := []string{"DEAD", "DL", "EV", "KV_answers", "KV_clients", "KV_config", "KV_routed", "KV_secrets", "KV_seen", "KV_shards", "KV_syncs", "REC"}
	if !slices.Equal(names, want) {
		t.Errorf("the streams are %v, want %v", names, want)
	}
}
