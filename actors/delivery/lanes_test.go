package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

// next takes all that may start now and returns it as "key:item".
func next(l *delivery.Lanes[int], now time.Time) (out []string) {
	for {
		key, item, ok := l.Next(now)
		if !ok {
			return out
		}
		out = append(out, fmt.Sprintf("%s:%d", key, *item))
	}
}

func wantNext(t *testing.T, l *delivery.Lanes[int], now time.Time, want ...string) {
	t.Helper()
	if got := next(l, now); !slices.Equal(got, want) {
		t.Fatalf("next: got %v, want %v", got, want)
	}
}

func TestLanesKeepOrderWithinAKeyAndTakeTurns(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	wantNext(t, &l, t0)
	for i, key := range []string{"a", "a", "b", "a", "c", "b"} {
		l.Push(key, i)
	}
	if l.Len() != 6 || l.InFlight() != 0 || l.Waiting() != 6 {
		t.Errorf("len %d, in flight %d, waiting %d", l.Len(), l.InFlight(), l.Waiting())
	}
	wantNext(t, &l, t0, "a:0", "b:2", "c:4")
	if l.Len() != 6 || l.InFlight() != 3 || l.Waiting() != 3 {
		t.Errorf("len %d, in flight %d, waiting %d", l.Len(), l.InFlight(), l.Waiting())
	}
	wantNext(t, &l, t0) // their lanes are busy
	l.Done("b")
	l.Done("a")
	l.Done("c")
	l.Done("c")      // not in flight any more
	l.Done("nobody") // never was
	wantNext(t, &l, t0, "b:5", "a:1")
	l.Done("a")
	l.Done("b")
	wantNext(t, &l, t0, "a:3")
	l.Done("a")
	if l.Len() != 0 || l.InFlight() != 0 {
		t.Errorf("len %d, in flight %d after the last", l.Len(), l.InFlight())
	}
}

