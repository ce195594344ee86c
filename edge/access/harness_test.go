package access_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminText = "wsk_0123456789-admin_key"

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// log is a real log's bucket, whose watches a test can break.
type log struct {
	*journal.Bucket
	mu     sync.Mutex
	broken chan struct{}

	put  func() error // runs before each Put, if not nil
	puts atomic.Int64
}

// Put counts.
func (l *log) Put(ctx context.Context, key string, data []byte) (uint64, error) {
	l.puts.Add(1)
	if l.put != nil {
		if err := l.put(); err != nil {
			return 0, err
		}
	}
	return l.Bucket.Put(ctx, key, data)
}

var errBroken = errors.New("the watch broke")

func openLog(tb testing.TB) *log {
	tb.Helper()
	j, err := journal.Open(tb.Context(), journal.Config{Dir: tb.TempDir(), Shards: 1, Logger: zerolog.Nop()})
	must(tb, err)
	tb.Cleanup(func() { must(tb, j.Close(context.Background())) })
	b, err := j.KV(tb.Context(), "config")
	must(tb, err)
	return &log{Bucket: b, broken: make(chan struct{})}
}

// WatchKeys ends when the test breaks it.
func (l *log) WatchKeys(ctx context.Context, filter string, change func(journal.Change), ready func()) error {
	l.mu.Lock()
	broken := l.broken
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-broken:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := l.Bucket.WatchKeys(ctx, filter, change, ready)
	select {
	case <-broken:
		return errBroken
	default:
		return err
	}
}

// breakOff ends the watches; new ones hold.
func (l *log) breakOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.broken)
	l.broken = make(chan struct{})
}

func open(tb testing.TB, l access.Bucket, now func() time.Time) *access.Keyring {
	tb.Helper()
	admin, err := access.NewConfigured("admin", event.SecretOf(adminText))
	must(tb, err)
	r, err := access.Open(tb.Context(), access.Config{Bucket: l, Configured: []access.Configured{admin}, Logger: zerolog.Nop(), Now: now})
	must(tb, err)
	tb.Cleanup(r.Close)
	return r
}

// make1 makes a key and returns who holds it.
func make1(tb testing.TB, r *access.Keyring, by *access.Caller, k access.Key) (*access.Caller, access.Key) {
	tb.Helper()
	made, text, err := r.Create(tb.Context(), by, k)
	must(tb, err)
	c, err := r.Find(text.Reveal())
	must(tb, err)
	return c, made
}

// eventually waits until what holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain for: %s", what)
		}
	}
}
