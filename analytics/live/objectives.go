package live

import (
	"maps"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// Objectives tells how the objectives are met as far as Books know: since the query's Since or the last hour, and over
// those windows and pairs of windows that are no longer than that. What spent the budget they do not know. The query
// is valid and by what a [Query] can be by; ask answers one.
func Objectives(q analytics.SLOQuery, ask func(Query) Report) analytics.SLOReport {
	q = q.WithDefaults()
	period := min(q.Now.Sub(q.Since), Span)
	windows := slices.DeleteFunc(analytics.SLOWindows(), func(w time.Duration) bool { return w > Span })
	pairs := slices.DeleteFunc(analytics.BurnPairs(), func(p analytics.BurnPair) bool { return p.Long > Span })
	all := append([]time.Duration{period}, windows...)
	for _, p := range pairs {
		all = append(all, p.Short, p.Long)
	}
	slices.Sort(all)
	report := analytics.SLOReport{Source: analytics.Live, By: q.By, Now: q.Now, Rows: []analytics.SLORow{}, Burnt: analytics.NewBurnt()}
	groups := map[string]map[time.Duration]analytics.Tally{}
	for _, w := range slices.Compact(all) {
		counted := ask(Query{By: q.By, Last: int((w + time.Minute - 1) / time.Minute)})
		if w == period {
			report.Since = counted.Since
		}
		for i := range counted.Rows {
			r := &counted.Rows[i]
			if groups[r.Key] == nil {
				groups[r.Key] = map[time.Duration]analytics.Tally{}
			}
			groups[r.Key][w] = r.Sum().Tally
		}
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		in := groups[key]
		if in[period] == (analytics.Tally{}) {
			continue // only called
		}
		row := analytics.SLORow{Key: key, Standing: analytics.NewStanding(in[period])}
		for _, w := range windows {
			row.Windows = append(row.Windows, analytics.SLOWindow{Window: event.Duration(w), Standing: analytics.NewStanding(in[w])})
		}
		for _, o := range []analytics.Objective{analytics.ForSuccess, analytics.ForLatency} {
			for _, p := range pairs {
				row.Burn = append(row.Burn, analytics.NewBurn(o, p, func(w time.Duration) analytics.Tally { return in[w] }))
			}
		}
		report.Rows = append(report.Rows, row)
	}
	return report
}
