package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type sloInput struct {
	By    string `query:"by" default:"overall" enum:"overall,vendor,category,integration,event_type,wedding" doc:"What to break it down by."`
	Since string `query:"since" doc:"An RFC 3339 time, or how long ago, such as 24h. Default: 30 days."`
}

type seriesInput struct {
	By    string `query:"by" default:"overall" enum:"overall,vendor,category,integration,event_type,wedding" doc:"What to break it down by."`
	Since string `query:"since" doc:"An RFC 3339 time, or how long ago, such as 24h. Default: 30 days."`
	Key   string `query:"key" doc:"Which one of what it is broken down by; overall there is one, with an empty key."`
}

type summaryInput struct {
	Since string `query:"since" doc:"An RFC 3339 time, or how long ago, such as 24h. Default: all that is kept."`
}

func (a *API) routeAnalytics(h huma.API) {
	tags := []string{"analytics"}
	handle(h, huma.Operation{
		OperationID: "slo", Method: http.MethodGet, Path: "/api/slo", Tags: tags, Summary: "How the objectives are met",
		Security:    needs(access.DeliveriesRead),
		Description: "To an API key that is bound to an owner, by integration alone. Where ClickHouse does not answer, by overall, vendor and integration the nodes tell what they have counted in the last hour; source says so.",
	}, a.slo)
	handle(h, huma.Operation{
		OperationID: "slo-series", Method: http.MethodGet, Path: "/api/slo/series", Tags: tags, Summary: "How the objectives were met over time",
		Security: needs(access.DeliveriesRead), Description: "Of one group. To an API key that is bound to an owner, of its integrations alone.",
	}, a.series)
	handle(h, huma.Operation{
		OperationID: "summary", Method: http.MethodGet, Path: "/api/summary", Tags: tags, Summary: "Deliveries by integration",
		Security: needs(access.DeliveriesRead),
	}, a.summary)
}

// store returns the analytics, or the problem that there are none.
func (a *API) store() (Analytics, error) {
	if s := a.cfg.Analytics(); s != nil {
		return s, nil
	}
	return nil, problem.New(problem.AnalyticsMissing, "this node has no ClickHouse; records wait in the log until it has. GET /api/live has the last hour")
}

func analyticsFailed(err error) error {
	return problem.New(problem.AnalyticsFailed, "ClickHouse did not answer; the node's log says more").Because(err)
}

func (a *API) slo(ctx context.Context, in *sloInput) (*body[analytics.SLOReport], error) {
	q, err := a.sloQuery(ctx, in.By, in.Since)
	if err != nil {
		return nil, err
	}
	s := a.cfg.Analytics()
	if s == nil {
		return a.sloLive(ctx, q, problem.AnalyticsMissing, "this node has no ClickHouse")
	}
	report, err := s.SLO(ctx, q)
	if err != nil {
		if ctx.Err() == nil && !a.numbersAway.Swap(true) {
			a.cfg.Logger.Warn().Err(err).Msg("ClickHouse does not say how the objectives are met; the last hour's live numbers stand in until it does")
		}
		return a.sloLive(ctx, q, problem.AnalyticsFailed, "ClickHouse did not answer")
	}
	if a.numbersAway.Swap(false) {
		a.cfg.Logger.Info().Msg("ClickHouse says how the objectives are met again")
	}
	return &body[analytics.SLOReport]{report}, nil
}

// sloQuery is about what the caller reaches.
func (a *API) sloQuery(ctx context.Context, by, since string) (q analytics.SLOQuery, err error) {
	q = analytics.SLOQuery{By: analytics.Dimension(by), Now: a.cfg.Now().UTC()}
	if q.By != analytics.ByIntegration {
		if err := allOwners(ctx, "by "+by+" is about all owners; ask by integration"); err != nil {
			return q, err
		}
	}
	q.Among = a.own(callerOf(ctx))
	if q.Since, err = a.since("since", since); err != nil {
		return q, err
	}
	if err := q.WithDefaults().Validate(); err != nil {
		return q, problem.New(problem.FieldInvalid, "%v", err)
	}
	return q, nil
}

func (a *API) series(ctx context.Context, in *seriesInput) (*body[analytics.SLOSeries], error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	q, err := a.sloQuery(ctx, in.By, in.Since)
	if err != nil {
		return nil, err
	}
	if q.By == analytics.ByIntegration && !a.reachable(callerOf(ctx), in.Key) {
		return nil, problem.New(problem.IntegrationUnknown, "there is no integration %.80q", in.Key)
	}
	series, err := s.Series(ctx, q, in.Key)
	if err != nil {
		return nil, analyticsFailed(err)
	}
	return &body[analytics.SLOSeries]{series}, nil
}

type summary struct {
	Since time.Time                      `json:"since,omitzero"`
	Items []analytics.IntegrationSummary `json:"items" nullable:"false"`
}

func (a *API) summary(ctx context.Context, in *summaryInput) (*body[summary], error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	since, err := a.since("since", in.Since)
	if err != nil {
		return nil, err
	}
	items, err := s.Summary(ctx, since)
	if err != nil {
		return nil, analyticsFailed(err)
	}
	c := callerOf(ctx)
	items = slices.DeleteFunc(append([]analytics.IntegrationSummary{}, items...), func(s analytics.IntegrationSummary) bool {
		return !a.reachable(c, s.Integration)
	})
	return &body[summary]{summary{since, items}}, nil
}

// since reads a time or a duration before now, of the field of that name; "" is the zero time.
func (a *API) since(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return a.cfg.Now().Add(-d).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, problem.New(problem.FieldInvalid, "%s %.60q is neither an RFC 3339 time nor a duration such as 24h", field, text)
	}
	return at, nil
}
