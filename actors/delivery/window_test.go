package delivery_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

func TestWindowHour(t *testing.T) {
	t.Parallel()
	w := delivery.NewWindow(1000, time.Hour)
	now := t0
	for i := range 1000 {
		if ok, _ := w.Allow(now); !ok {
			t.Fatalf("number %d is refused", i+1)
		}
		now = now.Add(time.Second)
	}
	ok, retry := w.Allow(now)
	if ok {
		t.Fatal("number 1001 within the hour is allowed")
	}
	// The first sixty came in the first minute, which is out of any window after 61 minutes.
	if want := t0.Add(61 * time.Minute).Sub(now); retry != want {
		t.Errorf("retry after %s, want %s", retry, want)
	}
	now = now.Add(retry - 1)
	if ok, left := w.Allow(now); ok || left != 1 {
		t.Errorf("a nanosecond early: %v, %s", ok, left)
	}
	now = now.Add(1)
	allowed := 0
	for range 100 {
		if ok, _ := w.Allow(now); ok {
			allowed++
		}
	}
	if allowed != 60 {
		t.Errorf("%d are allowed when the first minute leaves, want its 60", allowed)
	}
	allowed = 0
	for range 2000 {
		if ok, _ := w.Allow(now.Add(24 * time.Hour)); ok {
			allowed++
		}
	}
	if allowed != 1000 {
		t.Errorf("%d are allowed after a day's rest, want 1000", allowed)
	}
}

func TestWindowExtremes(t *testing.T) {
	t.Parallel()
	none := delivery.NewWindow(0, time.Hour)
	if ok, retry := none.Allow(t0); ok || retry <= 0 {
		t.Errorf("limit 0: %v, retry after %s", ok, retry)
	}
	short := delivery.NewWindow(1, 0)
	if ok, _ := short.Allow(t0); !ok {
		t.Error("the first is refused")
	}
	if ok, _ := short.Allow(t0.Add(time.Second)); !ok {
		t.Error("a window of no length lasts a second")
	}
	back := delivery.NewWindow(2, time.Minute)
	back.Allow(t0)
	back.Allow(t0.Add(-time.Hour)) // the clock was set back
	if ok, _ := back.Allow(t0.Add(-time.Hour)); ok {
		t.Error("setting the clock back makes room")
	}
	if ok, _ := back.Allow(t0.Add(2 * time.Minute)); !ok {
		t.Error("setting the clock back blocks for good")
	}
}

// FuzzWindow checks against the list of all that was allowed: never more than limit within per, a
// refusal only while there were as many within per and a bucket, and a retry time that suffices.
func FuzzWindow(f *testing.F) {
	f.Add(uint8(5), uint16(61), uint64(1), uint16(300))
	f.Add(uint8(1), uint16(1), uint64(2), uint16(50))
	f.Add(uint8(40), uint16(3600), uint64(3), uint16(2000))
	f.Fuzz(func(t *testing.T, lim uint8, seconds uint16, seed uint64, steps uint16) {
		limit, per := int(lim%50)+1, time.Duration(seconds)*time.Second+1
		span := 61 * ((per-1)/60 + 1) // the window's sixty buckets, rounded up, and the one it may err by
		w := delivery.NewWindow(limit, per)
		rnd := rand.New(rand.NewPCG(seed, 0))
		var allowed []time.Time
		within := func(now time.Time, span time.Duration) (n int) {
			for i := len(allowed) - 1; i >= 0 && now.Sub(allowed[i]) < span; i-- {
				n++
			}
			return n
		}
		now := t0
		for range steps % 3000 {
			now = now.Add(time.Duration(rnd.Int64N(int64(per)/int64(limit) + 1)))
			if rnd.IntN(100) == 0 {
				now = now.Add(time.Duration(rnd.Int64N(int64(per) * 2)))
			}
			ok, retry := w.Allow(now)
			if !ok {
				if n := within(now, span); n < limit {
					t.Fatalf("refused with %d of %d within %s and a bucket", n, limit, per)
				}
				if retry <= 0 || retry > span {
					t.Fatalf("retry after %s of a window of %s", retry, per)
				}
				now = now.Add(retry)
				if ok, again := w.Allow(now); !ok {
					t.Fatalf("after waiting %s it says to wait %s more", retry, again)
				}
			}
			allowed = append(allowed, now)
			if n := within(now, per); n > limit {
				t.Fatalf("%d allowed within %s, limit %d", n, per, limit)
			}
		}
	})
}

func BenchmarkWindowAllow(b *testing.B) {
	w := delivery.NewWindow(1000, time.Hour)
	now := t0
	for b.Loop() {
		now = now.Add(4 * time.Second)
		w.Allow(now)
	}
}

// What one window counts, another one can count too, at its own time.
func TestWindowTakesOver(t *testing.T) {
	t.Parallel()
	one, other := delivery.NewWindow(10, time.Hour), delivery.NewWindow(10, time.Hour)
	for _, after := range []time.Duration{0, 20 * time.Minute, 20*time.Minute + 59*time.Second, 50 * time.Minute} {
		one.Allow(t0.Add(after))
	}
	now, there := t0.Add(50*time.Minute), t0.Add(1000*time.Hour)
	one.Counts(now, func(age time.Duration, n int) { other.Add(there, age, n) })
	other.Add(there, 61*time.Minute, 100) // over already
	other.Add(there, -time.Minute, 6)     // of a clock that is ahead
	other.Add(there, 0, -5)
	ok, retry := other.Allow(there)
	if ok || retry != 11*time.Minute {
		t.Errorf("full: %v, retry after %v, want 11m", ok, retry)
	}
	for _, c := range []struct {
		after time.Duration
		room  int
	}{{11*time.Minute - 1, 0}, {11 * time.Minute, 1}, {31 * time.Minute, 2}, {61 * time.Minute, 7}} {
		allowed := 0
		for ok, _ := other.Allow(there.Add(c.after)); ok; ok, _ = other.Allow(there.Add(c.after)) {
			allowed++
		}
		if allowed != c.room {
			t.Errorf("after %v there is room for %d, want %d", c.after, allowed, c.room)
		}
	}
	huge := delivery.NewWindow(10, time.Minute)
	for range 3 {
		huge.Add(t0, 0, math.MaxInt)
	}
	if ok, _ := huge.Allow(t0.Add(59 * time.Second)); ok {
		t.Error("allowed after very many")
	}
	if ok, _ := huge.Allow(t0.Add(2 * time.Minute)); !ok {
		t.Error("refused when very many are over")
	}
}
