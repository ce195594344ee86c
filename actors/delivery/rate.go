package delivery

import "time"

const (
	rateSpan    = 5 * time.Minute
	rateBuckets = 30
)

// SuccessRate is the part of the attempts that succeeded in the last five minutes, give or take
// ten seconds. The zero SuccessRate is ready for use. It is not safe for concurrent use.
type SuccessRate struct {
	time   buckets
	counts [rateBuckets]struct{ ok, all uint32 }
}

// Add takes in an attempt.
func (r *SuccessRate) Add(now time.Time, ok bool) {
	c := &r.counts[r.advance(now)]
	c.all++
	if ok {
		c.ok++
	}
}

// Rate returns the rate, from 0 to 1, and the number of attempts it stands on; 1 with none.
func (r *SuccessRate) Rate(now time.Time) (rate float64, n int) {
	r.advance(now)
	ok := 0
	for _, c := range r.counts {
		ok += int(c.ok)
		n += int(c.all)
	}
	if n == 0 {
		return 1, 0
	}
	return float64(ok) / float64(n), n
}

func (r *SuccessRate) advance(now time.Time) int64 {
	const n = rateBuckets
	slot := r.time.advance(now, rateSpan/n, n, func(s int64) { r.counts[s].ok, r.counts[s].all = 0, 0 })
	return slot % n
}
