package delivery_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

func TestLimiterBurstThenRate(t *testing.T) {
	t.Parallel()
	l := delivery.NewLimiter(10, 3)
	take := func(at, want time.Duration) {
		t.Helper()
		if got := l.Take(t0.Add(at)); got != want {
			t.Fatalf("at %s: wait %s, want %s", at, got, want)
		}
	}
	const ms = time.Millisecond
	take(0, 0)
	take(0, 0)
	take(0, 0)
	take(0, 100*ms)
	take(0, 100*ms) // what is refused takes nothing
	take(60*ms, 40*ms)
	take(100*ms, 0)
	take(100*ms, 100*ms)
	take(350*ms, 0) // two and a half have come back
	take(350*ms, 0)
	take(350*ms, 50*ms)
	take(time.Hour, 0) // a long pause gives the burst, no more
	take(time.Hour, 0)
	take(time.Hour, 0)
	take(time.Hour, 100*ms)
}

func TestLimiterExtremes(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]delivery.Limiter{
		"zero value": {}, "rate 0": delivery.NewLimiter(0, 1), "negative": delivery.NewLimiter(-1, 1),
		"not a number": delivery.NewLimiter(math.NaN(), 1), "infinite": delivery.NewLimiter(math.Inf(1), 1),
	} {
		for range 1000 {
			if wait := l.Take(t0); wait != 0 {
				t.Fatalf("%s: must not limit, waits %s", name, wait)
			}
		}
	}
	slow := delivery.NewLimiter(1e-300, math.MaxInt)
	for range 1000 {
		if wait := slow.Take(t0); wait != 0 {
			t.Fatalf("a boundless burst waits %s", wait)
		}
	}
	one := delivery.NewLimiter(1e-300, -5)
	if one.Take(t0) != 0 {
		t.Error("the first call of all waits")
	}
	if wait := one.Take(t0); wait <= 0 {
		t.Error("a burst below 1 is more than 1")
	}
}

func TestKeyedLimiter(t *testing.T) {
	t.Parallel()
	const s = time.Second
	l := delivery.NewKeyedLimiter(6*s, 2)
	take := func(key string, at, want time.Duration) {
		t.Helper()
		if got := l.Take(key, t0.Add(at)); got != want {
			t.Fatalf("%s at %s: wait %s, want %s", key, at, got, want)
		}
	}
	take("anna", 0, 0)
	take("anna", 0, 0) // borrowed from the future
	take("anna", 0, 6*s)
	take("ben", 0, 0)
	take("anna", 5*s, 1*s)
	take("anna", 6*s, 0)
	take("anna", 11*s, 1*s)
	take("anna", 13*s, 0) // over the turn at 12 s, with 5 s of debt
	take("anna", 13*s, 5*s)
	take("ben", 13*s, 0)
	take("ben", 13*s, 0)
	take("ben", 13*s, 6*s)
	take("anna", 100*s, 0)

	none := delivery.NewKeyedLimiter(0, 1)
	for range 10 {
		if none.Take("anna", t0) != 0 {
			t.Error("every 0 must not limit")
		}
	}
}

func TestKeyedLimiterForgets(t *testing.T) {
	t.Parallel()
	l := delivery.NewKeyedLimiter(time.Second, 1)
	for i := range 20_000 {
		l.Take(fmt.Sprint(i), t0.Add(time.Duration(i)*time.Millisecond))
	}
	if held := delivery.Held(&l); held > 2000 {
		t.Errorf("%d keys are held after 1,000 a second for 20 s; of two seconds are allowed", held)
	}
}

// FuzzLimiters checks both limiters against their definition: over any stretch of the calls let
// through, no more than the burst and one for each interval; and a wait that is obeyed suffices.
func FuzzLimiters(f *testing.F) {
	f.Add(uint8(10), uint8(3), []byte{0, 0, 0, 0, 10, 20, 200})
	f.Add(uint8(1), uint8(1), []byte{255, 0, 1, 2, 3, 250, 251})
	f.Fuzz(func(t *testing.T, interval, burst uint8, gaps []byte) {
		gaps = gaps[:min(len(gaps), 200)]
		every, most := time.Duration(interval%50+1)*time.Millisecond, int(burst%10+1)
		one := delivery.NewLimiter(float64(time.Second)/float64(every), most)
		keyed := delivery.NewKeyedLimiter(every, most)
		check := func(name string, take func(now time.Time) time.Duration) {
			var taken []time.Time
			now := t0
			for _, gap := range gaps {
				now = now.Add(time.Duration(gap) * time.Millisecond)
				wait := take(now)
				if wait < 0 {
					t.Fatalf("%s: negative wait %s", name, wait)
				}
				if wait > 0 && gap%2 == 1 {
					now = now.Add(wait)
					if again := take(now); again != 0 {
						t.Fatalf("%s: after waiting %s, it says to wait %s more", name, wait, again)
					}
					wait = 0
				}
				if wait == 0 {
					taken = append(taken, now)
				}
			}
			for i := range taken {
				for j := i; j < len(taken); j++ {
					if allowed := most + int(taken[j].Sub(taken[i])/every); j-i+1 > allowed {
						t.Fatalf("%s: %d calls within %s, %d allowed (every %s, burst %d)",
							name, j-i+1, taken[j].Sub(taken[i]), allowed, every, most)
					}
				}
			}
		}
		check("limiter", one.Take)
		check("keyed", func(now time.Time) time.Duration { return keyed.Take("anna", now) })
		check("keyed, many", func(now time.Time) time.Duration {
			keyed.Take(fmt.Sprint(now.UnixNano()%7), now)
			return keyed.Take("ben", now)
		})
	})
}

func BenchmarkLimiterTake(b *testing.B) {
	l := delivery.NewLimiter(1e6, 100)
	now := t0
	for b.Loop() {
		now = now.Add(time.Microsecond)
		l.Take(now)
	}
}

func BenchmarkKeyedLimiterTake(b *testing.B) {
	l := delivery.NewKeyedLimiter(6*time.Second, 1)
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("+4917%08d", i)
	}
	now, i := t0, 0
	for b.Loop() {
		now = now.Add(12500 * time.Microsecond) // 80 a second
		l.Take(keys[i%len(keys)], now)
		i++
	}
}
