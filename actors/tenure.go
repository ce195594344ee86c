package actors

import (
	"context"
	"errors"
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
// while the lease is valid, and the crew of workers. While it is not valid, as when the log elects a leader,
// nothing is begun; if it is valid again before anybody else has claimed it, all goes on where it was.
type tenure struct {
	sys     *System
	shard   int
	queue   *journal.Shard
	lease   *journal.Lease
	closing atomic.Bool // no delivery is begun any more
	broken  atomic.Bool // what its actors hold is in nobody's hands, or not all that they should
	lapsed  atomic.Bool // something was left since the lease was not valid

	crew    *crew
	events  *credit
	works   *credit
	pull    context.Context
	stop    context.CancelFunc
	feeders sync.WaitGroup
	host    *actor.PID
	pid     *actor.PID
}

func newTenure(sys *System, shard int, lease *journal.Lease, queue *journal.Shard) *tenure {
	t := &tenure{
		sys: sys, shard: shard, lease: lease, queue: queue,
		crew: newCrew(), events: newCredit(shardCredit), works: newCredit(shardCredit),
	}
	t.pull, t.stop = context.WithCancel(context.Background())
	return t
}

// valid reports whether a delivery may be begun: the lease is valid and the shard is not being handed over.
func (t *tenure) valid() bool { return !t.closing.Load() && t.routes() }

// routes reports whether this node may act for the shard; events are routed also while it is handed over. Whoever
// leaves something because of it is told by resume when the lease is valid again.
func (t *tenure) routes() bool {
	if t.broken.Load() {
		return false
	}
	if t.lease.Valid() {
		return true
	}
	t.lapsed.Store(true)
	return t.lease.Valid() // it may have become so before that could be noticed
}

// over reports that the tenure can only be ended.
func (t *tenure) over() bool { return t.broken.Load() || t.lease.Lost() }

// spoil has the host end the tenure; the shard is then taken over again, if it is still this node's.
func (t *tenure) spoil() {
	t.broken.Store(true)
	t.sys.root.Send(t.host, reconcile{})
}

// persist is System.persist for what the shard's owner alone may write: while the lease is not valid it waits.
func (t *tenure) persist(ctx context.Context, what string, write func(context.Context) error) error {
	return t.sys.persist(ctx, what, func(ctx context.Context) error {
		if err := t.lease.Wait(ctx); err != nil {
			return err
		}
		return write(ctx)
	})
}

// begin starts the feeders, which send what they pull to the shard's actor.
func (t *tenure) begin(host, pid *actor.PID) {
	t.host, t.pid = host, pid
	t.feeders.Go(t.watch)
	t.feeders.Go(func() {
		feed(t, t.events, t.queue.NextEvents, func(events []*journal.RoutedEvent) any { return eventsPulled{events} })
	})
	t.feeders.Go(t.release)
	t.feeders.Go(func() {
		feed(t, t.works, t.queue.NextDeliveries, func(works []*journal.Work) any { return worksPulled{works} })
	})
}

// watch tells of what becomes of the lease: the actors when it is valid again, the host when it is lost.
func (t *tenure) watch() {
	for {
		changed := t.lease.Changed()
		switch {
		case t.lease.Lost():
			t.sys.root.Send(t.host, reconcile{})
			return
		case t.lease.Valid() && t.lapsed.Swap(false):
			t.sys.root.Send(t.pid, resume{})
		}
		select {
		case <-changed:
		case <-t.pull.Done():
			return
		}
	}
}

// feed pulls as much as there is credit for and hands it on, until the tenure ends; what was pulled too late
// stays unacknowledged and comes back to whoever owns the shard next.
func feed[T any](t *tenure, c *credit, next func(context.Context, int) ([]T, error), message func([]T) any) {
	for {
		n := c.take(t.pull, pullBatch)
		if n == 0 {
			return
		}
		items, err := next(t.pull, n)
		if t.closing.Load() || errors.Is(err, journal.ErrLost) {
			c.give(n)
			return
		}
		c.give(n - len(items))
		if errors.Is(err, journal.ErrTaken) {
			t.spoil()
			return
		}
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
		if t.lease.Wait(t.pull) == nil {
			now := t.sys.cfg.Now()
			while, end := t.lease.Context(t.pull)
			next, err := t.queue.Release(while, now, digests{t.sys})
			end()
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
		routing, cancel := t.lease.Context(ctx)
		t.events.await(routing)
		cancel()
	}
	t.crew.finish(ctx)
	if t.pid != nil {
		_ = t.sys.root.StopFuture(t.pid).Wait()
	}
	t.queue.Close()
}
