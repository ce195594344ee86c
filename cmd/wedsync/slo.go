package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

type sloCmd struct {
	nodeFlags
	By    string        `help:"Break down by ${enum}." enum:"overall,vendor,category,integration,event_type,wedding" default:"overall"`
	Since string        `help:"A time in RFC 3339, or how long ago, such as 24h. Default: 30 days." placeholder:"TIME"`
	Watch time.Duration `help:"Again every so often, at least each second, until interrupted; with --json one report a line." placeholder:"5s"`
}

func (sloCmd) Help() string {
	return `The numbers come from ClickHouse and lag behind by a second or two. Without it they are live only: what the nodes
hold in memory of the last hour, by overall, vendor and integration, which the first line and "source" say. A delivery counts once, at the time when
it first ended; docs/slo.md says what counts and what is excluded. Budget left is what remains of the failures that
the objective allows: below zero, it is overspent. A budget burns when it is spent too fast over a long window and
still over a short one.

Examples:

    wedsync slo --by vendor --since 24h

    wedsync slo --by wedding --json

    wedsync slo --watch 5s`
}

func (c sloCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	if c.Watch != 0 && c.Watch < time.Second {
		return usageError{fmt.Errorf("--watch %s: use 1s or more", c.Watch)}
	}
	query := url.Values{"by": {c.By}}
	if c.Since != "" {
		query.Set("since", c.Since)
	}
	for {
		report, text, err := ask[analytics.SLOReport](ctx, node, http.MethodGet, "/api/slo", query, nil)
		if ctx.Err() != nil && c.Watch > 0 {
			return nil
		}
		switch {
		case err != nil:
			return err
		case p.json && c.Watch > 0:
			err = p.line(text)
		case p.json:
			err = p.object(text)
		default:
			err = sayReport(p, &report)
		}
		if err != nil || c.Watch == 0 {
			return err
		}
		select {
		case <-time.After(c.Watch):
		case <-ctx.Done():
			return nil
		}
	}
}

// sayReport writes a report for people.
func sayReport(p printer, report *analytics.SLOReport) error {
	p.say("%s to %s: %g %% delivered, %g %% within %s", clock(report.Since), clock(report.Now),
		100*analytics.SuccessObjective, 100*analytics.LatencyObjective, analytics.LatencyLimit)
	if report.Source == analytics.Live {
		p.say("LIVE ONLY: of the last hour at most, from the nodes' memory: %s. What is older, and what spent the budget, is not known.", report.Why)
		if len(report.Silent) > 0 {
			p.say("Without %s, which does not answer.", strings.Join(report.Silent, ", "))
		}
	}
	rows := make([][]string, 0, len(report.Rows))
	for _, r := range report.Rows {
		rows = append(rows, append([]string{keyOf(report.By, r.Key), "", count(r.Total), count(r.Dead), count(r.Excluded)}, standingOf(r.Standing)...))
		if report.By == analytics.ByOverall {
			for _, w := range r.Windows {
				rows = append(rows, append([]string{"", window(w.Window), count(w.Total), count(w.Dead), count(w.Excluded)}, standingOf(w.Standing)...))
			}
		}
	}
	head := []string{string(report.By), "window", "total", "dead", "excluded", "success", "", "budget left", "in time", "", "budget left"}
	if report.By != analytics.ByOverall { // it has windows alone
		head = append(head[:1], head[2:]...)
		for i := range rows {
			rows[i] = append(rows[i][:1], rows[i][2:]...)
		}
	}
	if err := p.table(head, rows); err != nil {
		return err
	}
	sayBurns(p, report)
	sayBurnt(p, "vendors", report.Burnt.Vendors)
	sayBurnt(p, "reasons", report.Burnt.Reasons)
	sayBurnt(p, "weddings", report.Burnt.Weddings)
	return nil
}

func standingOf(s analytics.Standing) []string {
	return []string{
		percent(s.Success.Rate), met(s.Success.Met), percent(s.Success.BudgetLeft), percent(s.Latency.Rate), met(s.Latency.Met), percent(s.Latency.BudgetLeft),
	}
}

// sayBurns names the budgets that burn.
func sayBurns(p printer, report *analytics.SLOReport) {
	for _, r := range report.Rows {
		for _, b := range r.Burn {
			if b.Burning {
				p.say("BURNING (%s): %s, budget for %s: %.1f times too fast over %s, %.1f over %s", b.Severity, plain(keyOf(report.By, r.Key)), b.Objective,
					b.Long.Rate, window(b.Long.Window), b.Short.Rate, window(b.Short.Window))
			}
		}
	}
}

// sayBurnt names what most of the failures have in common.
func sayBurnt(p printer, what string, all []analytics.BurntBy) {
	const few = 5
	named := make([]string, 0, few)
	for _, b := range all[:min(len(all), few)] {
		named = append(named, fmt.Sprintf("%s %d (%s)", cmp.Or(b.Key, "none"), b.Dead, percent(b.Share)))
	}
	if len(named) > 0 {
		p.say("failures by %s: %s", what, plain(strings.Join(named, ", ")))
	}
}

// keyOf is a group's name; that of all is empty, as is that of what has none, such as no wedding.
func keyOf(by analytics.Dimension, key string) string {
	if by == analytics.ByOverall {
		return "all"
	}
	return cmp.Or(key, "none")
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

// window writes how long a window is, in days where they are whole.
func window(d event.Duration) string {
	const day = event.Duration(24 * time.Hour)
	if d > day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := time.Duration(d).String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}
