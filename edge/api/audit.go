package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// Paging is the part of what was found that is wanted. It is exported as huma sees nothing else.
type Paging struct {
	Since string `query:"since" doc:"An RFC 3339 time, or how long ago, such as 24h. Default: all that is kept."`
	Until string `query:"until" doc:"The same, for where it ends. Default: now."`
	After string `query:"after" doc:"Cursor: the next of the page before."`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most so many."`
}

type auditInput struct {
	Actor   string `query:"actor" doc:"Who: admin:NAME, key:NAME, key:NAME/ID, webhook:INTEGRATION or system."`
	Action  string `query:"action" doc:"What: such as integration.put, or integration for all that is done to integrations."`
	Target  string `query:"target" doc:"The id acted upon."`
	Outcome string `query:"outcome" doc:"ok, or a problem's code."`
	Paging
}

func (a *API) routeAudit(h huma.API) {
	handle(h, huma.Operation{
		OperationID: "find-audit", Method: http.MethodGet, Path: "/api/audit", Tags: []string{"audit"}, Security: needs(access.AuditRead),
		Summary: "Find who did what, when, from where and with which outcome; the newest first", Description: lagging,
	}, a.findAudit)
}

const lagging = "From ClickHouse: what was done in the last second or two may not be there yet."

// pageOf reads where a page begins and ends.
func (a *API) pageOf(in Paging) (p analytics.Page, err error) {
	p.Limit = in.Limit
	if p.Since, err = a.since("since", in.Since); err != nil {
		return p, err
	}
	if p.Until, err = a.since("until", in.Until); err != nil {
		return p, err
	}
	if p.After, err = analytics.ParseCursor(in.After); err != nil {
		return p, problem.New(problem.FieldInvalid, "after: %v", err)
	}
	return p, nil
}

func (a *API) findAudit(ctx context.Context, in *auditInput) (*body[page[analytics.AuditRow]], error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	q := analytics.AuditQuery{
		Actor: in.Actor, Action: in.Action, Target: in.Target, Outcome: in.Outcome, Owner: callerOf(ctx).Owner(),
	}
	if q.Page, err = a.pageOf(in.Paging); err != nil {
		return nil, err
	}
	rows, next, err := s.Audit(ctx, q)
	if err != nil {
		return nil, analyticsFailed(err)
	}
	return &body[page[analytics.AuditRow]]{page[analytics.AuditRow]{rows, next.String()}}, nil
}
