package ws_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ws"
)

// After a storm what was missed is read once for all who wait, and each gets what it missed itself: also beside one
// that missed too much.
func TestRecoveriesShareOneReading(t *testing.T) {
	t.Parallel()
	log := &badLog{Journal: openJournal(t)}
	n := startNode(t, log.Journal, func(c *ws.Config) { c.Log, c.MaxRecover = log, 20 })
	const clients, events = 30, 25
	seqs := publishN(n, channel, 1, events)
	first := dialConnected(t, n, all(t))
	held, release := make(chan struct{}), make(chan struct{})
	var readings atomic.Int32
	begun := sync.OnceFunc(func() { close(held) })
	log.set(func(l *badLog) {
		l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) {
			readings.Add(1)
			begun()
			<-release
			return nil, false, nil
		}
	})
	recovering := func(offset uint64) string {
		return fmt.Sprintf(`{"id":9,"subscribe":{"channel":%q,"recover":true,"offset":%d,"epoch":%q}}`, channel, offset, n.journal.Epoch())
	}
	result := func(c *rawConn) *protocol.SubscribeResult {
		t.Helper()
		r := c.mustNext()
		if r.Error != nil || r.Subscribe == nil {
			t.Fatalf("answered %v", r)
		}
		return r.Subscribe
	}
	first.send(recovering(seqs[events-2]))
	<-held
	conns := make([]*rawConn, clients)
	for i := range conns {
		conns[i] = dialConnected(t, n, all(t))
		conns[i].send(recovering(seqs[events-1-i%15])) // who is current waits for nothing
	}
	waitMetric(t, n, clients+1, "wedsync_ws_subscriptions")
	late := dialConnected(t, n, all(t))
	late.send(recovering(seqs[0])) // 24 missed, and 20 are recovered
	waitMetric(t, n, clients+2, "wedsync_ws_subscriptions")
	close(release)
	if r := result(first); !r.Recovered || len(r.Publications) != 1 {
		t.Errorf("the first one: %v", r)
	}
	for i, c := range conns {
		r := result(c)
		if missed := i % 15; !r.Recovered || len(r.Publications) != missed || missed > 0 && number(t, r.Publications[0].Data) != events-missed+1 {
			t.Errorf("client %d: %v, want the last %d", i, r, missed)
		}
	}
	if r := result(late); r.Recovered || len(r.Publications) != 0 || r.Offset != seqs[events-1] {
		t.Errorf("too late: %v", r)
	}
	// One was under way, one was for all others, which is too much for one of them, and a few are for the rest.
	if got := readings.Load(); got > clients/2 {
		t.Errorf("%d readings for %d clients", got, clients+2)
	}
	n.publish(channel, `{"n":26}`)
	for _, c := range conns {
		if r := c.mustNext(); number(t, r.Push.GetPub().GetData()) != 26 {
			t.Errorf("then came %v", r)
		}
	}
}
