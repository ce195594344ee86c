package journal

import (
	"cmp"
	"context"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readerAway is how long the log keeps the consumer of a reader that does not ask any more.
const readerAway = 2 * pullExpires

// reader reads a shard's events, in order, through a consumer in the memory of one of the log's servers, which has
// nothing to remember: where to read on is noted by routed. When it is lost, with its server or a message on its
// way, another one is made.
type reader struct {
	s *Shard

	mu sync.Mutex // held by next: one caller at a time
	p  *puller
}

// next returns 1 to limit messages, some of which may have been there before.
func (r *reader) next(ctx context.Context, limit int) ([]*nats.Msg, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tries := 0; ; {
		if err := cmp.Or(ctx.Err(), r.s.alive()); err != nil {
			return nil, err
		}
		if r.p == nil {
			if err := r.begin(ctx); err != nil {
				if tries++; tries == 2 {
					r.s.j.log.Warn().Err(err).Int("shard", r.s.number).Msg("the log gives out no events; trying again")
				}
				r.s.pause(ctx)
				continue
			}
		}
		msgs, err := r.p.next(ctx, limit)
		if r.p.over {
			r.p.close()
			r.p = nil
			if len(msgs) == 0 {
				continue
			}
			err = nil
		}
		return msgs, err
	}
}

// begin makes a consumer that gives out what is to be routed next.
func (r *reader) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, takeOverTry)
	defer cancel()
	defer context.AfterFunc(r.s.life, cancel)()
	c, err := r.s.j.js.CreateConsumer(ctx, streamEvents, jetstream.ConsumerConfig{
		FilterSubject: eventsOf(r.s.number), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.s.routed.from(),
		AckPolicy: jetstream.AckNonePolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: readerAway,
	})
	if err == nil {
		r.p, err = newPuller(r.s, streamEvents, c.CachedInfo().Name, true)
	}
	return err
}

func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p != nil {
		r.p.close()
	}
}
