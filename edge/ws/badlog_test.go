package ws_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ws"
)

// badLog is the real log with faults: each function, where set, stands between it and the server.
type badLog struct {
	*journal.Journal
	mu      sync.Mutex
	live    func(e journal.Entry, fn func(journal.Entry))
	listen  func() error
	bounds  func() error
	first   uint64                                                                 // of what the log still has; 0: as it is
	history func(ctx context.Context, after uint64) ([]journal.Entry, bool, error) // true: this is the answer
}

func (l *badLog) set(change func(*badLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *badLog) faults() (live func(journal.Entry, func(journal.Entry)), listen, bounds func() error,
	history func(context.Context, uint64) ([]journal.Entry, bool, error),
) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live, l.listen, l.bounds, l.history
}

func (l *badLog) Live(pattern string, fn func(journal.Entry)) (func(), error) {
	if _, listen, _, _ := l.faults(); listen != nil {
		if err := listen(); err != nil {
			return nil, err
		}
	}
	return l.Journal.Live(pattern, func(e journal.Entry) {
		if live, _, _, _ := l.faults(); live != nil {
			live(e, fn)
			return
		}
		fn(e)
	})
}

func (l *badLog) Bounds(ctx context.Context) (uint64, uint64, error) {
	if _, _, bounds, _ := l.faults(); bounds != nil {
		if err := bounds(); err != nil {
			return 0, 0, err
		}
	}
	first, last, err := l.Journal.Bounds(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(first, l.first), last, err
}

func (l *badLog) History(ctx context.Context, channel string, after uint64, limit int) ([]journal.Entry, error) {
	if _, _, _, history := l.faults(); history != nil {
		if entries, answered, err := history(ctx, after); answered {
			return entries, err
		}
	}
	return l.Journal.History(ctx, channel, after, limit)
}

func startBad(t *testing.T, change ...func(*ws.Config)) (*node, *badLog) {
	t.Helper()
	j := openJournal(t)
	l := &badLog{Journal: j}
	n := startNode(t, j, append([]func(*ws.Config){func(c *ws.Config) { c.Log = l }}, change...)...)
	return n, l
}

// wantNumbers reads publications until the last of the range, and checks each.
func wantNumbers(t *testing.T, c *rawConn, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		r := c.mustNext()
		if r.Push.GetPub() == nil {
			t.Fatalf("got %v, want publication %d", r, i)
		}
		if got := number(t, r.Push.Pub.Data); got != i {
			t.Fatalf("got publication %d, want %d", got, i)
		}
	}
}

var errBad = errors.New("bad luck")
