package delivery_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

// caller does what an integration's actor does with a gate: calls that take a while, several at once.
type caller struct {
	id      string
	limit   int
	pending int
	took    time.Duration // of a call; 0: it ends when stop is closed
	stop    chan struct{}
}

func (c *caller) run(g *delivery.Gate, inFlight *atomic.Int64, most *atomic.Int64) {
	wake := make(chan struct{}, 1)
	ended := make(chan struct{}, 1000)
	for calls := 0; c.pending > 0 || calls > 0; {
		for c.pending > 0 {
			if !g.TryAcquire(c.id, c.limit) {
				g.Wait(c.id, func() {
					select {
					case wake <- struct{}{}:
					default:
					}
				})
				break
			}
			c.pending--
			calls++
			now := inFlight.Add(1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			go func() {
				if c.stop != nil {
					<-c.stop
				} else {
					<-time.After(c.took)
				}
				inFlight.Add(-1)
				ended <- struct{}{}
			}()
		}
		if c.pending == 0 {
			g.Leave(c.id)
		}
		select {
		case <-wake:
		case <-ended:
			calls--
			g.Release(c.id)
		}
	}
}

// TestGateStuckHog counts in a bubble's time: one vendor hangs with all the calls it can get, ten
// others share what is left and must be as fast as that allows.
func TestGateStuckHog(t *testing.T) {
	t.Parallel()
	for _, hogs := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			const others, calls, took = 10, 400, 10 * time.Millisecond
			g := delivery.NewGate(100)
			var inFlight, most atomic.Int64
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for i := range hogs {
				wg.Go(func() { (&caller{id: fmt.Sprint("hog", i), pending: 500, stop: stop}).run(g, &inFlight, &most) })
			}
			synctest.Wait()
			free := 100 - g.InUse()
			begin := time.Now()
			var ends [others]time.Duration
			var healthy sync.WaitGroup
			for i := range others {
				healthy.Go(func() {
					(&caller{id: fmt.Sprint(i), pending: calls, took: took}).run(g, &inFlight, &most)
					ends[i] = time.Since(begin)
				})
			}
			healthy.Wait()
			// n callers on f slots hold about f*n/(n+1) at once.
			atOnce := free * others / (others + 1)
			ideal := took * others * calls / time.Duration(atOnce)
			for i, end := range ends {
				if end > ideal*5/4 || end < ideal*3/5 {
					t.Errorf("%d hogs, %d slots free: %d ended after %s, want about %s", hogs, free, i, end, ideal)
				}
			}
			if most.Load() > 100 {
				t.Errorf("%d calls at once", most.Load())
			}
			close(stop)
			wg.Wait()
			if n := delivery.Guests(g); n != 0 || g.InUse() != 0 {
				t.Errorf("%d integrations remembered, %d slots in use after the last", n, g.InUse())
			}
		})
	}
}

// TestGateMoreCallersThanSlots has all take turns: none may get ahead of the others by much.
func TestGateMoreCallersThanSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers, calls = 40, 25
		g := delivery.NewGate(7)
		var inFlight, most atomic.Int64
		var wg sync.WaitGroup
		begin := time.Now()
		var ends [callers]time.Duration
		for i := range callers {
			wg.Go(func() {
				(&caller{id: fmt.Sprint(i), pending: calls, took: time.Millisecond}).run(g, &inFlight, &most)
				ends[i] = time.Since(begin)
			})
		}
		wg.Wait()
		if most.Load() > 7 {
			t.Errorf("%d calls at once, 7 slots", most.Load())
		}
		first, last := slices.Min(ends[:]), slices.Max(ends[:])
		if ideal := callers * calls * time.Millisecond / 7; last > ideal*11/10 {
			t.Errorf("all took %s; with every slot busy it is %s", last, ideal)
		}
		if first < last*7/10 {
			t.Errorf("one ended after %s, another after %s", first, last)
		}
	})
}

// TestGateNoWakeUpIsLost runs callers in real time, as fast as they can, on few slots; a lost
// wake-up leaves one of them waiting for ever.
func TestGateNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	g := delivery.NewGate(5)
	var inFlight, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() { (&caller{id: fmt.Sprint(i), limit: i % 4, pending: 300}).spin(g, &inFlight, &most) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("stuck: %d slots in use, %d in line", g.InUse(), g.Waiting())
	}
	if most.Load() > 5 {
		t.Errorf("%d calls at once, 5 slots", most.Load())
	}
	if n := delivery.Guests(g); n != 0 || g.InUse() != 0 || g.Waiting() != 0 {
		t.Errorf("%d remembered, %d slots in use, %d in line after the last", n, g.InUse(), g.Waiting())
	}
}

// spin is run with calls that end at once.
func (c *caller) spin(g *delivery.Gate, inFlight, most *atomic.Int64) {
	c.stop = make(chan struct{})
	close(c.stop)
	c.run(g, inFlight, most)
}

func BenchmarkGate(b *testing.B) {
	b.Run("free", func(b *testing.B) {
		g := delivery.NewGate(100)
		b.ReportAllocs()
		for b.Loop() {
			if g.TryAcquire("a", 0) {
				g.Release("a")
			}
		}
	})
	b.Run("full, 1000 in line", func(b *testing.B) {
		g := delivery.NewGate(100)
		ids := make([]string, 1100)
		holders := make([]int, 0, 100)
		woken := -1
		ask := func(i int) {
			if g.TryAcquire(ids[i], 0) {
				holders = append(holders, i)
				return
			}
			g.Wait(ids[i], func() { woken = i })
		}
		for i := range ids {
			ids[i] = fmt.Sprint("integration-", i)
			ask(i)
		}
		b.ReportAllocs()
		for b.Loop() {
			i := holders[0]
			holders = holders[1:]
			g.Release(ids[i])
			ask(woken)
			ask(i)
		}
	})
}
