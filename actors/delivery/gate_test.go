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

// takeAll takes slots until one is refused, and returns how many it got.
func takeAll(g *delivery.Gate, id string, limit int) (n int) {
	for g.TryAcquire(id, limit) {
		n++
	}
	return n
}

func TestGateShares(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ capacity, hogs, least, most, free int }{
		{100, 1, 50, 50, 50},
		{100, 2, 33, 34, 33},
		{100, 3, 25, 25, 25},
		{100, 9, 10, 10, 10},
		{100, 99, 1, 1, 1},
		{100, 300, 0, 1, 0}, // no hogs any more: each has one or waits
		{1, 2, 0, 1, 0},
	} {
		g := delivery.NewGate(c.capacity)
		held := make([]int, c.hogs)
		for more := true; more; { // they take turns
			more = false
			for i := range held {
				if g.TryAcquire(fmt.Sprint(i), 0) {
					held[i]++
					more = true
				}
			}
		}
		if least, most := slices.Min(held), slices.Max(held); least < c.least || most > c.most {
			t.Errorf("%d hogs on %d slots: each holds %d to %d, want %d to %d", c.hogs, c.capacity, least, most, c.least, c.most)
		}
		if free := c.capacity - g.InUse(); free != c.free {
			t.Errorf("%d hogs on %d slots leave %d, want %d", c.hogs, c.capacity, free, c.free)
		}
	}
}

func TestGateDefaultCapacity(t *testing.T) {
	t.Parallel()
	if n := takeAll(delivery.NewGate(0), "a", 0); n != 50 {
		t.Errorf("one alone takes %d, want 50 of 100", n)
	}
}

func TestGateLimit(t *testing.T) {
	t.Parallel()
	g := delivery.NewGate(100)
	if n := takeAll(g, "a", 3); n != 3 {
		t.Errorf("took %d with a limit of 3", n)
	}
	woken := 0
	g.Wait("a", func() { woken++ })
	if woken != 0 {
		t.Error("woken at its own limit")
	}
	g.Release("a")
	if woken != 1 {
		t.Error("not woken when below its limit again")
	}
	if !g.TryAcquire("a", 3) || g.TryAcquire("a", 3) {
		t.Error("one slot came back, and only one")
	}
	if n := takeAll(g, "a", 5); n != 2 { // the limit was raised while it stood in line
		t.Errorf("took %d more with a limit of 5", n)
	}
}

