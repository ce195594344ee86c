package delivery

import (
	"math"
	"time"
)

// maxInterval keeps the arithmetic of very low rates in range.
const maxInterval = 24 * time.Hour

// Limiter lets through a number of calls a second, and a burst of calls at once after a pause
// (GCRA: it keeps one point in time). The zero Limiter limits nothing. It is not safe for
// concurrent use.
type Limiter struct {
	interval  time.Duration // between calls at the rate; 0: no limit
	tolerance time.Duration // how far ahead of the rate a burst may run
	due       time.Time     // when the calls so far would be done at the rate
}

// NewLimiter returns a limiter of so many calls a second; 0 or less is no limit. burst below 1 is 1.
func NewLimiter(perSecond float64, burst int) Limiter {
	if !(perSecond > 0) {
		return Limiter{}
	}
	interval := maxInterval
	if ns := float64(time.Second) / perSecond; ns < float64(maxInterval) {
		interval = time.Duration(math.Round(ns))
	}
	return Limiter{interval: interval, tolerance: tolerance(interval, burst)}
}

// tolerance is how far ahead of the rate a burst may run.
func tolerance(interval time.Duration, burst int) time.Duration {
	ahead := max(burst, 1) - 1
	if interval > 0 && ahead > int(math.MaxInt64/4/interval) {
		return math.MaxInt64 / 4
	}
	return time.Duration(ahead) * interval
}

// Take takes one call and returns 0, or takes nothing and returns how long to wait before trying again.
func (l *Limiter) Take(now time.Time) (wait time.Duration) {
	if l.interval == 0 {
		return 0
	}
	due := l.due
	if due.Before(now) {
		due = now
	}
	if wait = due.Sub(now) - l.tolerance; wait > 0 {
		return wait
	}
	l.due = due.Add(l.interval)
	return 0
}

// KeyedLimiter is a Limiter for each key, such as a recipient. It remembers a key for as long as it
// matters and at most twice as long, so its memory is bounded by the calls that it let through in
// that time. The zero KeyedLimiter limits nothing. It is not safe for concurrent use.
type KeyedLimiter struct {
	every     time.Duration
	tolerance time.Duration
	// The keys taken since turned, and those of the span before. What was taken earlier than that
	// can delay nothing any more: a key's due time is never further ahead than one span.
	recent, older map[string]time.Time
	turned        time.Time
}

// NewKeyedLimiter returns a limiter that lets a call through every so often for each key, and so
// many at once after a pause, borrowed from the future. 0 or less is no limit; burst below 1 is 1.
func NewKeyedLimiter(every time.Duration, burst int) KeyedLimiter {
	if every <= 0 {
		return KeyedLimiter{}
	}
	every = min(every, maxInterval)
	return KeyedLimiter{every: every, tolerance: tolerance(every, burst)}
}

// Take takes one call for the key and returns 0, or takes nothing and returns how long to wait.
func (l *KeyedLimiter) Take(key string, now time.Time) (wait time.Duration) {
	if l.every == 0 {
		return 0
	}
	l.turn(now)
	due, ok := l.recent[key]
	if !ok {
		due = l.older[key]
	}
	one := Limiter{interval: l.every, tolerance: l.tolerance, due: due}
	if wait = one.Take(now); wait > 0 {
		return wait
	}
	if l.recent == nil {
		l.recent = make(map[string]time.Time)
	}
	l.recent[key] = one.due
	return 0
}

// turn forgets, once a span, the keys that were not taken since the turn before.
func (l *KeyedLimiter) turn(now time.Time) {
	span := l.every + l.tolerance
	since := now.Sub(l.turned)
	switch {
	case since < span:
		return
	case since < 2*span:
		l.older = l.recent
	default:
		l.older = nil
	}
	l.recent, l.turned = nil, now
}
