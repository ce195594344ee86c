package journal

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// lineMetrics tell of what waits for a log that does not answer.
type lineMetrics struct {
	waiting prometheus.Gauge
	bytes   prometheus.Gauge
	waited  *prometheus.CounterVec
}

func newLineMetrics(reg prometheus.Registerer) (lineMetrics, error) {
	m := lineMetrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wedsync_log_waiting", Help: "Writes that wait for a log that does not answer.",
		}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wedsync_log_waiting_bytes", Help: "Bytes of the events that wait for a log that does not answer.",
		}),
		waited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wedsync_log_waited_total",
			Help: `Writes that found that the log does not answer: "taken" after a while, "failed", or "refused" as too many waited.`,
		}, []string{"outcome"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.waiting, m.bytes, m.waited} {
		if err := reg.Register(c); err != nil {
			return m, fmt.Errorf("journal: metrics: %w", err)
		}
	}
	return m, nil
}

// tell counts one that has waited.
func (m lineMetrics) tell(err error) {
	if err != nil {
		m.waited.WithLabelValues("failed").Inc()
		return
	}
	m.waited.WithLabelValues("taken").Inc()
}
