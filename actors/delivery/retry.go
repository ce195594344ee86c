package delivery

import (
	"fmt"
	"slices"
	"time"
)

// RetryPolicy says how long a failed delivery waits before each retry, and how many there are.
type RetryPolicy struct {
	Waits  []time.Duration // before the first, second, ... retry; default 1 s, 2 s, 4 s
	Jitter float64         // each wait varies by this part of it, up and down; default 0.2
}

// WithDefaults returns the policy with each zero field set to its default.
func (p RetryPolicy) WithDefaults() RetryPolicy {
	if len(p.Waits) == 0 {
		p.Waits = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}
	}
	if p.Jitter == 0 {
		p.Jitter = 0.2
	}
	return p
}

// Validate returns an error that names the first bad field, its value and what is allowed.
func (p RetryPolicy) Validate() error {
	if i := slices.IndexFunc(p.Waits, func(d time.Duration) bool { return d <= 0 }); i >= 0 {
		return fmt.Errorf("retry: waits[%d] is %s; it must be above 0", i, p.Waits[i])
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) { // NaN too
		return fmt.Errorf("retry: jitter is %v; it must be from 0 to 1", p.Jitter)
	}
	return nil
}

// Next returns how long to wait after so many failed attempts (the first included, so 1 after the
// first try), or false when no retry is left. retryAfter, what the vendor asked for, is a lower
// bound; rnd is a random number from [0, 1).
func (p RetryPolicy) Next(failed int, retryAfter time.Duration, rnd float64) (wait time.Duration, ok bool) {
	if failed > len(p.Waits) {
		return 0, false
	}
	base := p.Waits[max(failed, 1)-1]
	wait = base + time.Duration(float64(base)*p.Jitter*(2*rnd-1))
	return max(wait, retryAfter), true
}
