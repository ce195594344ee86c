package live

import (
	"time"

	"github.com/wedsync/wedsync/analytics"
)

// Counts are how deliveries ended and calls went. What counts, and as what, is as in package analytics.
type Counts struct {
	Delivered uint64 `json:"delivered"`
	Dead      uint64 `json:"dead"`
	InTime    uint64 `json:"inTime"`   // delivered within analytics.LatencyLimit
	Attempts  uint64 `json:"attempts"` // calls to the vendor
	Failed    uint64 `json:"failed"`   // calls that did not deliver
}

// Total is how many deliveries ended that count.
func (c *Counts) Total() uint64 { return c.Delivered + c.Dead }

// Success is the rate of those that were delivered, against its objective.
func (c *Counts) Success() analytics.SLI {
	return analytics.NewSLI(c.Delivered, c.Total(), analytics.SuccessObjective)
}

// Latency is the rate of those that were delivered in time, against its objective.
func (c *Counts) Latency() analytics.SLI {
	return analytics.NewSLI(c.InTime, c.Total(), analytics.LatencyObjective)
}

func (c *Counts) add(o *Counts) {
	c.Delivered += o.Delivered
	c.Dead += o.Dead
	c.InTime += o.InTime
	c.Attempts += o.Attempts
	c.Failed += o.Failed
}

// Tally is what is known of one key over some time.
type Tally struct {
	Counts
	Latencies Latencies `json:"latencies,omitempty"` // of what was delivered
}

func (t *Tally) add(o *Tally) error {
	var h histogram
	if err := h.add(t.Latencies); err != nil {
		return err
	}
	if err := h.add(o.Latencies); err != nil {
		return err
	}
	t.Counts.add(&o.Counts)
	t.Latencies = h.pack()
	return nil
}

// Quantiles returns the latencies within which these percents of what was delivered were; zeros of nothing, or of
// what cannot be read.
func (t *Tally) Quantiles(percents ...float64) []time.Duration {
	var h histogram
	if h.add(t.Latencies) != nil || len(t.Latencies) == 0 {
		return make([]time.Duration, len(percents))
	}
	return h.quantiles(percents...)
}
