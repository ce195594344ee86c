package delivery

import (
	"math"
	"time"
)

// windowBuckets is how finely a Window cuts its time.
const windowBuckets = 60

// Window allows at most a number of events within any span of a given length, wherever it begins.
// It counts in buckets of a sixtieth of the span and errs on the strict side: an event counts for
// up to one bucket longer than the span. It takes about 300 bytes and is not safe for concurrent use.
type Window struct {
	limit int
	total int
	width time.Duration
	time  buckets
	// The current bucket, which is not over, and the sixty before it: any span that ends now
	// lies within these.
	counts [windowBuckets + 1]uint32
}

// NewWindow returns a window that allows limit events within any span of length per. A limit below
// 1 allows nothing; per is at least one nanosecond.
func NewWindow(limit int, per time.Duration) Window {
	width := (max(per, 1)-1)/windowBuckets + 1 // rounded up
	return Window{limit: limit, width: width}
}

// Allow counts an event and returns true, or counts nothing and returns false and how long until
// one may be allowed again.
func (w *Window) Allow(now time.Time) (ok bool, retryAfter time.Duration) {
	n := int64(len(w.counts))
	slot := w.advance(now)
	if w.total < w.limit {
		w.total++
		w.counts[slot%n]++
		return true, 0
	}
	if w.limit < 1 {
		return false, w.width * windowBuckets
	}
	oldest := max(slot-n+1, 0)
	for w.counts[oldest%n] == 0 {
		oldest++
	}
	return false, w.time.start(oldest+n, w.width).Sub(now)
}

// advance moves to now and returns the current slot, which has as many before it as are counted.
func (w *Window) advance(now time.Time) int64 {
	n := int64(len(w.counts))
	if w.time.base.IsZero() {
		w.time.base = now.Add(-time.Duration(n) * w.width)
	}
	return w.time.advance(now, w.width, n, func(s int64) {
		w.total -= int(w.counts[s])
		w.counts[s] = 0
	})
}

// Add counts n events of some time before now, whether or not they are allowed. Those that are older than
// the span count for nothing.
func (w *Window) Add(now time.Time, age time.Duration, n int) {
	slot, back := w.advance(now), int64(max(age, 0)/w.width)
	if back >= int64(len(w.counts)) {
		return
	}
	count := &w.counts[(slot-back)%int64(len(w.counts))]
	n = min(max(n, 0), math.MaxInt32-int(*count))
	*count += uint32(n)
	w.total += n
}

// Counts calls fn for each bucket that holds something: how long ago its events were, about, and how many
// they are.
func (w *Window) Counts(now time.Time, fn func(age time.Duration, n int)) {
	slot := w.advance(now)
	for back := range int64(len(w.counts)) {
		if n := w.counts[(slot-back)%int64(len(w.counts))]; n > 0 {
			fn(time.Duration(back)*w.width, int(n))
		}
	}
}
