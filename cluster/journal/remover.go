package journal

import (
	"context"
	"strconv"
	"sync"
	"time"
)

const (
	// removeEvery is how long deliveries that are done are gathered before they are taken out of the log: in a
	// replicated log one request costs about as much for one as for many. What a node that is killed has not taken
	// out is made again.
	removeEvery = 50 * time.Millisecond
	// removeAfter is how long one that is done waits for those before it, to leave with them in one request; then
	// it is taken out by itself, of these so many at once.
	removeAfter  = 100 * time.Millisecond
	removeAtOnce = 64
)

// remover takes deliveries that are done out of the log: what of the work queue is there is to be made. It goes by
// what was given out here, in order and without a gap: all before the first that is not done can go.
type remover struct {
	s *Shard

	mu     sync.Mutex
	hand   handout
	done   []finished // and in the log
	closed bool

	*batcher
}

type finished struct {
	seq uint64
	at  time.Time
}

func newRemover(s *Shard) *remover {
	r := &remover{s: s, hand: handout{next: 1}}
	r.batcher = newBatcher(removeEvery, r.flush)
	return r
}

// from is where to read on.
func (r *remover) from() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hand.next
}

// give notes that a delivery is given out, unless it has been. They come ascending.
func (r *remover) give(seq uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < r.hand.next {
		return false
	}
	r.hand.give(seq)
	return true
}

// finish has a delivery that is done taken out. It does not wait for that, but after close, when the next owner may
// have it too: to that it has gone.
func (r *remover) finish(seq uint64) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return bounded(context.Background(), tryTimeout, func(ctx context.Context) error {
			return r.s.j.remove(ctx, streamWork, seq)
		})
	}
	defer r.mu.Unlock()
	if r.hand.done(seq) {
		r.done = append(r.done, finished{seq, time.Now()})
		r.rouse()
	}
	return nil
}

// flush takes out what can go; what is done and waits for those before it can later, or with all.
func (r *remover) flush(ctx context.Context, all bool) {
	r.mu.Lock()
	first, before := r.hand.first(), false
	var alone []uint64
	keep := r.done[:0]
	for _, f := range r.done {
		switch {
		case f.seq < first:
			before = true
		case all || time.Since(f.at) >= removeAfter:
			alone = append(alone, f.seq)
		default:
			keep = append(keep, f)
		}
	}
	r.done = keep
	if len(keep) > 0 {
		time.AfterFunc(removeAfter, r.rouse)
	}
	r.mu.Unlock()
	for tries := 0; ctx.Err() == nil; tries++ {
		err := bounded(ctx, routedAnswer, func(ctx context.Context) (err error) {
			if before {
				if err = r.purge(ctx, first); err != nil {
					return err
				}
				before = false
			}
			alone, err = r.remove(ctx, alone)
			return err
		})
		if err == nil {
			break
		}
		if tries == 1 {
			r.s.j.log.Warn().Err(err).Int("shard", r.s.number).Msg("deliveries that are done could not be taken out of the log; trying again")
		}
		wait(ctx, retryEvery)
	}
}

// purge takes out all before a sequence.
func (r *remover) purge(ctx context.Context, before uint64) error {
	answer, err := r.s.j.ofLeader(ctx, "PURGE."+streamWork, `"filter":"`+workOf(r.s.number)+`","seq":`+strconv.FormatUint(before, 10))
	if err != nil {
		return err
	}
	return refused(answer)
}

// remove takes out some one by one, and returns those that may still be there.
func (r *remover) remove(ctx context.Context, seqs []uint64) (left []uint64, err error) {
	for len(seqs) > 0 {
		some := seqs[:min(len(seqs), removeAtOnce)]
		errs := make([]error, len(some))
		var asked sync.WaitGroup
		for i, seq := range some {
			asked.Go(func() { errs[i] = r.s.j.remove(ctx, streamWork, seq) })
		}
		asked.Wait()
		for i, e := range errs {
			if e != nil {
				left, err = append(left, some[i]), e
			}
		}
		if seqs = seqs[len(some):]; err != nil {
			return append(left, seqs...), err
		}
	}
	return nil, nil
}

// close takes out what is done, for a while, and ends.
func (r *remover) close(limit time.Duration) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.batcher.close(limit)
}
