package live_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/live"
)

// A report of what is in memory claims nothing of windows that it does not reach.
func TestObjectives(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := live.NewBook(live.Config{Now: c.now})
	began := c.at
	deliver := func(vendor string, n int, took time.Duration) {
		for range n {
			b.Ended(ended(c, vendor, vendor+"-1", took))
		}
	}
	deliver("slack", 90, time.Second)
	deliver("slack", 10, 6*time.Second)
	c.move(20 * time.Minute)
	deliver("slack", 60, time.Second)
	deliver("slack", 40, -1)
	b.Attempted("email", "email-1", false) // nothing ended
	c.move(30 * time.Second)
	ask := b.Report
	r := live.Objectives(analytics.SLOQuery{By: analytics.ByVendor, Now: c.at}, ask)
	if r.Source != analytics.Live || r.By != analytics.ByVendor || !r.Since.Equal(began) || !r.Now.Equal(c.at) || len(r.Rows) != 1 || r.Burnt.Vendors == nil {
		t.Fatalf("it tells %+v", r)
	}
	hour := analytics.Tally{Total: 200, Delivered: 160, Dead: 40, InTime: 150}
	row := r.Rows[0]
	if row.Key != "slack" || row.Tally != hour || row.Success.Rate != 0.8 || row.Latency.Rate != 0.75 {
		t.Errorf("slack: %+v", row)
	}
	if len(row.Windows) != 1 || row.Windows[0] != (analytics.SLOWindow{Window: event.Duration(time.Hour), Standing: analytics.NewStanding(hour)}) {
		t.Errorf("windows: %+v", row.Windows)
	}
	if fmt.Sprint(row.Burn[0].Objective, row.Burn[0].Short, row.Burn[0].Long, row.Burn[0].Burning) != fmt.Sprint("success", analytics.BurnWindow{
		Window: event.Duration(5 * time.Minute), Total: 100, Bad: 40, Rate: 0.4 / (1 - 0.995),
	}, analytics.BurnWindow{Window: event.Duration(time.Hour), Total: 200, Bad: 40, Rate: 0.2 / (1 - 0.995)}, true) ||
		len(row.Burn) != 2 || row.Burn[1].Objective != analytics.ForLatency || row.Burn[1].Long.Bad != 50 {
		t.Errorf("burn: %+v", row.Burn)
	}
	r = live.Objectives(analytics.SLOQuery{By: analytics.ByOverall, Now: c.at, Since: c.at.Add(-90 * time.Second)}, ask)
	if len(r.Rows) != 1 || r.Rows[0].Total != 100 || r.Rows[0].Windows[0].Total != 200 || !r.Since.Equal(c.at.Add(-90*time.Second)) {
		t.Errorf("since a minute and a half: %+v", r)
	}
	c.move(2 * time.Hour)
	if r := live.Objectives(analytics.SLOQuery{By: analytics.ByOverall, Now: c.at}, ask); r.Rows == nil || len(r.Rows) != 0 || c.at.Sub(r.Since) > live.Span {
		t.Errorf("when all is over: %+v", r)
	}
}
