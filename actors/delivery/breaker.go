package delivery

import (
	"fmt"
	"time"
)

// BreakerConfig configures a Breaker.
type BreakerConfig struct {
	Threshold  int           // failures in a row that open it; default 5
	OpenFor    time.Duration // from opening to the first probe; default 5 s
	MaxOpenFor time.Duration // the wait doubles with each failed probe up to this; default 60 s
}

// WithDefaults returns the config with each zero field set to its default.
func (c BreakerConfig) WithDefaults() BreakerConfig {
	if c.Threshold == 0 {
		c.Threshold = 5
	}
	if c.OpenFor == 0 {
		c.OpenFor = 5 * time.Second
	}
	if c.MaxOpenFor == 0 {
		c.MaxOpenFor = max(60*time.Second, c.OpenFor)
	}
	return c
}

// Validate returns an error that names the first bad field, its value and what is allowed.
func (c BreakerConfig) Validate() error {
	switch {
	case c.Threshold < 1:
		return fmt.Errorf("breaker: threshold is %d; it must be at least 1", c.Threshold)
	case c.OpenFor <= 0:
		return fmt.Errorf("breaker: openFor is %s; it must be above 0", c.OpenFor)
	case c.MaxOpenFor < c.OpenFor:
		return fmt.Errorf("breaker: maxOpenFor is %s; it must be at least openFor, which is %s", c.MaxOpenFor, c.OpenFor)
	}
	return nil
}

// BreakerState is where a Breaker stands.
type BreakerState uint8

// The states.
const (
	Closed   BreakerState = iota // calls are made
	Open                         // no call is made until NextProbe
	HalfOpen                     // one call, the probe, is out; no other is made
)

func (s BreakerState) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return fmt.Sprintf("BreakerState(%d)", uint8(s))
}

// Breaker stops calls to a vendor after a number of failures in a row, and lets one probe through
// at growing intervals until one succeeds. It is not safe for concurrent use.
type Breaker struct {
	cfg      BreakerConfig
	state    BreakerState
	failures int           // in a row, while closed
	wait     time.Duration // from the last opening to its probe
	next     time.Time     // when the probe is due, while open
}

// NewBreaker returns a closed breaker. Zero fields of cfg take their defaults.
func NewBreaker(cfg BreakerConfig) Breaker {
	return Breaker{cfg: cfg.WithDefaults()}
}

// State returns where the breaker stands. An open one whose probe is due is still open.
func (b *Breaker) State() BreakerState { return b.state }

// Failures is how many calls in a row have failed through the vendor's fault, while it is closed.
func (b *Breaker) Failures() int { return b.failures }

// Allow reports whether a call may be made. When it makes an open breaker half-open, the call
// allowed is the probe: its result goes to Success or Failure with probe true, or, if it is not
// made after all, Cancel must be called.
func (b *Breaker) Allow(now time.Time) bool {
	switch {
	case b.state == Closed:
		return true
	case b.state == Open && !now.Before(b.next):
		b.state = HalfOpen
		return true
	}
	return false
}

// Success takes in a call that did not fail, and reports whether that closed the breaker. Only the
// probe closes it: a call that began before it opened and succeeds late proves nothing about now.
func (b *Breaker) Success(_ time.Time, probe bool) (changed bool) {
	switch {
	case b.state == Closed:
		b.failures = 0
	case b.state == HalfOpen && probe:
		b.Reset()
		return true
	}
	return false
}

// Failure takes in a call that failed through the vendor's fault, and reports whether that opened
// the breaker. While it is open or half-open, late failures of calls other than the probe change nothing.
func (b *Breaker) Failure(now time.Time, probe bool) (changed bool) {
	switch {
	case b.state == Closed:
		b.failures++
		if b.failures < b.cfg.Threshold {
			return false
		}
		b.wait = b.cfg.OpenFor
	case b.state == HalfOpen && probe:
		b.wait = min(2*b.wait, b.cfg.MaxOpenFor)
	default:
		return false
	}
	b.state = Open
	b.failures = 0
	b.next = now.Add(b.wait)
	return true
}

// Cancel gives back a probe that was allowed and not made: the breaker is open, and a probe due at
// once. In any other state it does nothing.
func (b *Breaker) Cancel() {
	if b.state == HalfOpen {
		b.state = Open
	}
}

// NextProbe is when an open breaker allows a probe; zero in the other states.
func (b *Breaker) NextProbe() time.Time {
	if b.state != Open {
		return time.Time{}
	}
	return b.next
}

// Reset closes the breaker as if nothing had happened.
func (b *Breaker) Reset() {
	*b = Breaker{cfg: b.cfg}
}