func TestLanesTurnOfABusyKey(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	for i := range 3 {
		l.Push("busy", i)
	}
	l.Push("quiet", 9)
	var got []string
	for range 4 {
		key, _, _ := l.Next(t0)
		got = append(got, key)
		l.Done(key)
	}
	if want := []string{"busy", "quiet", "busy", "busy"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLanesHold(t *testing.T) {
	t.Parallel()
	const s = time.Second
	var l delivery.Lanes[int]
	wake := func(at, want time.Duration, ok bool) {
		t.Helper()
		got, isOK := l.Wake(t0.Add(at))
		if isOK != ok || ok && !got.Equal(t0.Add(want)) {
			t.Fatalf("wake at %s: got %s, %v; want %s, %v", at, got.Sub(t0), isOK, want, ok)
		}
	}
	wake(0, 0, false)
	l.Push("a", 1)
	l.Push("b", 2)
	l.Push("c", 3)
	wake(0, 0, true)
	wantNext(t, &l, t0, "a:1", "b:2", "c:3")
	wake(0, 0, false) // all in flight
	l.Hold("a", t0.Add(3*s))
	l.Hold("b", t0.Add(1*s))
	l.Push("b", 22)
	if l.InFlight() != 1 || l.Waiting() != 3 {
		t.Fatalf("in flight %d, waiting %d", l.InFlight(), l.Waiting())
	}
	wake(0, 1*s, true)
	wantNext(t, &l, t0.Add(1*s-1))
	wantNext(t, &l, t0.Add(1*s), "b:2")
	wake(1*s, 3*s, true)
	wake(5*s, 5*s, true) // overdue is now, not in the past
	l.Done("b")
	wake(1*s, 1*s, true)
	wantNext(t, &l, t0.Add(1*s), "b:22")

	l.Hold("c", time.Time{}) // given back, not held
	wantNext(t, &l, t0.Add(1*s), "c:3")
	l.Hold("a", t0.Add(2*s)) // sooner than before
	wantNext(t, &l, t0.Add(2*s), "a:1")
	l.Hold("a", t0.Add(9*s))
	l.Hold("a", time.Time{}) // not held after all
	wantNext(t, &l, t0.Add(2*s), "a:1")
	l.Hold("nobody", t0.Add(9*s))
	if l.Len() != 3 {
		t.Errorf("len %d, want 3", l.Len())
	}
}

func TestLanesHoldBeforeStart(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	l.Push("a", 1)
	l.Push("b", 2)
	l.Push("c", 3)
	l.Hold("a", time.Time{}) // ready as it is: it keeps its turn
	l.Hold("b", t0.Add(time.Second))
	wantNext(t, &l, t0, "a:1", "c:3")
	wantNext(t, &l, t0.Add(time.Second), "b:2")
}

// TestLanesHeldComeBackInOrder holds many lanes, changes half of the holds, and expects them when
// their holds end, those that end together in the order they were held.
func TestLanesHeldComeBackInOrder(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var l delivery.Lanes[int]
		type hold struct {
			key   string
			until time.Time
		}
		var holds []hold
		for i := range 100 {
			key := fmt.Sprint(i)
			l.Push(key, 0)
			holds = append(holds, hold{key, t0.Add(time.Duration(rnd.IntN(30)) * time.Second)})
			l.Hold(key, holds[i].until)
		}
		for range 50 {
			i := rnd.IntN(len(holds))
			again := hold{holds[i].key, t0.Add(time.Duration(rnd.IntN(30)) * time.Second)}
			holds = append(slices.Delete(holds, i, i+1), again)
			l.Hold(again.key, again.until)
		}
		slices.SortStableFunc(holds, func(a, b hold) int { return a.until.Compare(b.until) })
		now := t0
		for i, want := range holds {
			now, _ = l.Wake(now)
			if key, _, ok := l.Next(now); !ok || key != want.key || !now.Equal(want.until) {
				t.Fatalf("number %d: %q at %s, want %q at %s", i, key, now.Sub(t0), want.key, want.until.Sub(t0))
			}
		}
	}
}

func TestLanesRelease(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	for i, key := range []string{"a", "b", "c", "d", "e"} {
		l.Push(key, i)
	}
	next(&l, t0)
	for key, after := range map[string]int{"a": 3, "b": 1, "c": 2, "d": 1} {
		l.Hold(key, t0.Add(time.Duration(after)*time.Hour))
	}
	l.Hold("b", t0.Add(time.Hour)) // now after d, which is held as long
	l.Release()
	wantNext(t, &l, t0, "d:3", "b:1", "c:2", "a:0") // e stays in flight
	l.Release()
	wantNext(t, &l, t0)
}

func TestLanesExpire(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	for i, key := range []string{"flying", "flying", "held", "held", "held", "ready", "young", "young"} {
		l.Push(key, i)
	}
	next(&l, t0)
	l.Hold("held", t0.Add(time.Hour))
	l.Hold("ready", time.Time{})
	l.Hold("young", t0.Add(time.Hour))
	asked := map[int]int{}
	got := l.Expire(func(i *int) bool { asked[*i]++; return *i <= 3 || *i == 5 || *i == 7 })
	slices.Sort(got)
	if want := []int{2, 3, 5}; !slices.Equal(got, want) { // 0 is in flight, 1 and 7 are not heads
		t.Fatalf("expired %v, want %v", got, want)
	}
	for i, n := range asked {
		if n != 1 {
			t.Errorf("asked %d times about %d", n, i)
		}
	}
	if l.Len() != 5 || l.InFlight() != 1 || l.Waiting() != 4 {
		t.Errorf("len %d, in flight %d, waiting %d", l.Len(), l.InFlight(), l.Waiting())
	}
	wantNext(t, &l, t0, "held:4") // its hold was that of the expired head
	wantNext(t, &l, t0.Add(time.Hour), "young:6")
	l.Done("flying")
	wantNext(t, &l, t0, "flying:1")
	if got := l.Expire(func(*int) bool { return true }); len(got) != 0 {
		t.Errorf("expired %v; all heads are in flight", got)
	}
}

func TestLanesAll(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	for i, key := range []string{"a", "b", "a", "b", "a"} {
		l.Push(key, i)
	}
	next(&l, t0)
	l.Hold("b", t0.Add(time.Hour))
	got := map[string][]int{}
	for key, item := range l.All() {
		got[key] = append(got[key], *item)
		*item += 10
	}
	if want := "map[a:[0 2 4] b:[1 3]]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	n := 0
	for range l.All() {
		n++
		break
	}
	if n != 1 {
		t.Error("it does not stop when told")
	}
	wantNext(t, &l, t0.Add(time.Hour), "b:11") // changed through the pointer
}

// TestLanesLeaveNothing checks that many lanes that come and go leave no map of their size behind,
// while a few are not worth making a new one for.
func TestLanesLeaveNothing(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	for i, c := range []struct {
		lanes int
		kept  bool
	}{{1, true}, {64, true}, {65, false}, {1, true}, {100_000, false}} {
		for n := range c.lanes {
			l.Push(fmt.Sprint(n), n)
		}
		for key, _, ok := l.Next(t0); ok; key, _, ok = l.Next(t0) {
			l.Done(key)
		}
		if got := delivery.Kept(&l); l.Len() != 0 || got != c.kept {
			t.Errorf("round %d: after %d lanes, len %d, map kept %v", i, c.lanes, l.Len(), got)
		}
	}
}

// TestLanesItemStays checks that the pointer from Next is the item's until Done, whatever is pushed.
func TestLanesItemStays(t *testing.T) {
	t.Parallel()
	var l delivery.Lanes[int]
	l.Push("a", 0)
	_, item, _ := l.Next(t0)
	for i := range 1000 {
		l.Push("a", i)
	}
	*item = 42
	l.Hold("a", time.Time{})
	wantNext(t, &l, t0, "a:42")
}

// BenchmarkLanes measures one item's way with 100,000 lanes of which all others are held, ready, or
// not there.
func BenchmarkLanes(b *testing.B) {
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("supplier:dashboard:%d", i)
	}
	b.Run("push next done/1 lane", func(b *testing.B) {
		var l delivery.Lanes[*int]
		item := new(int)
		b.ReportAllocs()
		for b.Loop() {
			l.Push(keys[0], item)
			key, _, _ := l.Next(t0)
			l.Done(key)
		}
	})
	b.Run("push next done/100k ready", func(b *testing.B) {
		var l delivery.Lanes[*int]
		item := new(int)
		for _, key := range keys {
			l.Push(key, item)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			key, _, _ := l.Next(t0)
			l.Done(key)
			l.Push(keys[i%len(keys)], item)
			i++
		}
	})
	b.Run("hold wake next/100k held", func(b *testing.B) {
		var l delivery.Lanes[*int]
		item, now := new(int), t0
		for i, key := range keys {
			l.Push(key, item)
			l.Hold(key, now.Add(time.Duration(i)*time.Millisecond))
		}
		b.ReportAllocs()
		for b.Loop() {
			now, _ = l.Wake(now)
			key, _, _ := l.Next(now)
			l.Hold(key, now.Add(100*time.Second))
		}
	})
	b.Run("release/100k held", func(b *testing.B) {
		var l delivery.Lanes[*int]
		for _, key := range keys {
			l.Push(key, new(int))
		}
		for b.Loop() {
			b.StopTimer()
			for i, key := range keys {
				l.Hold(key, t0.Add(time.Duration(i*7919%len(keys))*time.Millisecond))
			}
			b.StartTimer()
			l.Release()
		}
	})
}
