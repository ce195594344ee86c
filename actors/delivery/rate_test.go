package delivery_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

func TestSuccessRate(t *testing.T) {
	t.Parallel()
	var r delivery.SuccessRate
	want := func(at time.Duration, rate float64, n int) {
		t.Helper()
		if got, m := r.Rate(t0.Add(at)); got != rate || m != n {
			t.Errorf("at %s: got %v of %d, want %v of %d", at, got, m, rate, n)
		}
	}
	want(0, 1, 0)
	r.Add(t0, true)
	r.Add(t0, true)
	r.Add(t0.Add(time.Minute), false)
	r.Add(t0.Add(time.Minute), true)
	want(time.Minute, 0.75, 4)
	want(5*time.Minute-1, 0.75, 4)
	want(5*time.Minute, 0.5, 2) // the first two are five minutes old
	r.Add(t0, false)            // the clock was set back: it counts as the latest
	want(6*time.Minute, 0, 1)
	want(time.Hour, 1, 0)
	r.Add(t0.Add(time.Hour), true)
	want(time.Hour, 1, 1)
}
