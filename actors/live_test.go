package actors_test

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/cluster/peers"
)

// What the vendors' answers come to is counted by the node that delivers, and told by every node: the same, whoever
// is asked, and in parts where it is much.
func TestLiveNumbersOfAllNodes(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("n1", "n2")
	x := &exchange{handlers: map[string]peers.Handler{}, cut: map[string]bool{}}
	with := func(name string) *node {
		return c.join(name, func(cfg *actors.Config) { cfg.Peers = end{x, name} }, fast)
	}
	first, second := with("n1"), with("n2")
	s := newSink(t)
	const many, lost = 24, 3 // over both nodes' shards
	for i := range many {
		first.connect(fmt.Sprint("i", i), s)
	}
	waitFor(t, holds(first))
	waitFor(t, holds(second))
	for i := range many {
		first.publish(fmt.Sprint("i", i), "x", 0, 1)
	}
	s.wait(t, many)
	s.answers(always(http.StatusUnprocessableEntity))
	for i := range lost {
		first.publish(fmt.Sprint("i", i), "x", 1, 1)
	}
	q := live.Query{By: analytics.ByOverall, Last: 60}
	waitFor(t, func() bool {
		r, silent := first.Live(t.Context(), q)
		return len(silent) == 0 && len(r.Rows) == 1 && r.Rows[0].Minutes[0].Total == many+lost
	})
	all, _ := second.Live(t.Context(), q)
	sum := all.Rows[0].Sum()
	if want := (live.Counts{Tally: analytics.Tally{Total: many + lost, Delivered: many, Dead: lost, InTime: many}, Attempts: many + lost, Failed: lost}); sum.Counts != want || sum.Quantiles(50)[0] <= 0 {
		t.Errorf("together: %+v", sum)
	}
	for _, q := range []live.Query{{By: analytics.ByVendor, Last: 60, Series: true}, {By: analytics.ByIntegration, Last: 60}, {By: analytics.ByIntegration, Last: 60, Key: "i7"}} {
		one, _ := first.Live(t.Context(), q)
		other, _ := second.Live(t.Context(), q)
		if !reflect.DeepEqual(one.Rows, other.Rows) {
			t.Errorf("%+v: n1 tells %+v, n2 %+v", q, one.Rows, other.Rows)
		}
		if want := map[analytics.Dimension]int{analytics.ByVendor: 1, analytics.ByIntegration: many}[q.By]; len(one.Rows) != want && q.Key == "" {
			t.Errorf("%+v: %d rows", q, len(one.Rows))
		}
	}
	// What the owners' shares are is what each counted itself.
	x.mu.Lock()
	x.cut["n2"] = true
	x.mu.Unlock()
	part, silent := first.Live(t.Context(), q)
	if got := part.Rows[0].Minutes[0].Total; fmt.Sprint(silent) != "[n2]" || got == 0 || got == many+lost {
		t.Errorf("alone it tells of %d, and %v is silent", got, silent)
	}
	for _, bad := range []string{`{"by":"wedding","last":1}`, `[]`} {
		if _, err := (end{x, "n2"}).Ask(t.Context(), "n1", "actors.live", []byte(bad)); err == nil {
			t.Errorf("%s is answered", bad)
		}
	}
	inTime := 0.0
	for _, n := range []*node{first, second} {
		inTime += n.inTime("studiocloud")
		if n.counts("wedsync_slo_deliveries_total", "in_time") != n.inTime("studiocloud") || n.inTime("whatsapp") != 0 || n.counts("wedsync_slo_deliveries_total", "excluded") > 0 {
			t.Errorf("%s tells of what nobody sent", n.name)
		}
	}
	if inTime != many {
		t.Errorf("%v were delivered in time by the metrics, want %d", inTime, many)
	}
}

// inTime returns how many deliveries of a vendor the metrics count within the objective's limit, and fails where they
// do not say so from the start.
func (n *node) inTime(vendor string) float64 {
	n.t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, b := range m.GetHistogram().GetBucket() {
				if f.GetName() == "wedsync_delivery_seconds" && m.GetLabel()[0].GetValue() == vendor && b.GetUpperBound() == analytics.LatencyLimit.Seconds() {
					return float64(b.GetCumulativeCount())
				}
			}
		}
	}
	n.t.Errorf("%s tells nothing of %s's latency", n.name, vendor)
	return 0
}
