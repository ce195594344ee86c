package admin

import (
	"net/url"
	"strings"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const auditPath = "/admin/audit"

func (a *Admin) routeAudit(s *site) {
	s.page(page{path: auditPath, name: "Audit", icon: "audit", scope: access.AuditRead, show: a.audit})
}

// auditShown is how many records one page has.
const auditShown = 50

// auditView is what the page shows.
type auditView struct {
	filter api.AuditFilter
	rows   []analytics.AuditRow
	next   string
	wrong  string // why there are none
}

func (a *Admin) audit(v *visit) (screen, error) {
	x := auditView{filter: api.AuditFilter{
		Actor: v.trimmed("actor"), Action: v.trimmed("action"), Target: v.trimmed("target"), Outcome: v.trimmed("outcome"),
		Paging: api.Paging{Since: v.trimmed("since"), Until: v.trimmed("until"), After: v.query("after"), Limit: auditShown},
	}}
	var err error
	if x.rows, x.next, err = v.FindAudit(v.Context(), x.filter); err != nil {
		x.wrong = unlessOurs(err)
		if x.wrong == "" {
			return screen{}, err
		}
	}
	return screen{title: "Audit", body: auditBody(&x)}, nil
}

// unlessOurs says what is wrong with what was asked for, or that ClickHouse does not answer; "" for all else.
func unlessOurs(err error) string {
	switch p := problem.Of(err); p.Code {
	case problem.FieldInvalid, problem.AnalyticsMissing, problem.AnalyticsFailed:
		return sentence(p.Detail)
	}
	return ""
}

// trimmed returns a parameter of the address without spaces around it.
func (v *visit) trimmed(name string) string { return strings.TrimSpace(v.query(name)) }

// older is the address of the next page.
func (x *auditView) older() string {
	f := &x.filter
	return address(auditPath, map[string]string{
		"actor": f.Actor, "action": f.Action, "target": f.Target, "outcome": f.Outcome, "since": f.Since, "until": f.Until, "after": x.next,
	})
}

// address is a path with what is given of its parameters.
func address(path string, parameters map[string]string) string {
	q := url.Values{}
	for name, value := range parameters {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// targetURL is the page of what was acted upon, "" where it has none.
func targetURL(r *analytics.AuditRow) string {
	kind, _, _ := strings.Cut(r.Action, ".")
	switch {
	case r.Target == "":
	case kind == "integration" || r.Action == "dead.replay_many":
		return integrationURL(r.Target)
	case r.Action == "mapping.put":
		return mappingURL(r.Target, "")
	}
	return ""
}
