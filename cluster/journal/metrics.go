package journal

import (
	"context"
	"fmt"
	"time"

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
	for _, outcome := range []string{"taken", "failed", "refused"} {
		m.waited.WithLabelValues(outcome) // told from the start, at 0
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

// peerMetrics tell how the nodes that hold the log stand. They are asked for when somebody reads them.
type peerMetrics struct {
	j                    *Journal
	online, leader, lags *prometheus.Desc
}

// peersTimeout bounds the question, which is asked most when the log does not answer.
const peersTimeout = time.Second

func (j *Journal) measurePeers() error {
	if j.cfg.Cluster == nil || j.cfg.Metrics == nil {
		return nil
	}
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, []string{"peer"}, nil) }
	err := j.cfg.Metrics.Register(&peerMetrics{
		j:      j,
		online: desc("wedsync_log_peer_online", "1 for a core node that was heard of lately, 0 for one that is away and not removed. No peer at all: the log does not answer."),
		leader: desc("wedsync_log_peer_leader", "1 for the node that orders what is appended to the event log."),
		lags:   desc("wedsync_log_peer_lag", "Entries of the event log that a node has yet to take over."),
	})
	if err != nil {
		return fmt.Errorf("journal: metrics: %w", err)
	}
	return nil
}

// Describe implements prometheus.Collector.
func (m *peerMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.online
	to <- m.leader
	to <- m.lags
}

// Collect implements prometheus.Collector.
func (m *peerMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), peersTimeout)
	defer cancel()
	peers, err := m.j.Peers(ctx)
	if err != nil {
		return
	}
	truth := map[bool]float64{true: 1}
	for _, p := range peers {
		for d, v := range map[*prometheus.Desc]float64{m.online: truth[p.Online], m.leader: truth[p.Leader], m.lags: float64(p.Lag)} {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, p.Name)
		}
	}
}
