package main

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/wedsync/wedsync/analytics"
)

type sloCmd struct {
	nodeFlags
	By    string `help:"Break down by ${enum}." enum:"overall,vendor,category,integration,event_type,wedding" default:"overall"`
	Since string `help:"A time in RFC 3339, or how long ago, such as 24h. Default: 30 days." placeholder:"TIME"`
}

func (sloCmd) Help() string {
	return `The numbers come from ClickHouse and lag behind by a second or two. A delivery counts once, by how
it ended. Budget left is what remains of the failures that the objective allows: below zero, it is overspent.`
}

func (c sloCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{"by": {c.By}}
	if c.Since != "" {
		query.Set("since", c.Since)
	}
	report, text, err := ask[analytics.SLOReport](ctx, node, http.MethodGet, "/api/slo", query, nil)
	if err != nil {
		return err
	}
	if p.json {
		return p.object(text)
	}
	p.say("%s to %s: %g %% delivered, %g %% within %s", clock(report.Since), clock(report.Now),
		100*analytics.SuccessObjective, 100*analytics.LatencyObjective, analytics.LatencyLimit)
	rows := make([][]string, 0, len(report.Rows))
	for _, r := range report.Rows {
		rows = append(rows, []string{
			cmp.Or(r.Key, "all"), strconv.FormatUint(r.Total, 10), strconv.FormatUint(r.Delivered, 10), strconv.FormatUint(r.Dead, 10),
			percent(r.Success.Rate), met(r.Success.Met), percent(r.Success.BudgetLeft), percent(r.Latency.Rate), met(r.Latency.Met),
		})
	}
	return p.table([]string{c.By, "total", "delivered", "dead", "success", "", "budget left", "in time", ""}, rows)
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}
