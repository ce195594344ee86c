package delivery_test

import (
	"fmt"
	"slices"
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

// TestGateWokenAndRefused has one woken that may not take its slot after all, since its limit was
// lowered meanwhile: what it was promised must wake another.
func TestGateWokenAndRefused(t *testing.T) {
	t.Parallel()
	g := delivery.NewGate(4)
	var woken []string
	for _, id := range []string{"a", "b", "x", "y"} {
		g.TryAcquire(id, 0)
	}
	for _, id := range []string{"a", "b"} {
		g.TryAcquire(id, 0)
		g.Wait(id, func() { woken = append(woken, id) })
	}
	g.Release("x")
	g.Release("y") // two are free: enough for a, which has one, and then not for b, which has one too
	if want := []string{"a"}; !slices.Equal(woken, want) {
		t.Fatalf("woken %v, want %v", woken, want)
	}
	if g.TryAcquire("a", 1) {
		t.Fatal("a is above its limit")
	}
	if want := []string{"a", "b"}; !slices.Equal(woken, want) {
		t.Errorf("woken %v, want %v", woken, want)
	}
}

func TestGatePromiseLapses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := delivery.NewGate(1)
		g.TryAcquire("a", 0)
		var woken []string
		for _, id := range []string{"dead", "b"} {
			g.TryAcquire(id, 0)
			g.Wait(id, func() { woken = append(woken, id) })
		}
		g.Release("a") // wakes one that is gone and does not answer
		<-time.After(time.Second)
		if g.TryAcquire("c", 0) || len(woken) != 1 {
			t.Fatalf("woken %v; the promise holds for a second", woken)
		}
		<-time.After(time.Millisecond)
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
