package alerts

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/analytics"
)

type metrics struct {
	alerts      *prometheus.GaugeVec
	evaluations *prometheus.CounterVec
}

const (
	evaluated = "ok"
	failed    = "failed"
)

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		alerts:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "wedsync_burn_alerts", Help: "Budgets that burn, by severity; on the node that evaluates them."}, []string{"severity"}),
		evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_burn_evaluations_total", Help: "Looks at what burns, and whether they failed."}, []string{"outcome"}),
	}
	m.open(nil)
	for _, outcome := range []string{evaluated, failed} {
		m.evaluations.WithLabelValues(outcome)
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.alerts, m.evaluations} {
		if err := reg.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *metrics) evaluated(err error) {
	outcome := evaluated
	if err != nil {
		outcome = failed
	}
	m.evaluations.WithLabelValues(outcome).Inc()
}

func (m *metrics) open(alerts map[string]*alert) {
	count := map[analytics.Severity]int{analytics.SeverityPage: 0, analytics.SeverityTicket: 0}
	for _, a := range alerts {
		count[a.Severity]++
	}
	for severity, n := range count {
		m.alerts.WithLabelValues(string(severity)).Set(float64(n))
	}
}
