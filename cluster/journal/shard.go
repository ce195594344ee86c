package journal

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/actors/event"
)

// Shard gives out the work of one shard. NextEvents, NextDeliveries and Release may run side by side, each
// in one goroutine.
type Shard struct {
	number int
	j      *Journal
	lease  *Lease
	routed *routed
	events *reader
	done   *remover
	work   *reader

	life    context.Context // ends when nothing is given out any more
	stop    context.CancelFunc
	stopped sync.Once
	why     error // set before life ends
	once    sync.Once

	held    *nats.Subscription
	nextDue atomic.Int64  // of what is held, in Unix milliseconds
	earlier chan struct{} // something is due before
}

// place is where a shard that was taken over here stands.
type place struct {
	mu    sync.Mutex // held to take it over
	shard *Shard
}

func (p *place) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shard != nil {
		p.shard.Close()
	}
}

// settleTimeout bounds the wait for what was done to be noted; what was not comes again.
const settleTimeout = 2 * time.Second

// takeOverTry is how long the log may take to answer when a shard is taken over, before it is asked again: while
// it elects a leader, it answers nothing that was asked before.
const takeOverTry = 2 * time.Second

// Shard takes a shard over, under its lease: what was given out before and not acknowledged comes again at once,
// in order, before anything newer.
// A Shard that was taken before from this journal is closed. It fails with ErrLost when the lease is not valid,
// and with ErrUnavailable when the log does not answer in a while.
func (j *Journal) Shard(ctx context.Context, n int, lease *Lease) (*Shard, error) {
	if n < 0 || n >= j.cfg.Shards || lease.Name != ShardLease(n) {
		return nil, fmt.Errorf("shard %d with the lease %s: there are %d shards, each with its own", n, lease.Name, j.cfg.Shards)
	}
	place := &j.shards[n]
	place.mu.Lock()
	defer place.mu.Unlock()
	if err := j.alive(); err != nil {
		return nil, err
	}
	if place.shard != nil {
		place.shard.Close()
	}
	if !lease.Valid() {
		return nil, fmt.Errorf("taking over shard %d: %w", n, ErrLost)
	}
	ctx, cancel := context.WithTimeout(ctx, takeOverTry)
	defer cancel()
	s, err := j.takeOver(ctx, n, lease)
	if err != nil {
		return nil, j.fail("taking over shard "+strconv.Itoa(n), err)
	}
	place.shard = s
	return s, nil
}

func (j *Journal) takeOver(ctx context.Context, n int, lease *Lease) (_ *Shard, err error) {
	s := &Shard{number: n, j: j, lease: lease}
	s.life, s.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.routed, err = j.openRouted(ctx, s); err != nil {
		return nil, err
	}
	if err = s.watchHeld(); err != nil {
		s.routed.close(0)
		return nil, err
	}
	s.done = newRemover(s)
	s.events = &reader{s: s, stream: streamEvents, filter: eventsOf(n), from: s.routed.from}
	s.work = &reader{s: s, stream: streamWork, filter: workOf(n), from: s.done.from}
	return s, nil
}

// Close stops giving out work. What was not acknowledged comes again when the shard is taken over.
// It can be called more than once; calls under way fail with ErrClosed.
func (s *Shard) Close() {
	s.end(ErrClosed)
	s.once.Do(func() {
		s.events.close()
		s.work.close()
		_ = s.held.Unsubscribe()
		settle := settleTimeout
		if !s.lease.Valid() { // the next owner does not wait for it
			settle = 0
		}
		var settling sync.WaitGroup
		settling.Go(func() { s.routed.close(settle) })
		settling.Go(func() { s.done.close(settle) })
		settling.Wait()
	})
}

// end has nothing given out any more, for the first reason that is given.
func (s *Shard) end(why error) {
	s.stopped.Do(func() {
		s.why = why
		s.stop()
	})
}

// alive returns why nothing is given out any more.
func (s *Shard) alive() error {
	select {
	case <-s.life.Done():
		return fmt.Errorf("shard %d: %w", s.number, s.why)
	case <-s.j.closed:
		return ErrClosed
	default:
	}
	if s.lease.Lost() {
		return fmt.Errorf("shard %d: %w", s.number, ErrLost)
	}
	return nil
}

// pause waits before the log is asked for work again.
func (s *Shard) pause(ctx context.Context) {
	t := time.NewTimer(retryEvery)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-s.life.Done():
	case <-s.j.closed:
	}
}

// RoutedEvent is an event to route. It comes again unless it is acknowledged.
type RoutedEvent struct {
	Event *event.Event
	of    *routed
}

// Ack says that the event is routed. It does not wait until the log knows: after a crash it may come again.
func (e *RoutedEvent) Ack() { e.of.done(e.Event.Seq) }

// Work is a delivery to make. It comes again unless it is acknowledged.
type Work struct {
	Seq      uint64 // position in the work queue
	Delivery *event.Delivery
	of       *remover
}

// Ack says that the delivery is done. It does not wait until the log knows: after a crash it may come again. After
// the shard was given up it takes it out of the log, where that answers.
func (w *Work) Ack() error { return w.of.finish(w.Seq) }

// NextEvents waits for events to route and returns 1 to limit of them. While the log does not answer, or the
// lease is not valid, it waits. It fails with the context's error, ErrClosed, ErrLost when the lease is, or
// ErrTaken.
func (s *Shard) NextEvents(ctx context.Context, limit int) ([]*RoutedEvent, error) {
	for {
		msgs, err := s.events.next(ctx, limit)
		if err != nil {
			return nil, err
		}
		events := make([]*RoutedEvent, 0, len(msgs))
		for _, m := range msgs {
			seq, _ := sequences(m.Reply)
			if !s.routed.give(seq) {
				continue
			}
			ev, err := decodeEvent(m.Data)
			if err != nil {
				s.j.bad(streamEvents, seq, m.Subject, err)
				s.routed.done(seq)
				continue
			}
			ev.Seq = seq
			events = append(events, &RoutedEvent{ev, s.routed})
		}
		if len(events) > 0 {
			return events, nil
		}
	}
}

// NextDeliveries waits for deliveries to make and returns 1 to limit of them; those that cannot be decoded are
// taken out of the log's way. It fails as NextEvents does.
func (s *Shard) NextDeliveries(ctx context.Context, limit int) ([]*Work, error) {
	for {
		msgs, err := s.work.next(ctx, limit)
		if err != nil {
			return nil, err
		}
		works := make([]*Work, 0, len(msgs))
		for _, m := range msgs {
			seq, _ := sequences(m.Reply)
			if !s.done.give(seq) {
				continue
			}
			d, err := decodeDelivery(m.Data)
			if err != nil {
				s.j.bad(streamWork, seq, m.Subject, err)
				_ = s.done.finish(seq)
				continue
			}
			works = append(works, &Work{seq, d, s.done})
		}
		if len(works) > 0 {
			return works, nil
		}
	}
}
