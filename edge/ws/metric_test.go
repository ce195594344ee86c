package ws_test

import (
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// metric returns a metric's value, summed over those of its label sets that have all the pairs given.
func metric(tb testing.TB, n *node, name string, pairs ...string) float64 {
	tb.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if has(m, pairs) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// waitMetric waits until a metric has that value.
func waitMetric(tb testing.TB, n *node, want float64, name string, pairs ...string) {
	tb.Helper()
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for metric(tb, n, name, pairs...) != want {
		select {
		case <-again.C:
		case <-deadline:
			tb.Fatalf("%s %v is %v, want %v", name, pairs, metric(tb, n, name, pairs...), want)
		}
	}
}

func has(m *dto.Metric, pairs []string) bool {
	for i := 0; i < len(pairs); i += 2 {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetName() == pairs[i] && l.GetValue() == pairs[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}
