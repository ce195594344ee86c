package delivery

import "time"

// buckets cuts time into slots of one width and tells which slots of a ring have passed since the
// last look. It counts from the first time it sees, so that with Go's monotonic clock a step of the
// wall clock does not matter; a time before the latest seen counts as the latest.
type buckets struct {
	base time.Time
	last int64 // slot of the latest time seen, counted from base
}

// advance moves to now in a ring of n slots and calls reset with each slot that is entered anew.
// It returns the current slot's number, not yet taken modulo n.
func (b *buckets) advance(now time.Time, width time.Duration, n int64, reset func(slot int64)) int64 {
	if b.base.IsZero() {
		b.base = now
	}
	slot := max(int64(now.Sub(b.base)/width), b.last)
	for s := max(b.last+1, slot-n+1); s <= slot; s++ {
		reset(s % n)
	}
	b.last = slot
	return slot
}

// start returns when a slot begins.
func (b *buckets) start(slot int64, width time.Duration) time.Time {
	return b.base.Add(time.Duration(slot) * width)
}
