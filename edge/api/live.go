package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type liveInput struct {
	By      string `query:"by" default:"overall" enum:"overall,vendor,integration" doc:"What to break it down by."`
	Key     string `query:"key" doc:"Only this vendor, or this integration."`
	Last    int    `query:"last" default:"60" minimum:"1" maximum:"60" doc:"Minutes to tell of, with the one that goes on."`
	Minutes bool   `query:"minutes" doc:"Tell each minute too; of integrations, of the one that key names."`
}

// liveReport is like that of /api/slo, as far as the nodes themselves know.
type liveReport struct {
	Source string              `json:"source" enum:"live" doc:"From the nodes' memory: what a node counted before it was started last is not there."`
	By     analytics.Dimension `json:"by"`
	Since  time.Time           `json:"since" doc:"Nothing from before this is counted."`
	Now    time.Time           `json:"now"`
	Silent []string            `json:"silent" nullable:"false" doc:"Nodes that did not answer; their numbers are missing."`
	Pace   *live.Pace          `json:"pace,omitempty" doc:"Of the last one to two minutes; by overall alone."`
	Rows   []liveRow           `json:"rows" nullable:"false"`
}

type liveRow struct {
	Key string `json:"key"`
	liveCounts
	Success analytics.SLI `json:"success"`
	Latency analytics.SLI `json:"latency"`
	Minutes []liveMinute  `json:"minutes,omitempty"`
}

type liveMinute struct {
	At time.Time `json:"at"`
	liveCounts
}

type liveCounts struct {
	live.Counts
	P50 event.Duration `json:"p50" doc:"Of what was delivered, up to a sixteenth too high."`
	P95 event.Duration `json:"p95"`
	P99 event.Duration `json:"p99"`
}

func (a *API) routeLive(h huma.API) {
	handle(h, huma.Operation{
		OperationID: "live", Method: http.MethodGet, Path: "/api/live", Tags: []string{"analytics"}, Summary: "The last hour, as the nodes count it",
		Security:    needs(access.DeliveriesRead),
		Description: "It needs no ClickHouse, and is not exact over restarts. A replay that delivers takes nothing back here. To an API key that is bound to an owner, by integration alone.",
	}, a.live)
}

func (a *API) live(ctx context.Context, in *liveInput) (*body[liveReport], error) {
	q := live.Query{By: analytics.Dimension(in.By), Key: in.Key, Last: in.Last, Series: in.Minutes}
	if err := q.Validate(); err != nil {
		return nil, problem.New(problem.FieldInvalid, "%v", err)
	}
	if q.By == analytics.ByIntegration && q.Series && q.Key == "" {
		return nil, problem.New(problem.FieldInvalid, "the minutes of all integrations are too many; name one by key")
	}
	if q.By != analytics.ByIntegration {
		if err := allOwners(ctx, "by "+in.By+" is about all owners; ask by integration"); err != nil {
			return nil, err
		}
	}
	report, silent := a.cfg.Engine.Live(ctx, q)
	out := liveReport{Source: "live", By: q.By, Since: report.Since, Now: a.cfg.Now().UTC(), Silent: append([]string{}, silent...), Rows: []liveRow{}}
	if q.By == analytics.ByOverall {
		last, _ := a.cfg.Engine.Live(ctx, live.Query{By: q.By, Last: live.PaceMinutes})
		pace := last.Pace(out.Now)
		out.Pace = &pace
	}
	c := callerOf(ctx)
	for _, r := range report.Rows {
		if q.By != analytics.ByIntegration || a.reachable(c, r.Key) {
			out.Rows = append(out.Rows, liveRowOf(&r, in.Minutes))
		}
	}
	slices.Sort(out.Silent)
	return &body[liveReport]{out}, nil
}

// sloLive answers instead of ClickHouse, as far as the nodes know, and says why.
func (a *API) sloLive(ctx context.Context, q analytics.SLOQuery, code, why string) (*body[analytics.SLOReport], error) {
	if (live.Query{By: q.By, Last: 1}).Validate() != nil {
		return nil, problem.New(code, "%s. By %s it alone has numbers; by overall, vendor and integration the nodes have those of the last hour", why, q.By)
	}
	c, silent := callerOf(ctx), map[string]bool{}
	report := live.Objectives(q, func(q live.Query) live.Report {
		counted, missing := a.cfg.Engine.Live(ctx, q)
		for _, node := range missing {
			silent[node] = true
		}
		counted.Rows = slices.DeleteFunc(counted.Rows, func(r live.Row) bool {
			return q.By == analytics.ByIntegration && !a.reachable(c, r.Key)
		})
		return counted
	})
	report.Why, report.Silent = why, slices.Sorted(maps.Keys(silent))
	return &body[analytics.SLOReport]{report}, nil
}

func liveRowOf(r *live.Row, minutes bool) liveRow {
	sum := r.Sum()
	out := liveRow{Key: r.Key, liveCounts: liveCountsOf(&sum), Success: sum.Success(), Latency: sum.Latency()}
	if minutes {
		for i := range r.Minutes {
			m := &r.Minutes[i]
			out.Minutes = append(out.Minutes, liveMinute{time.Unix(60*m.At, 0).UTC(), liveCountsOf(&m.Figures)})
		}
	}
	return out
}

func liveCountsOf(t *live.Figures) liveCounts {
	q := t.Quantiles(50, 95, 99)
	return liveCounts{t.Counts, event.Duration(q[0]), event.Duration(q[1]), event.Duration(q[2])}
}
