package admin

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const objectivesPath = "/admin/slo"

func (a *Admin) routeObjectives(s *site) {
	s.page(page{path: objectivesPath, name: "SLO", icon: "slo", scope: access.DeliveriesRead, show: a.objectives})
}

// spans are how far back one can look: the report's windows, and those over which budgets burn.
func spans() []time.Duration {
	return []time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour, 72 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}
}

const (
	rowsAtOnce = 50 // groups of a table
	failures   = 10 // deliveries below it
)

// objectives is what the page shows: how the objectives are met by something, and one of it in full.
type objectives struct {
	by    analytics.Dimension
	key   string
	span  time.Duration
	words string // that keys are searched for

	report analytics.SLOReport // but its rows
	rows   []analytics.SLORow  // of these the worst, first
	found  int
	row    *analytics.SLORow // the one in full
	charts []objectiveChart
	bad    []analytics.DeliveryRow // its latest failures

	live  *api.Live // instead of all that, where there is no ClickHouse
	wrong string    // why
}

// objectiveChart is how one objective was met over time.
type objectiveChart struct {
	objective analytics.Objective
	chart     chart
}

func (a *Admin) objectives(v *visit) (screen, error) {
	what := address("", map[string]string{"by": v.query("by"), "key": v.query("key"), "since": v.query("since"), "q": v.query("q")})
	o, err := a.tables.about(what, v, budgetEvery, findObjectives)
	if err != nil {
		return screen{}, err
	}
	s := screen{title: "SLO", charts: true, body: objectivesBody(v, o), live: []part{{"objectives", objectivesPart(v, o)}}}
	return s, nil
}

func findObjectives(v *visit) (*objectives, error) {
	o := &objectives{by: analytics.Dimension(v.query("by")), key: v.query("key"), span: 30 * 24 * time.Hour, words: strings.TrimSpace(v.query("q"))}
	if !slices.Contains(o.dimensions(v), o.by) {
		o.by, o.key = v.byReach(), ""
	}
	if d, err := time.ParseDuration(v.query("since")); err == nil && slices.Contains(spans(), d) {
		o.span = d
	}
	var err error
	o.report, err = v.SLO(v.Context(), o.by, o.span.String())
	p := problem.Of(err)
	switch {
	case err == nil && o.report.Source == analytics.Live:
		o.wrong, o.report.Rows = o.report.Why, nil
		err = o.findLive(v)
		return o, err
	case err != nil && (p.Code == problem.AnalyticsMissing || p.Code == problem.AnalyticsFailed): // by what the nodes do not count
		o.wrong = p.Detail
		err = o.findLive(v)
		return o, err
	case err != nil:
		return nil, err
	}
	o.sort()
	if o.row == nil {
		return o, nil
	}
	series, err := v.SLOSeries(v.Context(), o.by, o.key, o.span.String())
	if err != nil {
		return nil, err
	}
	o.draw(&series)
	what := o.sought()
	what.Limit = failures
	o.bad, _, err = v.FindDeliveries(v.Context(), what.Sought)
	return o, err
}

// shownDimensions are those by which there are numbers.
func (o *objectives) shownDimensions(v *visit) []analytics.Dimension {
	if o.live == nil {
		return o.dimensions(v)
	}
	if v.Caller().Bound() {
		return []analytics.Dimension{analytics.ByIntegration}
	}
	return []analytics.Dimension{analytics.ByOverall, analytics.ByVendor, analytics.ByIntegration}
}

// dimensions are those that the visitor may ask by.
func (o *objectives) dimensions(v *visit) []analytics.Dimension {
	if v.Caller().Bound() {
		return []analytics.Dimension{analytics.ByIntegration}
	}
	return analytics.Dimensions()
}

// findLive takes what the nodes have counted themselves, which is by fewer dimensions.
func (o *objectives) findLive(v *visit) error {
	if o.by != analytics.ByVendor && o.by != analytics.ByIntegration {
		o.by, o.key = v.byReach(), ""
	}
	live, err := v.Live(v.Context(), o.by, o.key, 60, o.key != "" || o.by == analytics.ByOverall)
	if err != nil {
		return err
	}
	o.live, o.span = &live, time.Hour
	if len(live.Rows) == 1 {
		o.drawLive(&live.Rows[0])
	}
	words := wordsOf(o.words)
	live.Rows = slices.DeleteFunc(live.Rows, func(r api.LiveRow) bool { return !hasAll(r.Key, words) })
	slices.SortStableFunc(live.Rows, func(a, b api.LiveRow) int {
		return cmp.Or(cmp.Compare(b.Total-b.InTime, a.Total-a.InTime), cmp.Compare(b.Total, a.Total))
	})
	o.found = len(live.Rows)
	live.Rows = slices.Clone(live.Rows[:min(len(live.Rows), rowsAtOnce)])
	return nil
}

