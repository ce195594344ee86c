package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

// liveAnswer is what /api/live tells.
type liveAnswer struct {
	Source     string
	Since, Now time.Time
	Silent     []string
	Pace       *live.Pace
	Rows       []struct {
		Key                                              string
		Total, Delivered, Dead, InTime, Attempts, Failed uint64
		Success, Latency                                 analytics.SLI
		P50, P95, P99                                    event.Duration
		Minutes                                          []struct {
			At    time.Time
			Total uint64
			P99   event.Duration
		}
	}
}

// Without ClickHouse, and where it fails, the nodes' numbers stand in, and say what they are.
func TestLiveOnlySLO(t *testing.T) {
	t.Parallel()
	now, log := time.Date(2027, 6, 12, 14, 0, 0, 0, time.UTC), &bytes.Buffer{}
	n := start(t, func(c *api.Config) { c.Now, c.Logger = func() time.Time { return now }, zerolog.New(log) })
	n.engine.book = live.NewBook(live.Config{Now: func() time.Time { return now }})
	for i := range 4 {
		outcome := event.Delivered
		if i == 0 {
			outcome = event.Dead
		}
		n.engine.book.Ended(&event.DeliveryRecord{Vendor: "email", Integration: "email-1", AcceptedAt: now, Result: &event.Result{Outcome: outcome, FinishedAt: now}})
	}
	now = now.Add(10 * time.Second)
	n.numbers.missing = true
	r := into[analytics.SLOReport](t, n.do(t, "GET", "/api/slo", ""))
	if r.Source != analytics.Live || r.Why != "this node has no ClickHouse" || fmt.Sprint(r.Silent) != "[n3]" || now.Sub(r.Since) != 10*time.Second || len(r.Rows) != 1 || r.Rows[0].Dead != 1 ||
		len(r.Rows[0].Windows) != 1 {
		t.Errorf("without ClickHouse: %+v", r)
	}
	a := n.do(t, "GET", "/api/slo?by=wedding", "")
	if a.status != 503 || a.code(t) != problem.AnalyticsMissing || !strings.Contains(a.body, "By wedding it alone has numbers; by overall, vendor and integration") {
		t.Errorf("by wedding: %d %s", a.status, a.body)
	}
	n.numbers.missing, n.numbers.err = false, errors.New("clickhouse://user:hunter2@host")
	r = into[analytics.SLOReport](t, n.do(t, "GET", "/api/slo?by=vendor&since=5m", ""))
	if r.Source != analytics.Live || r.Why != "ClickHouse did not answer" || len(r.Rows) != 1 || r.Rows[0].Key != "email" {
		t.Errorf("while it fails: %+v", r)
	}
	logged := func(lines int, last string) {
		t.Helper()
		all := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(all) != lines || !strings.Contains(all[len(all)-1], last) {
			t.Errorf("the log says %s, want %d lines, the last with %q", log, lines, last)
		}
	}
	logged(1, "hunter2")
	n.do(t, "GET", "/api/slo", "") // again
	logged(1, "hunter2")
	n.numbers.err = nil
	n.do(t, "GET", "/api/slo", "")
	logged(2, "again")
	n.numbers.err = errors.New("gone once more")
	n.do(t, "GET", "/api/slo", "")
	logged(3, "once more")
}

func TestLive(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 6, 12, 14, 0, 0, 0, time.UTC)
	n := start(t, func(c *api.Config) { c.Now = func() time.Time { return now } })
	n.engine.book = live.NewBook(live.Config{Now: func() time.Time { return now }})
	deliver := func(vendor string, took time.Duration, outcome event.Outcome) {
		n.engine.book.Attempted(vendor, vendor+"-1", outcome == event.Delivered)
		n.engine.book.Ended(&event.DeliveryRecord{
			Vendor: vendor, Integration: vendor + "-1", AcceptedAt: now.Add(-took), Result: &event.Result{Outcome: outcome, FinishedAt: now},
		})
	}
	for range 98 {
		deliver("slack", time.Millisecond, event.Delivered)
	}
	for range 2 {
		deliver("slack", time.Minute, event.Delivered)
	}
	now = now.Add(3 * time.Minute)
	for range 30 {
		deliver("email", time.Second, event.Delivered)
	}
	for range 10 {
		deliver("email", 0, event.Dead)
	}
	now = now.Add(20 * time.Second)

	a := into[liveAnswer](t, n.do(t, "GET", "/api/live", ""))
	if a.Source != "live" || len(a.Rows) != 1 || a.Rows[0].Key != "" || a.Rows[0].Total != 140 || fmt.Sprint(a.Silent) != "[n3]" || !a.Since.Equal(now.Add(-200*time.Second)) {
		t.Errorf("all: %+v", a)
	}
	if p := a.Pace; p == nil || *p != (live.Pace{Seconds: 80, DeliveriesPerSecond: 0.5, AttemptsPerSecond: 0.5, Success: 0.75}) {
		t.Errorf("now: %+v", a.Pace)
	}
	a = into[liveAnswer](t, n.do(t, "GET", "/api/live?by=vendor&minutes=true", ""))
	if len(a.Rows) != 2 || a.Rows[0].Key != "email" || a.Rows[1].Key != "slack" || a.Pace != nil {
		t.Fatalf("by vendor: %+v", a)
	}
	email, slack := a.Rows[0], a.Rows[1]
	if email.Total != 40 || email.Dead != 10 || email.Attempts != 40 || email.Failed != 10 || email.Success.Rate != 0.75 || email.Success.Met || len(email.Minutes) != 1 ||
		!email.Minutes[0].At.Equal(now.Truncate(time.Minute)) || email.Minutes[0].Total != 40 {
		t.Errorf("e-mail: %+v", email)
	}
	if !slack.Success.Met || slack.InTime != 98 || slack.Latency.Rate != 0.98 || slack.Latency.Met || slack.P50 < event.Duration(time.Millisecond) || slack.P50 > event.Duration(1070*time.Microsecond) ||
		slack.P99 < event.Duration(time.Minute) || slack.P99 > event.Duration(64*time.Second) || slack.Minutes[0].P99 != slack.P99 {
		t.Errorf("slack: %+v", slack)
	}
	if a := n.do(t, "GET", "/api/live?by=integration&key=email-1&last=1", ""); strings.Contains(a.body, "slack") || !strings.Contains(a.body, `"key":"email-1"`) || strings.Contains(a.body, "minutes") {
		t.Errorf("one integration: %s", a.body)
	}
	for _, query := range []string{"by=wedding", "by=integration&minutes=true", "last=0", "last=61", "last=x"} {
		if a := n.do(t, "GET", "/api/live?"+query, ""); a.status != 422 || a.code(t) != problem.FieldInvalid {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}
