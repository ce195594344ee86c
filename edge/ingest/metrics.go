package ingest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events   *prometheus.CounterVec
	accepted prometheus.Counter
	repeated prometheus.Counter
	latency  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wedsync_ingest_events_total",
			Help: `Drafts by what became of them: "appended", "duplicate", or the code of their refusal.`,
		}, []string{"result"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "wedsync_ingest_append_seconds",
			Help:    "Time until the log had an event durably.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
	}
	m.accepted, m.repeated = m.events.WithLabelValues("appended"), m.events.WithLabelValues("duplicate")
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.events, m.latency} {
		if err := reg.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m metrics) refused(code string) { m.events.WithLabelValues(code).Inc() }

func (m metrics) appended(took time.Duration, duplicate bool) {
	m.latency.Observe(took.Seconds())
	if duplicate {
		m.repeated.Inc()
		return
	}
	m.accepted.Inc()
}
