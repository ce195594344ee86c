package peers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What becomes of a request. Those that failed were refused, or their handler failed.
const (
	answered    = "answered"
	failed      = "failed"
	busy        = "busy"
	late        = "late"
	unreachable = "unreachable"
)

// metrics tell of what this node asks others.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wedsync_peer_requests_total", Help: "Requests to other nodes, by their kind and by what came of them.",
		}, []string{"kind", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wedsync_peer_request_seconds", Help: "How long requests to other nodes take, whatever comes of them.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"kind"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
		if err := reg.Register(c); err != nil {
			return m, fmt.Errorf("peers: metrics: %w", err)
		}
	}
	return m, nil
}

// begin has a kind told from the start, at 0.
func (m metrics) begin(kind string) {
	for _, outcome := range []string{answered, failed, busy, late, unreachable} {
		m.requests.WithLabelValues(kind, outcome)
	}
	m.seconds.WithLabelValues(kind)
}

// tell counts a request that has ended.
func (m metrics) tell(kind string, err error, took time.Duration) {
	m.requests.WithLabelValues(kind, outcomeOf(err)).Inc()
	m.seconds.WithLabelValues(kind).Observe(took.Seconds())
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return answered
	case errors.Is(err, ErrUnreachable):
		return unreachable
	case errors.Is(err, ErrBusy):
		return busy
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return late
	}
	return failed
}