// TestGateTurns has four wait for one slot: they are woken in turn, once each, and nobody who comes
// later snatches the slot.
func TestGateTurns(t *testing.T) {
	t.Parallel()
	g := delivery.NewGate(1)
	if !g.TryAcquire("first", 0) {
		t.Fatal("an empty gate refuses")
	}
	var woken []string
	ask := func(id string) {
		t.Helper()
		if g.TryAcquire(id, 0) {
			t.Fatalf("%s takes a slot that is not free", id)
		}
		g.Wait(id, func() { woken = append(woken, id) })
	}
	ask("a")
	ask("b")
	ask("c")
	ask("a") // asking again does not cost the turn
	if g.Waiting() != 3 {
		t.Fatalf("%d stand in line, want 3", g.Waiting())
	}
	holder := "first"
	for _, turn := range []string{"a", "b", "c"} {
		g.Release(holder)
		if last := woken[len(woken)-1]; last != turn {
			t.Fatalf("woken %v, want %s next", woken, turn)
		}
		if g.TryAcquire(holder, 0) || g.TryAcquire("newcomer", 0) {
			t.Fatalf("the slot promised to %s was snatched", turn)
		}
		if !g.TryAcquire(turn, 0) {
			t.Fatalf("%s was woken and refused", turn)
		}
		holder = turn
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(woken, want) {
		t.Errorf("woken %v, want %v", woken, want)
	}
	// Those who were refused on the way stand in line in the order they came: first, newcomer, a, b.
	var order []string
	for _, id := range []string{"newcomer", "a", "first", "b"} {
		g.Wait(id, func() { order = append(order, id); g.Leave(id) })
	}
	g.Release(holder)
	if want := []string{"first", "newcomer", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("woken %v, want %v", order, want)
	}
	if n := delivery.Guests(g); n != 0 || g.InUse() != 0 || g.Waiting() != 0 {
		t.Errorf("%d are remembered, %d slots in use, %d in line", n, g.InUse(), g.Waiting())
	}
}

func TestGateTurnBetweenRefusalAndWait(t *testing.T) {
	t.Parallel()
	g := delivery.NewGate(1)
	g.TryAcquire("a", 0)
	g.TryAcquire("b", 0)
	g.Release("a") // b's turn, and nobody to tell
	woken := 0
	g.Wait("b", func() { woken++ })
	if woken != 1 {
		t.Errorf("woken %d times, want at once and once", woken)
	}
	g.Release("nobody")
	g.Release("b") // has none
	if g.InUse() != 0 {
		t.Errorf("%d slots in use", g.InUse())
	}
	g.Leave("b")
	g.Leave("b")
	g.Wait("c", func() { woken++ }) // never refused: there is room
	if woken != 2 {
		t.Error("who waits for a slot that is there is not woken")
	}
}

func TestGateLeavePassesOn(t *testing.T) {
	t.Parallel()
	g := delivery.NewGate(1)
	g.TryAcquire("a", 0)
	var woken []string
	for _, id := range []string{"b", "c", "d"} {
		g.TryAcquire(id, 0)
		g.Wait(id, func() { woken = append(woken, id) })
	}
	g.Leave("c") // out of the line
	g.Release("a")
	g.Leave("b") // woken, and has nothing to start
	if want := []string{"b", "d"}; !slices.Equal(woken, want) {
		t.Errorf("woken %v, want %v", woken, want)
	}
}

// TestGateWokenHogIsPassedOver has a hog woken that may not take the slot any more, since another
// came before it with fewer calls; the slot must go to whoever may.
func TestGateWokenHogIsPassedOver(t *testing.T) {
	t.Parallel()
	g := delivery.NewGate(4)
	if n := takeAll(g, "hog", 0); n != 2 {
		t.Fatalf("the hog has %d of 4", n)
	}
	woken := map[string]int{}
	g.Wait("hog", func() { woken["hog"]++ })
	g.TryAcquire("a", 0) // one is left, and the hog may not have it
	g.TryAcquire("b", 0)
	g.TryAcquire("c", 0)
	g.Wait("c", func() { woken["c"]++ })
	g.Release("a")
	if woken["hog"] != 0 || woken["c"] != 1 {
		t.Errorf("woken %v; c comes after the hog, but the hog has two already", woken)
	}
}

func TestGatePromiseLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := delivery.NewGate(1)
		g.TryAcquire("a", 0)
		var woken []string
		for _, id := range []string{"dead", "b"} {
			g.TryAcquire(id, 0)
			g.Wait(id, func() { woken = append(woken, id) })
		}
		g.Release("a") // wakes one that is gone and does not answer
		time.Sleep(time.Second)
		if g.TryAcquire("c", 0) || len(woken) != 1 {
			t.Fatalf("woken %v; the promise holds for a second", woken)
		}
		time.Sleep(time.Millisecond)
		if g.TryAcquire("c", 0) {
			t.Error("a newcomer takes a lapsed promise before those in line")
		}
		if want := []string{"dead", "b"}; !slices.Equal(woken, want) || !g.TryAcquire("b", 0) {
			t.Errorf("woken %v, want %v", woken, want)
		}
		if !slices.Contains(woken, "dead") || g.TryAcquire("dead", 0) {
			t.Error("who lost its promise has it")
		}
	})
}

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
					time.Sleep(c.took)
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
		if first < last*8/10 {
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