// sort puts the groups that somebody should look at first.
func (o *objectives) sort() {
	words := wordsOf(o.words)
	for i := range o.report.Rows {
		r := &o.report.Rows[i]
		if r.Key == o.key && (o.key != "" || o.by == analytics.ByOverall) {
			o.row = r
		}
		if hasAll(r.Key, words) {
			o.rows = append(o.rows, *r)
		}
	}
	slices.SortStableFunc(o.rows, func(a, b analytics.SLORow) int {
		return cmp.Or(cmp.Compare(burning(&b), burning(&a)), cmp.Compare(leftOf(&a), leftOf(&b)), cmp.Compare(b.Total, a.Total))
	})
	o.found = len(o.rows)
	o.rows = slices.Clone(o.rows[:min(len(o.rows), rowsAtOnce)])
	if o.row != nil {
		one := *o.row
		o.row = &one
	}
	o.report.Rows = nil // which may be many, and is kept for a while
}

// burning is how many of a group's budgets burn.
func burning(r *analytics.SLORow) (n int) {
	for _, b := range r.Burn {
		if b.Burning {
			n++
		}
	}
	return n
}

// leftOf is what is left of the budget of which less is left.
func leftOf(r *analytics.SLORow) float64 {
	long := longest(r)
	return min(long.Success.BudgetLeft, long.Latency.BudgetLeft)
}

// longest is how a group stands over 30 days, which is what budgets are for.
func longest(r *analytics.SLORow) *analytics.Standing {
	return &r.Windows[len(r.Windows)-1].Standing
}

func (o *objectives) draw(series *analytics.SLOSeries) {
	o.charts = newCharts(o.span)
	for _, p := range series.Points {
		if p.Total > 0 {
			o.add(p.At, p.Delivered, p.InTime, p.Total)
		}
	}
	o.widen(series.Now)
}

func (o *objectives) drawLive(r *api.LiveRow) {
	o.charts = newCharts(o.span)
	for _, m := range r.Minutes {
		if m.Total > 0 {
			o.add(m.At, m.Delivered, m.InTime, m.Total)
		}
	}
	o.widen(o.live.Now)
}

// widen has the objective's line go from end to end, however few points there are.
func (o *objectives) widen(now time.Time) {
	for i := range o.charts {
		c := &o.charts[i].chart
		if len(c.Times) > 0 {
			begin := min(now.Add(-o.span).Unix(), c.Times[0]-1)
			c.Times = append(append([]int64{begin}, c.Times...), now.Unix()+1)
			c.Lines[0].Values = append(append([]*float64{nil}, c.Lines[0].Values...), nil)
		}
	}
}

func newCharts(span time.Duration) []objectiveChart {
	all := []objectiveChart{{objective: analytics.ForSuccess}, {objective: analytics.ForLatency}}
	for i := range all {
		all[i].chart = chart{Unit: "%", Span: int64(span / time.Second), Goal: 100 * all[i].objective.Goal(), Lines: []line{{Name: objectiveName(all[i].objective)}}}
	}
	return all
}

// add draws how both objectives were met at a time.
func (o *objectives) add(at time.Time, delivered, inTime, total uint64) {
	for i, good := range []uint64{delivered, inTime} {
		c := &o.charts[i].chart
		share := 100 * float64(good) / float64(total)
		c.Times = append(c.Times, at.Unix())
		c.Lines[0].Values = append(c.Lines[0].Values, &share)
	}
}

// url is the page by something else, or of another key or time.
func (o *objectives) url(by analytics.Dimension, key string, span time.Duration) string {
	return address(objectivesPath, map[string]string{"by": string(by), "key": key, "since": span.String()})
}

// sought are the deliveries that failed of what is shown.
func (o *objectives) sought() sought {
	s := sought{api.Sought{Outcome: event.Dead, Paging: api.Paging{Since: o.span.String()}}}
	switch o.by {
	case analytics.ByVendor:
		s.Vendor = o.key
	case analytics.ByCategory:
		s.Category = o.key
	case analytics.ByIntegration:
		s.Integration = o.key
	case analytics.ByEventType:
		s.EventType = o.key
	case analytics.ByWedding:
		s.WeddingID = o.key
	case analytics.ByOverall:
	}
	return s
}

// late are those that were delivered, and not in time.
func (o *objectives) late() sought {
	s := o.sought()
	s.Outcome, s.SlowerThan = event.Delivered, analytics.LatencyLimit.String()
	return s
}
