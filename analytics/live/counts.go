package live

import (
	"time"

	"github.com/wedsync/wedsync/analytics"
)

// Counts are how deliveries ended and calls went.
type Counts struct {
	analytics.Tally
	Attempts uint64 `json:"attempts"` // calls to the vendor
	Failed   uint64 `json:"failed"`   // calls that did not deliver
}

// Success is the rate of those that were delivered, against its objective.
func (c *Counts) Success() analytics.SLI {
	return analytics.NewSLI(analytics.ForSuccess, c.Tally)
}

// Latency is the rate of those that were delivered in time, against its objective.
func (c *Counts) Latency() analytics.SLI {
	return analytics.NewSLI(analytics.ForLatency, c.Tally)
}

func (c *Counts) add(o *Counts) {
	c.Add(o.Tally)
	c.Attempts += o.Attempts
	c.Failed += o.Failed
}

// Figures are what is known of one key over some time.
type Figures struct {
	Counts
	Latencies Latencies `json:"latencies,omitempty"` // of what was delivered
}

func (f *Figures) add(o *Figures) error {
	var h histogram
	if err := h.add(f.Latencies); err != nil {
		return err
	}
	if err := h.add(o.Latencies); err != nil {
		return err
	}
	f.Counts.add(&o.Counts)
	f.Latencies = h.pack()
	return nil
}

// Quantiles returns the latencies within which these percents of what was delivered were; zeros of nothing, or of
// what cannot be read.
func (f *Figures) Quantiles(percents ...float64) []time.Duration {
	var h histogram
	if h.add(f.Latencies) != nil || len(f.Latencies) == 0 {
		return make([]time.Duration, len(percents))
	}
	return h.quantiles(percents...)
}
