package actors

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/wedsync/wedsync/cluster/journal"
)

// How much a shard takes from the log ahead of its actors.
const (
	pullBatch   = 128
	shardCredit = 1024
)

// tenure is this node's time as the owner of a shard: the lease, the feeders that pull from the log
// while the lease is good, and the crew of workers.
type tenure struct {
	sys     *System
	shard   int
	queue   *journal.Shard
	lease   journal.Lease // the host's alone
	until   atomic.Int64  // when the lease ends, in Unix nanoseconds
	closing atomic.Bool   // no delivery is begun any more
	broken  atomic.Bool   // its shard's actor panicked: what its children held is in nobody's hands

	crew    *crew
	events  credit
	works   credit
	pull    context.Context
	stop    context.CancelFunc
	feeders sync.WaitGroup
	pid     *actor.PID
}

func newTenure(sys *System, lease journal.Lease, queue *journal.Shard) *tenure {
	t := &tenure{
		sys: sys, shard: lease.Shard, queue: queue,
		crew: newCrew(), events: newCredit(shardCredit), works: newCredit(shardCredit),
	}
	t.pull, t.stop = context.WithCancel(context.Background())
	t.renewed(lease)
	return t
}

func (t *tenure) renewed(lease journal.Lease) {
	t.lease = lease
	t.until.Store(lease.Expires.UnixNano())
}

// valid reports whether this node may act for the shard: the lease is good and it is not handing over.
func (t *tenure) valid() bool { return !t.closing.Load() && t.routes() }

// routes reports whether events may be routed, which goes on while the shard is handed over.
func (t *tenure) routes() bool {
	return !t.broken.Load() && t.sys.cfg.Now().UnixNano() < t.until.Load()
}

// begin starts the feeders, which send what they pull to the shard's actor.
func (t *tenure) begin(pid *actor.PID) {
	t.pid = pid
	t.feeders.Go(func() {
		feed(t, t.events, t.queue.NextEvents, func(events []*journal.RoutedEvent) any { return eventsPulled{events} })
	})
	t.feeders.Go(t.release)
	t.feeders.Go(func() {
		feed(t, t.works, t.queue.NextDeliveries, func(works []*journal.Work) any { return worksPulled{works} })
	})
}

// feed pulls as much as there is credit for and hands it on, until the tenure ends or its lease lapses;
// what was pulled too late stays unacknowledged and comes back to whoever owns the shard next.
func feed[T any](t *tenure, c credit, next func(context.Context, int) ([]T, error), message func([]T) any) {
	for {
		n := c.take(t.pull, pullBatch)
		if n == 0 {
			return
		}
		items, err := next(t.pull, n)
		if !t.valid() {
			c.give(n)
			return
		}
		c.give(n - len(items))
		if err != nil {
			t.sys.log.Warn().Err(err).Int("shard", t.shard).Msg("pulling from the log failed; trying again")
			if !pause(t.pull, time.Second) {
				return
			}
			continue
		}
		if len(items) > 0 {
			t.sys.root.Send(t.pid, message(items))
		}
	}
}

// The pauses between looks at what is held: after an error, and at most, lest a notice was missed or the
// wall's clock was set.
const (
	releaseRetry = time.Second
	releaseLook  = time.Minute
)

// release has what is held moved into the work queue when it is due.
func (t *tenure) release() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-t.queue.Earlier():
		case <-t.pull.Done():
			return
		}
		wait := releaseRetry
		if t.valid() {
			now := t.sys.cfg.Now()
			next, err := t.queue.Release(t.pull, now, digests{t.sys})
			switch {
			case err == nil && next.IsZero():
				wait = releaseLook
			case err == nil:
				wait = min(next.Sub(now), releaseLook)
			case t.pull.Err() == nil:
				t.sys.log.Warn().Err(err).Int("shard", t.shard).Msg("deliveries that are due were not all released; trying again")
			}
		}
		timer.Reset(wait)
	}
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// end stops pulling, lets the channels route what they hold and calls in flight finish until ctx ends,
// then stops the shard's actors. What was not finished stays in the log. An event that is left behind
// brings back those behind it that were routed, and what has left the log of them is delivered again.
func (t *tenure) end(ctx context.Context) {
	t.closing.Store(true)
	t.stop()
	t.feeders.Wait()
	if t.routes() {
		routing, cancel := context.WithDeadline(ctx, time.Unix(0, t.until.Load()))
		t.events.await(routing)
		cancel()
	}
	t.crew.finish(ctx)
	if t.pid != nil {
		_ = t.sys.root.StopFuture(t.pid).Wait()
	}
	t.queue.Close()
}
