package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	verdicts *prometheus.CounterVec
	latency  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wedsync_webhooks_total",
			Help: `Webhooks by vendor ("" where it is none) and verdict: "ok", "duplicate", or the code of the refusal.`,
		}, []string{"vendor", "verdict"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "wedsync_webhook_seconds",
			Help:    "Time until a webhook was verified, cleaned and durable.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 12),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.verdicts, m.latency} {
		if err := reg.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m metrics) taken(vendor, verdict string, took time.Duration) {
	m.verdicts.WithLabelValues(vendor, verdict).Inc()
	m.latency.Observe(took.Seconds())
}
