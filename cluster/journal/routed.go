package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

const (
	// routedEvery is how long what was routed is gathered before it is noted: what is not noted when a node is
	// killed is routed again, to no effect.
	routedEvery = 250 * time.Millisecond
	// routedAnswer bounds one try to note it.
	routedAnswer = 2 * time.Second
)

// mark is how far a shard's events are routed, as the log has it. The epoch is that of the lease under which it was
// written: who takes the shard over writes it first, so that whoever had it before can write no more.
type mark struct {
	V     int    `json:"v"`
	Epoch uint64 `json:"epoch"`
	// Next is above all events that were given out; Open are those of them that were not routed, ascending.
	Next uint64   `json:"next"`
	Open []uint64 `json:"open,omitempty"`
}

func decodeMark(data []byte) (m mark, err error) {
	if err := json.Unmarshal(data, &m); err != nil {
		return m, err
	}
	if m.V > event.Version {
		return m, fmt.Errorf("%w: version %d", ErrNewer, m.V)
	}
	for i, seq := range m.Open {
		if seq >= m.Next || i > 0 && seq <= m.Open[i-1] {
			return m, fmt.Errorf("%w: %d is not routed, next is %d", ErrForeign, seq, m.Next)
		}
	}
	return m, nil
}

// routed keeps how far the events of a shard are routed. A consumer of the log that keeps this itself costs a
// cluster some Raft entries for each event; this costs one for many.
type routed struct {
	s   *Shard
	key string

	mu    sync.Mutex
	again []uint64 // given out before the take-over and not routed: they come again
	hand  handout  // what was given out since
	dirty bool

	revision uint64 // of what was written last
	epoch    uint64
	*batcher
}

// openRouted reads how far the shard was routed and takes over the right to say so.
func (j *Journal) openRouted(ctx context.Context, s *Shard) (*routed, error) {
	r := &routed{s: s, key: strconv.Itoa(s.number), epoch: s.lease.Epoch}
	bucket := j.buckets[bucketRouted]
	for {
		v, err := j.noted(ctx, s.number)
		if err != nil {
			return nil, err
		}
		var m mark
		if v.Seq > 0 {
			m, err = decodeMark(v.Data)
		} else {
			m.Next, err = j.routedBefore(ctx, s.number)
		}
		if err != nil {
			return nil, err
		}
		r.hand.next, r.again = m.Next, m.Open
		r.revision, err = bucket.Update(ctx, r.key, r.encode(), v.Seq)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrConflict) { // else what the owner before wrote has just arrived
			return nil, err
		}
	}
	r.batcher = newBatcher(routedEvery, r.note)
	return r, nil
}

// noted reads how far a shard is routed from the copy that leads; the sequence is 0 where nothing is noted.
func (j *Journal) noted(ctx context.Context, shard int) (stored, error) {
	v, err := j.leaders(ctx, streamOf(bucketRouted), fmt.Sprintf(`"last_by_subj":"$KV.%s.%d"`, bucketRouted, shard))
	if errors.Is(kindOf(err), ErrNotFound) {
		return stored{}, nil
	}
	return v, err
}

// routedBefore is where to begin with a shard of which nothing is noted: behind what an earlier release has had
// acknowledged, if one has worked on it.
func (j *Journal) routedBefore(ctx context.Context, shard int) (next uint64, err error) {
	c, err := j.js.Consumer(ctx, streamEvents, "route_"+strconv.Itoa(shard))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	return c.CachedInfo().AckFloor.Stream + 1, nil
}

// from is where to read on: what was not routed before comes first.
func (r *routed) from() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.again) > 0 {
		return r.again[0]
	}
	return r.hand.next
}

// give notes that the event is given out, unless it is routed or in hand already. Events come ascending.
func (r *routed) give(seq uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := 0 // the log has these no more
	for gone < len(r.again) && r.again[gone] < seq {
		gone++
	}
	r.again = r.again[gone:]
	switch {
	case len(r.again) > 0 && r.again[0] == seq:
		r.again = r.again[1:]
	case seq < r.hand.next:
		return false
	}
	r.hand.give(seq)
	return true
}

// done notes that an event is routed.
func (r *routed) done(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hand.done(seq) {
		r.dirty = true
		r.rouse()
	}
}

// encode returns how far the shard is routed. The caller holds mu, or is alone.
func (r *routed) encode() []byte {
	m := mark{V: event.Version, Epoch: r.epoch, Next: r.hand.next, Open: append(r.hand.open(), r.again...)}
	data, _ := json.Marshal(m) // numbers always can be
	return data
}

// note writes how far the shard is routed, where that has changed.
func (r *routed) note(ctx context.Context, _ bool) {
	r.mu.Lock()
	if !r.dirty {
		r.mu.Unlock()
		return
	}
	r.dirty = false
	data := r.encode()
	r.mu.Unlock()
	r.write(ctx, data)
}

// write tries until it knows what became of what it wrote. When somebody else has taken the shard over, this one ends.
func (r *routed) write(ctx context.Context, data []byte) {
	bucket := r.s.j.buckets[bucketRouted]
	for tries := 0; ; tries++ {
		err := bounded(ctx, routedAnswer, func(ctx context.Context) error {
			revision, err := bucket.Update(ctx, r.key, data, r.revision)
			if err == nil {
				r.revision = revision
				return nil
			}
			if !errors.Is(err, ErrConflict) {
				return err
			}
			// An earlier try may have been taken, and its answer lost.
			v, err := r.s.j.noted(ctx, r.s.number)
			if err != nil {
				return err
			}
			if !bytes.Equal(v.Data, data) {
				return ErrLost
			}
			r.revision = v.Seq
			return nil
		})
		switch {
		case err == nil:
			return
		case errors.Is(err, ErrLost):
			r.s.j.log.Warn().Int("shard", r.s.number).Msg("another node notes how far the shard is routed: it has taken the shard over")
			r.s.end(ErrTaken)
			return
		case tries == 1:
			r.s.j.log.Warn().Err(err).Int("shard", r.s.number).Msg("how far the shard is routed could not be noted; trying again")
		}
		if wait(ctx, retryEvery); ctx.Err() != nil {
			return
		}
	}
}

// routeLag is how many events of a shard are not routed.
func (j *Journal) routeLag(ctx context.Context, shard int) (uint64, error) {
	m := mark{Next: 1}
	v, err := j.noted(ctx, shard)
	if err == nil && v.Seq > 0 {
		m, err = decodeMark(v.Data)
	}
	if err != nil {
		return 0, err
	}
	n, err := j.countFrom(ctx, streamEvents, eventsOf(shard), m.Next)
	return n + uint64(len(m.Open)), err
}

// countFrom is how many messages of a subject there are, from a sequence on.
func (j *Journal) countFrom(ctx context.Context, stream, subject string, from uint64) (uint64, error) {
	n, last, err := j.page(ctx, stream, subject, from-1, 1, func(*jetstream.RawStreamMsg) {})
	return uint64(n) + last.pending, err
}
