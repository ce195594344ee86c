package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

// line puts numbered deliveries before an integration.
func line(t *testing.T, j *journal.Journal, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := j.Enqueue(t.Context(), newDelivery(uint64(i), "crm")); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers takes deliveries until there are so many or the shard ends.
func numbers(t *testing.T, s *journal.Shard, n int) (got []uint64, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for len(got) < n {
		works, err := s.NextDeliveries(ctx, n-len(got))
		if err != nil {
			return got, err
		}
		for _, w := range works {
			got = append(got, w.Delivery.EventSeq)
		}
	}
	return got, nil
}

func upTo(n int) (all []uint64) {
	for i := range n {
		all = append(all, uint64(i+1))
	}
	return all
}

// requests waits until so many requests stand at a shard's consumer of deliveries.
func requests(t *testing.T, n *natsServer, shard, want int) {
	t.Helper()
	js := n.jetStream()
	waitFor(t, func() bool {
		c, err := js.Consumer(t.Context(), "DL", fmt.Sprint("deliver_", shard))
		return err == nil && c.CachedInfo().NumWaiting == want
	})
}

// An owner was stopped while it asked for work, and its request arrives after the next one's take-over: what it
// gets is missed by the next owner, who takes the shard over again and gets it, whether or not more comes behind.
func TestGapByALateRequest(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]int{"more comes": 4, "nothing comes": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNATS(t)
			// A request stands for as long as the lease was valid when it was made.
			a, way := comrade(t, n, "a", func(c *journal.Config) { c.LeaseTTL = 3 * time.Second })
			b, _ := comrade(t, n, "b", func(c *journal.Config) { c.LeaseTTL = 30 * time.Second })
			shard := a.ShardOf("crm")
			paused := mustShard(t, a, shard)
			nothing(t, paused.NextEvents)
			way.Hold(true, false)
			stale := make(chan error, 1)
			go func() {
				got, err := numbers(t, paused, 100)
				if len(got) > 0 {
					t.Errorf("the one who was paused hands out %v", got)
				}
				stale <- err
			}()
			next := mustShard(t, b, shard)
			lease := mustClaim(t, b, "other")
			nothing(t, next.NextDeliveries)
			requests(t, n, shard, 1)
			way.Hold(false, false)
			requests(t, n, shard, 2)
			line(t, b, 1, 2+behind) // one request after the other gets one
			got, err := numbers(t, next, 2+behind)
			if !errors.Is(err, journal.ErrGap) || !slices.Equal(got, upTo(1)) {
				t.Fatalf("the next owner gets %v, %v; want the first and ErrGap", got, err)
			}
			if _, err := next.NextEvents(t.Context(), 1); !errors.Is(err, journal.ErrGap) {
				t.Errorf("its events: %v, want ErrGap", err)
			}
			if err := receive(t, stale); !errors.Is(err, journal.ErrLost) {
				t.Errorf("the one who was paused is told %v, want ErrLost", err)
			}
			// As long as that request stands it may happen again.
			begun := time.Now()
			for err != nil {
				next = mustShard(t, b, shard)
				got, err = numbers(t, next, 2+behind)
				if err != nil && !errors.Is(err, journal.ErrGap) {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, upTo(2+behind)) {
				t.Errorf("after taking it over again it gets %v, want all", got)
			}
			if took := time.Since(begun); took > 5*time.Second || lease.Lost() {
				t.Errorf("it took %v; waiting for the acknowledgement's time-out would be the wrong way", took)
			}
		})
	}
}

// Whoever resets the consumer takes the shard from its owner, who must not work on what comes then.
func TestGapByAnotherTakeOver(t *testing.T) {
	t.Parallel()
	for name, done := range map[string]bool{"what is under way comes again": false, "nothing comes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNATS(t)
			a, _ := comrade(t, n, "a")
			shard := a.ShardOf("crm")
			s := mustShard(t, a, shard)
			line(t, a, 1, 3)
			for _, w := range deliveries(t, s, 3) {
				if done {
					ack2(t, w)
				}
			}
			waitFor(t, func() bool { return !done || stream(t, a, "DL").Messages == 0 })
			if _, err := n.jetStream().ResetConsumer(t.Context(), "DL", fmt.Sprint("deliver_", shard)); err != nil {
				t.Fatal(err)
			}
			if got, err := numbers(t, s, 1); len(got) > 0 || !errors.Is(err, journal.ErrGap) {
				t.Errorf("%v, %v; want ErrGap", got, err)
			}
		})
	}
}

// What a deposed owner still says of items has no effect that the next one would notice.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, _ := comrade(t, n, "a")
	b, _ := comrade(t, n, "b")
	shard := a.ShardOf("crm")
	s := mustShard(t, a, shard)
	line(t, a, 1, 4)
	old := deliveries(t, s, 4)
	late := func(w *journal.Work) { // by then
		ack2(t, w)
		if err := w.InProgress(); err != nil {
			t.Fatal(err)
		}
	}
	if err := mustClaim(t, a, journal.ShardLease(shard)).Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	next := mustShard(t, b, shard)
	late(old[0]) // before it is given out again: it has no effect
	line(t, a, 5, 5)
	works := deliveries(t, next, 5)
	late(old[1]) // afterwards: it is done
	waitFor(t, func() bool { return stream(t, b, "DL").Messages == 4 })
	if works[0].Delivery.EventSeq != 1 || works[1].Delivery.EventSeq != 2 {
		t.Errorf("deliveries %d and %d come again, want 1 and 2", works[0].Delivery.EventSeq, works[1].Delivery.EventSeq)
	}
	for _, w := range works {
		ack2(t, w)
	}
	for _, w := range old {
		late(w)
	}
	waitFor(t, func() bool { return stream(t, b, "DL").Messages == 0 })
	line(t, a, 6, 7)
	if got, err := numbers(t, next, 2); err != nil || !slices.Equal(got, []uint64{6, 7}) {
		t.Errorf("then come %v, %v", got, err)
	}
}
