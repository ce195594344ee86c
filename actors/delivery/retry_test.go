package delivery_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	const s = time.Second
	p := delivery.RetryPolicy{}.WithDefaults()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		failed     int
		retryAfter time.Duration
		rnd        float64
		want       time.Duration
		ok         bool
	}{
		{1, 0, 0.5, 1 * s, true},
		{2, 0, 0.5, 2 * s, true},
		{3, 0, 0.5, 4 * s, true},
		{4, 0, 0.5, 0, false},
		{4, 9 * s, 0.5, 0, false},
		{400, 0, 0.5, 0, false},
		{0, 0, 0.5, 1 * s, true}, // nobody asks that; the first wait does
		{3, 0, 0, 3200 * time.Millisecond, true},
		{3, 0, 0.75, 4400 * time.Millisecond, true},
		{1, 900 * time.Millisecond, 0, 900 * time.Millisecond, true},
		{1, 900 * time.Millisecond, 0.5, 1 * s, true},
		{1, time.Hour, 0.9, time.Hour, true},
	} {
		got, ok := p.Next(c.failed, c.retryAfter, c.rnd)
		if ok != c.ok || (got-c.want).Abs() > time.Microsecond {
			t.Errorf("Next(%d, %s, %v): got %s, %v; want %s, %v", c.failed, c.retryAfter, c.rnd, got, ok, c.want, c.ok)
		}
	}
}

func TestRetryPolicyValidate(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]delivery.RetryPolicy{
		"waits[1] is 0s": {Waits: []time.Duration{time.Second, 0}},
		"jitter is 1.5":  {Jitter: 1.5},
		"jitter is -0.1": {Jitter: -0.1},
		"jitter is NaN":  {Jitter: math.NaN()},
	} {
		if err := p.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got error %v, want one with %q", p, err, want)
		}
	}
	own := delivery.RetryPolicy{Waits: []time.Duration{time.Minute}, Jitter: 1}
	if got := own.WithDefaults(); len(got.Waits) != 1 || got.Jitter != 1 || got.Validate() != nil {
		t.Errorf("defaults took the place of what was set: %+v", got)
	}
}
