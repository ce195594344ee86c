package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// Shard gives out the work of one shard. NextEvents, NextDeliveries and Release may run side by side, each
// in one goroutine.
type Shard struct {
	number int
	j      *Journal
	lease  *Lease
	events *puller
	work   *puller

	stopped sync.Once
	closed  chan struct{}
	why     error // set before closed is closed
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

// takeOverTry is how long the log may take to answer when a shard is taken over, before it is asked again: while
// it elects a leader, it answers nothing that was asked before.
const takeOverTry = 2 * time.Second

// Shard takes a shard over, under its lease: what was given out before and not acknowledged comes again at once,
// in order, before anything newer. Events acknowledged ahead of an earlier one may come again with it.
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

func (j *Journal) takeOver(ctx context.Context, n int, lease *Lease) (*Shard, error) {
	if err := j.resetConsumer(ctx, n, streamEvents, routeConsumer(n)); err != nil {
		return nil, err
	}
	if err := j.resetConsumer(ctx, n, streamWork, deliverConsumer(n)); err != nil {
		return nil, err
	}
	s := &Shard{number: n, j: j, lease: lease, closed: make(chan struct{})}
	var err error
	if s.events, err = newPuller(s, streamEvents, routeConsumer(n)); err != nil {
		return nil, err
	}
	if s.work, err = newPuller(s, streamWork, deliverConsumer(n)); err == nil {
		if err = s.watchHeld(); err == nil {
			return s, nil
		}
		s.work.close(0)
	}
	s.events.close(0)
	return nil, err
}

// resetConsumer brings back what a consumer gave out, or makes one that is missing: a reset of it
// would go unanswered.
func (j *Journal) resetConsumer(ctx context.Context, shard int, stream, name string) error {
	_, err := j.js.Consumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		// Nobody knows how far it was; what is done twice is not lost.
		j.log.Warn().Str("consumer", name).Msg("a consumer of the log was missing: all that the log holds for it comes again")
		return j.ensureConsumers(ctx, shard)
	}
	if err != nil {
		return err
	}
	_, err = j.js.ResetConsumer(ctx, stream, name)
	return err
}

// Close stops giving out work. What was not acknowledged comes again when the shard is taken over.
// It can be called more than once; calls under way fail with ErrClosed.
func (s *Shard) Close() {
	s.end(ErrClosed)
	s.once.Do(func() {
		s.events.unsubscribe()
		s.work.unsubscribe()
		_ = s.held.Unsubscribe()
		settle := settleTimeout
		switch {
		case !s.lease.Valid(): // the next owner does not wait for it
			settle = 0
		case errors.Is(s.why, ErrGap):
			settle = settleGap
		}
		if settle > 0 {
			// The next reset goes over another connection: it must not overtake the end of these, nor
			// what was acknowledged.
			_ = s.j.sub.FlushTimeout(time.Second)
		}
		s.events.close(settle)
		s.work.close(settle)
	})
}

// end has nothing given out any more, for the first reason that is given.
func (s *Shard) end(why error) {
	s.stopped.Do(func() {
		s.why = why
		close(s.closed)
	})
}

// alive returns why nothing is given out any more.
func (s *Shard) alive() error {
	select {
	case <-s.closed:
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

// RoutedEvent is an event to route. It comes again unless it is acknowledged.
type RoutedEvent struct {
	Event *event.Event
	token
}

// Work is a delivery to make. It comes again unless it is acknowledged.
type Work struct {
	Seq      uint64 // position in the work queue
	Delivery *event.Delivery
	token
}

// NextEvents waits for events to route and returns 1 to limit of them. While the log does not answer, or the
// lease is not valid, it waits. It fails with the context's error, ErrClosed, ErrLost when the lease is, or
// ErrGap: what comes next would come after something that went elsewhere.
func (s *Shard) NextEvents(ctx context.Context, limit int) ([]*RoutedEvent, error) {
	return next(ctx, s.events, limit, func(seq uint64, data []byte, t token) (*RoutedEvent, error) {
		ev, err := decodeEvent(data)
		if err != nil {
			return nil, err
		}
		ev.Seq = seq
		return &RoutedEvent{ev, t}, nil
	})
}

// NextDeliveries waits for deliveries to make and returns 1 to limit of them. It fails as NextEvents
// does.
func (s *Shard) NextDeliveries(ctx context.Context, limit int) ([]*Work, error) {
	return next(ctx, s.work, limit, func(seq uint64, data []byte, t token) (*Work, error) {
		d, err := decodeDelivery(data)
		if err != nil {
			return nil, err
		}
		return &Work{seq, d, t}, nil
	})
}

// next reads until at least one message could be decoded; others are taken out of the log's way.
func next[T any](ctx context.Context, p *puller, limit int, decode func(seq uint64, data []byte, t token) (T, error)) ([]T, error) {
	for {
		msgs, err := p.next(ctx, limit)
		if err != nil {
			return nil, err
		}
		items := make([]T, 0, len(msgs))
		for _, m := range msgs {
			t := token{to: p.acks, reply: m.Reply}
			seq, _ := sequences(m.Reply)
			item, err := decode(seq, m.Data, t)
			if err != nil {
				p.s.j.bad(p.stream, seq, m.Subject, err)
				if err := t.say(sayTerm); err != nil {
					return nil, err
				}
				continue
			}
			items = append(items, item)
		}
		if len(items) > 0 {
			return items, nil
		}
	}
}

var (
	sayAck      = []byte("+ACK")
	sayTerm     = []byte("+TERM")
	sayProgress = []byte("+WPI")
)

// token answers for one item given out. An answer may come late: when the shard was taken over since, and the
// item given out again, or not yet. The log goes by the item's place in the stream then, and
//
//   - +ACK takes the item away, or changes nothing if it has not been given out again. Who says so has done the
//     work: the next owner may do it once more, under the same id, and has nothing to acknowledge.
//   - +TERM is said only of what nobody can read, and so would the next owner.
//   - +WPI leaves the next owner ten more minutes, from now on, for what that owner has.
//
// There is no -NAK: a late one would give the item out a second time to an owner who has it in hand.
type token struct {
	to    *acker
	reply string
}

// Ack says that the item is done. It does not wait until the log knows: after a crash the item may
// come again.
func (t token) Ack() error { return t.say(sayAck) }

// InProgress keeps the item from coming again for another ten minutes.
func (t token) InProgress() error { return t.say(sayProgress) }

func (t token) say(what []byte) error {
	return wrap("acknowledging", t.to.say(t.reply, what))
}
