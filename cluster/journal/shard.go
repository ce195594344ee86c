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
	events *puller
	work   *puller
	closed chan struct{}
	once   sync.Once

	held    *nats.Subscription
	nextDue atomic.Int64  // of what is held, in Unix milliseconds
	earlier chan struct{} // something is due before
}

// Shard takes a shard over: what was given out before and not acknowledged comes again at once, in
// order, before anything newer. Events acknowledged ahead of an earlier one may come again with it.
// A Shard that was taken before from this journal is closed. Call it while holding the lease.
func (j *Journal) Shard(ctx context.Context, n int) (*Shard, error) {
	if n < 0 || n >= j.cfg.Shards {
		return nil, fmt.Errorf("shard %d: there are %d shards", n, j.cfg.Shards)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.alive(); err != nil {
		return nil, err
	}
	if old := j.shards[n]; old != nil {
		old.Close()
	}
	s, err := j.takeOver(ctx, n)
	if err != nil {
		return nil, j.fail("taking over shard "+strconv.Itoa(n), err)
	}
	j.shards[n] = s
	return s, nil
}

func (j *Journal) takeOver(ctx context.Context, n int) (*Shard, error) {
	if err := j.resetConsumer(ctx, n, streamEvents, routeConsumer(n)); err != nil {
		return nil, err
	}
	if err := j.resetConsumer(ctx, n, streamWork, deliverConsumer(n)); err != nil {
		return nil, err
	}
	s := &Shard{number: n, j: j, closed: make(chan struct{})}
	var err error
	if s.events, err = newPuller(s, streamEvents, routeConsumer(n)); err != nil {
		return nil, err
	}
	if s.work, err = newPuller(s, streamWork, deliverConsumer(n)); err != nil {
		s.events.close()
		return nil, err
	}
	if err = s.watchHeld(); err != nil {
		s.events.close()
		s.work.close()
		return nil, err
	}
	return s, nil
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
	s.once.Do(func() {
		close(s.closed)
		s.events.close()
		s.work.close()
		_ = s.held.Unsubscribe()
		// The next reset goes over another connection: it must not overtake the end of these, nor
		// what was acknowledged.
		_ = s.j.sub.FlushTimeout(time.Second)
		s.events.acks.close(settleTimeout)
		s.work.acks.close(settleTimeout)
	})
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

// NextEvents waits for events to route and returns 1 to limit of them. It fails with the context's
// error or ErrClosed only; while the log does not answer it waits.
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
			seq := streamSequence(m.Reply)
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

// token answers for one item given out.
type token struct {
	to    *acker
	reply string
}

// Ack says that the item is done. It does not wait until the log knows: after a crash the item may
// come again.
func (t token) Ack() error { return t.say(sayAck) }

// Nak gives the item back; it comes again after the delay.
func (t token) Nak(delay time.Duration) error {
	return t.say([]byte(`-NAK {"delay":` + strconv.FormatInt(int64(max(delay, 0)), 10) + `}`))
}

// InProgress keeps the item from coming again for another ten minutes.
func (t token) InProgress() error { return t.say(sayProgress) }

func (t token) say(what []byte) error {
	return wrap("acknowledging", t.to.say(t.reply, what))
}
