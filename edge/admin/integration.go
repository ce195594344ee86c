package admin

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const integrationPath = "/admin/integration/{id}"

// integrationURL is where an integration's page is, and what is below it.
func integrationURL(id string, below ...string) string {
	var address strings.Builder
	address.WriteString("/admin/integration/" + url.PathEscape(id))
	for _, b := range below {
		address.WriteString("/" + url.PathEscape(b))
	}
	return address.String()
}

func (a *Admin) routeIntegration(s *site) {
	s.page(page{path: integrationPath, under: home, scope: access.IntegrationsRead, show: a.integration})
	s.part(integrationPath+"/deliveries", a.deliveriesOf)
	s.act(integrationPath+"/test", a.test)
	s.act(integrationPath+"/pause", command("Paused. Deliveries wait until it is resumed.", func(v *visit, id string) error {
		return v.Pause(v.Context(), id, strings.TrimSpace(v.PostFormValue("reason")))
	}))
	s.act(integrationPath+"/resume", command("Resumed. What waited longest is sent first.", func(v *visit, id string) error {
		return v.Resume(v.Context(), id)
	}))
	s.act(integrationPath+"/reset-breaker", command("The breaker is closed. What waits is tried now.", func(v *visit, id string) error {
		return v.ResetBreaker(v.Context(), id)
	}))
	s.act(integrationPath+"/reinstate", command("Reinstated. It works again.", func(v *visit, id string) error {
		return v.Reinstate(v.Context(), id)
	}))
}

// command is an act on an integration that has nothing to show but that it was done.
func command(told string, do func(*visit, string) error) func(*visit) (templ.Component, error) {
	return func(v *visit) (templ.Component, error) {
		if err := do(v, v.PathValue("id")); err != nil {
			return nil, err
		}
		return done(told), nil
	}
}

// integrationView is what the page shows.
type integrationView struct {
	member
	vendor  adapter.Description
	periods []period
	from    time.Time // of the timeline
	chart   chart
	ended   *api.LiveRow // in the last hour; nil where the visitor must not know
	now     time.Time
}

func (a *Admin) integration(v *visit) (screen, error) {
	in, d, err := v.described()
	if err != nil {
		return screen{}, err
	}
	id := in.ID
	x := integrationView{member: member{Integration: in, vendorName: d.Name}, vendor: d, now: v.now()}
	if x.health, err = v.Health(v.Context(), id); err != nil {
		x.health = event.Health{State: event.Unknown, Reason: problem.Of(err).Detail}
	}
	s := screen{
		title: x.title(), body: integrationBody(v, &x), charts: true,
		live: []part{{"health", healthPart(&x)}, {"actions", actionsPart(v, &x)}},
	}
	if channel := event.HealthChannel + id; v.may(access.ChannelsRead) && v.Caller().Reaches(channel) {
		if x.periods, err = v.periods(channel, x.health, x.now); err != nil {
			return screen{}, err
		}
		x.from = x.now.Add(-timelineSpan)
		s.live = append(s.live, part{"timeline", timelinePart(&x)})
	}
	if v.may(access.DeliveriesRead) {
		if err = x.lastHour(v); err != nil {
			return screen{}, err
		}
		s.live = append(s.live, part{"latency", latencyPart(&x)})
	}
	return s, nil
}

// lastHour takes what ended in the last hour from the nodes' memory.
func (x *integrationView) lastHour(v *visit) error {
	report, err := v.Live(v.Context(), analytics.ByIntegration, x.ID, 60, true)
	if err != nil {
		return err
	}
	c := chart{Unit: "ms", Span: 3600, Lines: []line{{Name: "half are faster (p50)"}, {Name: "95 % are faster (p95)"}, {Name: "99 % are faster (p99)"}}}
	milliseconds := func(d event.Duration) *float64 {
		ms := time.Duration(d).Seconds() * 1000
		return &ms
	}
	x.ended = &api.LiveRow{}
	for i := range report.Rows { // one, or none
		x.ended = &report.Rows[i]
		for _, m := range x.ended.Minutes {
			if m.Delivered == 0 {
				continue
			}
			c.Times = append(c.Times, m.At.Unix())
			for i, d := range []event.Duration{m.P50, m.P95, m.P99} {
				c.Lines[i].Values = append(c.Lines[i].Values, milliseconds(d))
			}
		}
	}
	x.chart = c
	return nil
}

// limits are those in force, in words.
func (x *integrationView) limits() []string {
	l := x.Limits.Or(x.vendor.Limits)
	var all []string
	if l.PerSecond > 0 {
		all = append(all, rate(l.PerSecond)+" calls a second")
	}
	if l.PerRecipient > 0 {
		all = append(all, "one to a recipient in "+lasted(time.Duration(l.PerRecipient)))
	}
	if l.MaxInFlight > 0 {
		all = append(all, count(l.MaxInFlight)+" at once")
	}
	if l.Timeout == 0 {
		return append(all, "an attempt may take as long as the nodes' delivery.timeout says")
	}
	return append(all, "an attempt may take "+lasted(time.Duration(l.Timeout)))
}

// test sends the vendor a sample, and tells what it says.
func (a *Admin) test(v *visit) (templ.Component, error) {
	came, err := v.Test(v.Context(), v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return testResult(came), nil
}

// shownDeliveries is how many of an integration's deliveries are listed.
const shownDeliveries = 20

// deliveriesOf lists what ended, the latest first.
func (a *Admin) deliveriesOf(v *visit) (templ.Component, error) {
	id, outcome := v.PathValue("id"), event.Outcome(v.query("outcome"))
	if !slices.Contains([]event.Outcome{"", event.Delivered, event.Dead, event.Skipped}, outcome) {
		outcome = ""
	}
	if _, err := v.Integration(v.Context(), id); err != nil {
		return nil, err
	}
	rows, next, err := v.FindDeliveries(v.Context(), api.Sought{
		Integration: id, Outcome: outcome, Paging: api.Paging{After: v.query("after"), Limit: shownDeliveries},
	})
	if err != nil {
		if p := problem.Of(err); p.Code == problem.AnalyticsMissing || p.Code == problem.AnalyticsFailed {
			return noDeliveries(p.Detail), nil
		}
		return nil, err
	}
	return deliveriesTable(id, outcome, rows, next), nil
}
