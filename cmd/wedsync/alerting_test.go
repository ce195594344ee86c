package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// burnRules send what is published on burn:test to the CRM's simulator, and burn alerts to people.
const burnRules = `
mappings:
  - {id: orders, pattern: "burn:test:*", targets: [{integration: sim-studiocloud}]}
  - id: alerts
    pattern: slo:burn:{vendor}
    types: [slo.burn_started, slo.burn_ended]
    targets: [{integration: sim-slack}, {integration: sim-email}]
`

// soon is how long nothing burns until people are told that it is over.
const soon = 100 * time.Millisecond

// alarm is a desk whose CRM refuses what has a bad id.
type alarm struct {
	*desk
	ctx context.Context
}

func newAlarm(t *testing.T, dsn string, resolveAfter time.Duration) *alarm {
	t.Helper()
	d := newDesk(t, func(c *Config) {
		c.ClickHouse.DSN = dsn
		c.Alerts = AlertsConfig{Every: 100 * time.Millisecond, ResolveAfter: resolveAfter, MinFailures: 2}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	d.do("apply", "--yes", "-f", d.season(burnRules))
	d.sims.StudioCloud.Faults().Add(vendors.Fault{Status: 422, Contains: "bad-"})
	return &alarm{d, ctx}
}

// publish has the CRM be told of so many events, in lanes of their own.
func (a *alarm) publish(kind string, from, to int) {
	a.t.Helper()
	for i := from; i < to; i++ {
		id := fmt.Sprint(kind, "-", i)
		_, err := a.node.ingest.Publish(a.ctx, ingest.Draft{Channel: "burn:test:" + id, Type: "timeline.updated", ID: id, Payload: []byte(timeline), Source: "api"})
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

// told waits until people were told so many times in all, and returns what they were told last.
func (a *alarm) told(times int) (slack, mail string) {
	a.t.Helper()
	var texts []string
	for _, v := range []vendors.Vendor{a.sims.Slack, a.sims.Email} {
		if err := v.Wait(a.ctx, times); err != nil {
			a.t.Fatalf("%s is told %d times: %v", v.Name(), times, err)
		}
		if c := v.Counts(); c.Distinct != times || c.Repeats > 0 {
			a.t.Fatalf("%s is told %+v, want %d", v.Name(), c, times)
		}
		all := v.Received()
		texts = append(texts, string(all[len(all)-1].Body))
	}
	return texts[0], texts[1]
}

var burnLooks = regexp.MustCompile(`wedsync_burn_evaluations_total{outcome="ok"} (\d+)`)

// look waits until what burns was looked at three times more.
func (a *alarm) look() {
	a.t.Helper()
	looks := func() int {
		_, text := get(a.t, a.node.URL()+"/metrics")
		n, err := strconv.Atoi(burnLooks.FindStringSubmatch(text)[1])
		if err != nil {
			a.t.Fatal(err)
		}
		return n
	}
	for before := looks(); looks() < before+3; {
		if a.ctx.Err() != nil {
			a.t.Fatal("nobody looks at what burns")
		}
	}
}

// burns has a tenth of the CRM's deliveries fail, until people are told so.
func (a *alarm) burns() {
	a.t.Helper()
	begun := time.Now()
	a.publish("good", 0, 18)
	a.publish("bad", 0, 2)
	slack, mail := a.told(1)
	a.t.Logf("told after %v", time.Since(begun))
	for _, text := range []string{slack, mail} {
		for _, want := range []string{"Error budget burns", "studiocloud", "page", "2 of 20 were not delivered in"} {
			if !strings.Contains(text, want) {
				a.t.Errorf("it is told as %s, without %q", text, want)
			}
		}
	}
}

// ends has so much be delivered that the failures are too few to burn, until people are told so.
func (a *alarm) ends() {
	a.t.Helper()
	a.publish("more", 0, 420)
	slack, mail := a.told(2)
	for _, text := range []string{slack, mail} {
		if !strings.Contains(text, "Error budget burns no more") {
			a.t.Errorf("the end is told as %s", text)
		}
	}
	a.look()
	a.told(2)
}

// Without ClickHouse, what the nodes have counted says that a tenth of a vendor's deliveries fails: people are told
// once, and once that it is over. Meanwhile the API says it too.
func TestBurnIsToldWithoutClickHouse(t *testing.T) {
	t.Parallel()
	a := newAlarm(t, clickhouseOff, soon)
	a.burns()
	node, err := nodeFlags{Addr: a.node.URL(), Data: a.node.cfg.Data}.client()
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := ask[struct {
		Source string
		Pace   struct{ DeliveriesPerSecond, Success float64 }
		Rows   []struct{ Total, Dead uint64 }
	}](a.ctx, node, http.MethodGet, "/api/live", nil, nil)
	if err != nil || answer.Source != "live" || answer.Rows[0].Dead != 2 || answer.Pace.DeliveriesPerSecond <= 0 || answer.Pace.Success >= 1 {
		t.Errorf("live numbers: %+v, %v", answer, err)
	}
	a.look()
	a.told(1)
	a.ends()
}

// With ClickHouse its numbers say so. A node that was started again knows what has been told.
func TestBurnIsToldOverARestart(t *testing.T) {
	t.Parallel()
	a := newAlarm(t, clickhouseEmbedded, time.Hour) // nothing is over before ClickHouse knows of the failures: a live minute may
	waitComponent(t, a.node.URL(), "clickhouse", "")
	a.burns()
	a.eventually("all to be in the rollups", func() bool {
		report, err := a.node.records.current().SLO(a.ctx, analytics.SLOQuery{By: analytics.ByIntegration, Now: time.Now(), Among: []string{"sim-studiocloud"}})
		return err == nil && len(report.Rows) == 1 && report.Rows[0].Total == 20
	})
	if err := a.node.Stop(); err != nil {
		t.Fatal(err)
	}
	cfg := a.node.cfg
	cfg.Alerts.ResolveAfter = soon
	a.node = startNode(t, cfg)
	waitReady(t, a.node.URL())
	waitComponent(t, a.node.URL(), "clickhouse", "")
	a.look()
	a.told(1)
	a.ends()
}
