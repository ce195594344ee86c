package actors_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
)

// counts returns what a metric says, of the label value if one is given.
func (n *node) counts(name string, label ...string) (sum float64) {
	n.t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(label) == 0 || m.GetLabel()[0].GetValue() == label[0]) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// limited expects that so many deliveries or calls were ended at a limit, of that reason, and none by another.
func (n *node) limited(reason string, want float64) {
	n.t.Helper()
	const name = "wedsync_delivery_limits_total"
	if got, all := n.counts(name, reason), n.counts(name); got != want || all != want {
		n.t.Errorf("%s counts %v of %s and %v in all, want %v", name, got, reason, all, want)
	}
}

// A call that takes too long is cut off and tried again; those that find no free call wait, and are counted.
func TestSlowCallsAreCutOff(t *testing.T) {
	t.Parallel()
	n, s, other := start(t, func(c *actors.Config) { c.MaxInFlight = 1 }), newSink(t), newSink(t)
	n.connect("slow", s, func(in *event.Integration) { in.Limits.Timeout = event.Duration(300 * time.Millisecond) })
	n.connect("quick", other)
	called, hold := make(chan struct{}), make(chan struct{})
	var again atomic.Bool
	s.answers(func(receipt) int {
		if !again.Swap(true) {
			close(called)
			<-hold
		}
		return http.StatusOK
	})
	n.publish("slow", "a", 0, 1)
	<-called
	if got := n.counts("wedsync_calls_in_flight"); got != 1 {
		t.Errorf("%v calls are in flight, want 1", got)
	}
	n.publish("quick", "b", 0, 1)
	n.results(2)
	close(hold)
	n.limited(event.ReasonTimeout, 1)
	if got := n.counts("wedsync_calls_in_flight") + n.counts("wedsync_integrations_queued"); got != 0 {
		t.Errorf("%v calls are in flight or waited for when all is done", got)
	}
}
