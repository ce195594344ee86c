package actors

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// metrics are labelled by vendor, never by integration: there may be 100,000 of those.
type metrics struct {
	routed     prometheus.Counter
	restarts   prometheus.Counter
	deliveries *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	ends       *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	parked     prometheus.Counter
	breakers   *prometheus.CounterVec
	retries    prometheus.Counter
	limits     map[string]prometheus.Counter // by the reason that a limit gives
}

func newMetrics(s *System, reg prometheus.Registerer) *metrics {
	m := &metrics{
		routed:     prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_events_routed_total", Help: "Events routed to their integrations."}),
		restarts:   prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_actor_restarts_total", Help: "Actors restarted after a panic."}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_deliveries_total", Help: "Deliveries ended, by vendor and outcome."}, []string{"vendor", "outcome"}),
		attempts:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_attempts_total", Help: "Calls to vendors, by vendor and verdict."}, []string{"vendor", "verdict"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wedsync_attempt_seconds", Help: "Duration of calls to vendors.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"vendor"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_slo_deliveries_total", Help: "Deliveries ended as the objectives count them, by vendor: in_time, late, dead, or excluded, which counts for nothing."}, []string{"vendor", "end"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wedsync_delivery_seconds", Help: "From accepting an event to the vendor's answer, of what was delivered as the objectives count it.",
			// One bound is the objective's.
			Buckets: []float64{.01, .05, .1, .5, 1, 2.5, analytics.LatencyLimit.Seconds(), 10, 30, 60, 300, 3600, 86400},
		}, []string{"vendor"}),
		parked:   prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_deliveries_parked_total", Help: "Deliveries set aside in the log while their vendor was slow or away."}),
		breakers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wedsync_breaker_opened_total", Help: "Breakers opened, by vendor."}, []string{"vendor"}),
		retries:  prometheus.NewCounter(prometheus.CounterOpts{Name: "wedsync_log_write_retries_total", Help: "Writes of the actors that the log refused and that were tried again."}),
	}
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "wedsync_calls_in_flight", Help: "Calls to vendors under way."},
		func() float64 { return float64(s.gate.InUse()) })
	queued := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "wedsync_integrations_queued", Help: "Integrations with something to send that wait for a free call."},
		func() float64 { return float64(s.gate.Waiting()) })
	shards := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "wedsync_shards_held", Help: "Shards that this node works on."},
		func() float64 { held, _ := s.Ready(); return float64(held) })
	limits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wedsync_delivery_limits_total", Help: "Deliveries that ended, and calls that were cut off, at a limit; by the reason that is recorded.",
	}, []string{"reason"})
	m.limits = map[string]prometheus.Counter{}
	for _, reason := range []string{event.ReasonExhausted, event.ReasonExpired, event.ReasonExpression, event.ReasonHops, event.ReasonTimeout} {
		m.limits[reason] = limits.WithLabelValues(reason)
	}
	for _, vendor := range adapter.Vendors() {
		m.latency.WithLabelValues(vendor) // a rate needs the 0 before the first
		m.seconds.WithLabelValues(vendor)
		for _, end := range []string{endInTime, endLate, endDead, endExcluded} {
			m.ends.WithLabelValues(vendor, end)
		}
	}
	reg.MustRegister(heldMetrics{s}, m.routed, m.restarts, m.deliveries, m.attempts, m.seconds, m.ends, m.latency, m.parked, m.breakers, m.retries, inFlight, queued, shards, limits)
	return m
}

// How deliveries end, as the objectives count them.
const (
	endInTime   = "in_time"
	endLate     = "late"
	endDead     = "dead"
	endExcluded = "excluded" // it counts neither for nor against them
)

// ended counts a delivery that has a result.
func (m *metrics) ended(r *event.DeliveryRecord) {
	took := r.Result.FinishedAt.Sub(r.CountsFrom())
	end, excluded := endInTime, r.Excluded()
	switch {
	case excluded == event.ExcludedReplay:
		return // its first end counted
	case excluded != "":
		end = endExcluded
	case r.Result.Outcome == event.Dead:
		end = endDead
	case took > analytics.LatencyLimit:
		end = endLate
	}
	m.ends.WithLabelValues(r.Vendor, end).Inc()
	if end == endInTime || end == endLate {
		m.latency.WithLabelValues(r.Vendor).Observe(took.Seconds())
	}
}

// limit counts a delivery that ended, or a call that was cut off, if the reason is a limit's.
func (m *metrics) limit(reason string) {
	if c := m.limits[reason]; c != nil {
		c.Inc()
	}
}

// heldMetrics asks the log, when it is asked itself, what it holds for integrations of this node's shards.
type heldMetrics struct{ sys *System }

var (
	heldCount = prometheus.NewDesc("wedsync_deliveries_held", "Deliveries that quiet hours or a digest hold in the log, by vendor.", []string{"vendor"}, nil)
	heldNext  = prometheus.NewDesc("wedsync_deliveries_held_until_seconds", "When the next of the held deliveries is released, in Unix seconds, by vendor.", []string{"vendor"}, nil)
)

// Describe implements prometheus.Collector.
func (h heldMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- heldCount
	out <- heldNext
}

// Collect implements prometheus.Collector.
func (h heldMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	byVendor := map[string]*event.Health{}
	for id, held := range h.sys.heldBack(ctx, "") {
		entry, ok := h.sys.cfg.Registry.Lookup(id)
		if !ok || h.sys.shardOf(id) == nil {
			continue
		}
		vendor := entry.Integration.Vendor
		if byVendor[vendor] == nil {
			byVendor[vendor] = &event.Health{}
		}
		byVendor[vendor].AddHeld(held.Count, held.Next)
	}
	for vendor, sum := range byVendor {
		out <- prometheus.MustNewConstMetric(heldCount, prometheus.GaugeValue, float64(sum.Held), vendor)
		out <- prometheus.MustNewConstMetric(heldNext, prometheus.GaugeValue, float64(sum.HeldUntil.Unix()), vendor)
	}
}
