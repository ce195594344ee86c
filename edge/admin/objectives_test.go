package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
)

// numbers stands in for ClickHouse; loadtest/e2e has the real one.
type numbers struct {
	api.Analytics
	report analytics.SLOReport
	asked  *analytics.DeliveryQuery
	err    error

	attempts []analytics.AttemptRow
	audited  *analytics.AuditQuery
}

func (s numbers) Audit(_ context.Context, q analytics.AuditQuery) ([]analytics.AuditRow, analytics.Cursor, error) {
	*s.audited = q
	return []analytics.AuditRow{
		{Actor: "admin:a", Action: "integration.pause", Target: "phone", Outcome: "ok"},
		{Actor: "key:b", Action: "mapping.put", Target: "map_1", Outcome: "mapping_invalid"},
		{Actor: "key:b", Action: "mapping.delete", Target: "map_2", Outcome: "ok"},
		{Actor: "key:b", Action: "session.begin", Outcome: "ok"},
	}, analytics.Cursor{At: 5, Seq: 6, Epoch: "e"}, s.err
}

func (s numbers) Attempts(context.Context, string) ([]analytics.AttemptRow, error) {
	return s.attempts, s.err
}

func (s numbers) Receipts(context.Context, string) ([]analytics.ReceiptRow, error) { return nil, s.err }

func (s numbers) SLO(_ context.Context, q analytics.SLOQuery) (analytics.SLOReport, error) {
	r := s.report
	r.By = q.By
	return r, s.err
}

func (s numbers) Series(_ context.Context, q analytics.SLOQuery, key string) (analytics.SLOSeries, error) {
	t := analytics.Tally{Total: 4, Delivered: 3, InTime: 2, Dead: 1}
	return analytics.SLOSeries{By: q.By, Key: key, Points: []analytics.SLOPoint{
		{At: q.Now.Add(-2 * time.Minute), Tally: t}, {At: q.Now.Add(-time.Minute), Tally: analytics.Tally{Excluded: 1}}, {At: q.Now, Tally: analytics.Tally{Total: 1, Delivered: 1, InTime: 1}},
	}}, s.err
}

func (s numbers) Deliveries(_ context.Context, q analytics.DeliveryQuery) ([]analytics.DeliveryRow, analytics.Cursor, error) {
	*s.asked = q
	return []analytics.DeliveryRow{{
		ID: "dlv_1", Outcome: event.Dead, Reason: "http_422", EventType: "timeline.updated", Channel: "supplier:dashboard:42", Integration: "phone", WeddingID: "c1", FinishedAt: time.Now(), Latency: event.Duration(70 * time.Second),
	}}, analytics.Cursor{At: 5, Seq: 6, Epoch: "e"}, s.err
}

// rowOf is a group of which so many of a hundred failed lately, and none before.
func rowOf(key string, recent, short uint64) analytics.SLORow {
	in := func(w time.Duration) analytics.Tally {
		t := analytics.Tally{Total: 100, Delivered: 100 - recent, InTime: 100 - recent, Dead: recent}
		if w <= 5*time.Minute {
			t = analytics.Tally{Total: 100, Delivered: 100 - short, InTime: 100 - short, Dead: short}
		}
		return t
	}
	row := analytics.SLORow{Key: key, Burn: analytics.NewBurns(in)}
	stand := func(t analytics.Tally) analytics.Standing {
		return analytics.Standing{
			Tally: t, Success: analytics.NewSLI(analytics.ForSuccess, t), Latency: analytics.NewSLI(analytics.ForLatency, t),
		}
	}
	row.Standing = stand(in(time.Hour))
	for _, w := range analytics.SLOWindows() {
		row.Windows = append(row.Windows, analytics.SLOWindow{Window: event.Duration(w), Standing: stand(in(w))})
	}
	return row
}

func withNumbers(s numbers) func(*api.Config) {
	return func(c *api.Config) { c.Analytics = func() api.Analytics { return s } }
}

// What burns slowly wakes nobody.
func TestOverviewTellsHowUrgentABurnIs(t *testing.T) {
	t.Parallel()
	for recent, want := range map[uint64]string{0: "; alarm at", 2: ": look at it in working hours", 50: ": somebody must look now"} {
		s := numbers{asked: &analytics.DeliveryQuery{}, report: analytics.SLOReport{Rows: []analytics.SLORow{rowOf("", recent, recent)}}}
		n := start(t, withNumbers(s))
		n.connect(t, "a", nil)
		b := n.signedIn(t, adminKey)
		eventually(t, "the overview to say"+want, func() bool { return strings.Contains(b.get(home).body, want) })
	}
}

func TestObjectives(t *testing.T) {
	t.Parallel()
	asked := &analytics.DeliveryQuery{}
	s := numbers{asked: asked, report: analytics.SLOReport{Rows: []analytics.SLORow{rowOf("", 50, 50)}, Burnt: analytics.Burnt{
		Vendors: []analytics.BurntBy{{Key: "whatsapp", Dead: 40, Share: 0.8}}, Reasons: []analytics.BurntBy{{Key: "http_422", Dead: 50, Share: 1}},
		Weddings: []analytics.BurntBy{{Key: "", Dead: 30, Share: 0.6}, {Key: event.Erased, Dead: 20, Share: 0.4}},
	}}}
	b := start(t, withNumbers(s)).signedIn(t, adminKey)
	page := b.get("/admin/slo?since=1h0m0s")
	page.shows(t, "All deliveries", "Burning", "Somebody must look now", "a month&#39;s budget is gone in 7 hours", "100 ×", "14.4 ×", "#causes", "(none)", "(erased)",
		"/admin/deliveries?outcome=dead&amp;since=1h0m0s&amp;vendor=whatsapp", "reason=http_422", "Delivered, last 100 %, lowest 75 %, objective 99.5 %", `data-chart=`, "dlv_1")
	if asked.Outcome != event.Dead || time.Since(asked.Since) < 55*time.Minute || asked.Limit != 10 {
		t.Errorf("asked for %+v", asked)
	}

	var groups []analytics.SLORow
	for i := range 60 {
		groups = append(groups, rowOf(fmt.Sprintf("vendor-%d", i), 0, 0))
	}
	groups = append(groups, rowOf("worst", 90, 90))
	s.report = analytics.SLOReport{Rows: groups}
	b = start(t, withNumbers(s)).signedIn(t, adminKey)
	list := b.get("/admin/slo?by=vendor")
	list.shows(t, "The 50 that need it most of 61", "by=vendor&amp;key=worst")
	if first := strings.Index(list.body, "group-"); !strings.HasPrefix(list.body[first:], "group-worst") {
		t.Errorf("first is %.40s", list.body[first:])
	}
	list.hides(t, "Burn rates")
	b.get("/admin/slo?by=vendor&q=vendor-59").shows(t, "group-vendor-59")
	one := b.get("/admin/slo?by=vendor&key=worst")
	one.shows(t, "Burn rates: worst", "Latest failures: worst", "vendor=worst", "slower=5s")
	one.hides(t, `id="causes"`)
	if asked.Vendor != "worst" {
		t.Errorf("by vendor: asked for %+v", asked)
	}
	for by, want := range map[string]func() string{
		"category": func() string { return asked.Category }, "integration": func() string { return asked.Integration },
		"event_type": func() string { return asked.EventType }, "wedding": func() string { return asked.WeddingID },
	} {
		b.get("/admin/slo?by="+by+"&key=worst").shows(t, "Burn rates: worst")
		if want() != "worst" {
			t.Errorf("by %s: asked for %+v", by, asked)
		}
	}
	b.get("/admin/slo?by=planet&since=5s&key=x").shows(t, "30 days")
}

// slowNumbers holds whoever asks by vendor until it is released, and counts who asks.
type slowNumbers struct {
	numbers
	asking  atomic.Int64
	held    chan struct{} // closed when somebody asks by vendor
	release chan struct{}
}

func (s *slowNumbers) SLO(ctx context.Context, q analytics.SLOQuery) (analytics.SLOReport, error) {
	s.asking.Add(1)
	if q.By == analytics.ByVendor {
		close(s.held)
		<-s.release
	}
	return s.numbers.SLO(ctx, q)
}

func TestNobodyWaitsForWhatOthersAsk(t *testing.T) {
	t.Parallel()
	s := &slowNumbers{numbers: numbers{asked: &analytics.DeliveryQuery{}}, held: make(chan struct{}), release: make(chan struct{})}
	b := start(t, func(c *api.Config) { c.Analytics = func() api.Analytics { return s } }).signedIn(t, adminKey)
	slow := make(chan answer, 1)
	go func() { slow <- b.get("/admin/slo?by=vendor") }()
	<-s.held
	quick := make(chan answer, 1)
	go func() { quick <- b.get("/admin/slo?by=category&x=1") }()
	select {
	case got := <-quick:
		got.shows(t, "Nothing ended in that time")
	case <-time.After(15 * time.Second):
		t.Error("who asks by category waits for who asks by vendor")
	}
	close(s.release)
	(<-slow).shows(t, "Nothing ended in that time")
	b.get("/admin/slo?by=category&x=2").shows(t, "Nothing ended in that time")
	if got := s.asking.Load(); got != 2 {
		t.Errorf("%d questions for two things", got)
	}
}

func TestWhatBurnsMean(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		row  analytics.SLORow
		want string
	}{
		"over": {rowOf("x", 50, 0), "that has stopped"}, "begun": {rowOf("x", 1, 90), "It has begun to burn"}, "none": {rowOf("x", 0, 0), "Nothing failed"},
		"slow": {rowOf("x", 1, 1), "Look at it in working hours"}, "idle": {analytics.SLORow{Key: "x", Windows: rowOf("x", 0, 0).Windows, Burn: analytics.NewBurns(func(time.Duration) analytics.Tally { return analytics.Tally{} })}, "Nothing ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := numbers{asked: &analytics.DeliveryQuery{}, report: analytics.SLOReport{Rows: []analytics.SLORow{c.row}}}
			start(t, withNumbers(s)).signedIn(t, adminKey).get("/admin/slo?by=vendor&key=x").shows(t, c.want)
		})
	}
}

// Without ClickHouse, and while it does not answer, the nodes' own numbers are shown, and said to be.
func TestObjectivesLiveOnly(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	_, err := n.registry.PutMapping(t.Context(), event.Mapping{V: event.Version, ID: "m", Pattern: "supplier:dashboard:*", Targets: []event.Target{{Integration: "a"}}})
	must(t, err)
	b := n.signedIn(t, adminKey)
	b.get("/admin/slo").shows(t, "Live only", "no ClickHouse", "Nothing was delivered in the last hour")
	overview := n.signedIn(t, adminKey).get(home)
	overview.shows(t, "Last hour, live only", "the error budget is not known: this node has no ClickHouse")
	overview.hides(t, "30 days", "Error budget left")
	n.publish(t, "supplier:dashboard:42", `{"coupleId":"c1"}`)
	tries := 0
	eventually(t, "the delivery to be counted", func() bool {
		tries++
		return strings.Contains(b.get("/admin/slo?by=integration&q="+strings.Repeat("a+", tries)).body, "group-a") // which is not kept
	})
	list := b.get("/admin/slo?by=integration&q=nobody")
	list.shows(t, "Live only", `value="nobody"`)
	list.hides(t, "group-a")
	page := b.get("/admin/slo?by=integration&key=a")
	page.shows(t, "Live only", "group-a", "data-chart=", ">Vendor<")
	page.hides(t, ">Wedding<", "Burn rates")
	b.get("/admin/slo?by=wedding").shows(t, "All deliveries", "By wedding it alone has numbers")
	eventually(t, "the overview to tell of the hour", func() bool {
		body := n.signedIn(t, n.key(t, access.Key{Name: "fresh", Scopes: []access.Scope{access.IntegrationsRead, access.DeliveriesRead}})).get(home).body
		return strings.Contains(body, "of 1; the error budget") && strings.Contains(body, "Burn rate") && strings.Contains(body, "over 1 hour")
	})
	b.get("/admin/deliveries").shows(t, "no ClickHouse")
	owner := n.signedIn(t, n.key(t, access.Key{Name: "alice", Scopes: []access.Scope{access.DeliveriesRead}, Owner: map[string]string{"supplierId": "42"}}))
	mine := owner.get("/admin/slo?by=vendor")
	mine.shows(t, "Live only", "Integration")
	mine.hides(t, "group-a", ">Vendor<")
	s := numbers{asked: &analytics.DeliveryQuery{}, err: errors.New("away")}
	start(t, withNumbers(s)).signedIn(t, adminKey).get("/admin/slo").shows(t, "Live only", "did not answer")
}

// However many integrations there are, the page shows a few of them.
func TestLiveNumbersOfMany(t *testing.T) {
	t.Parallel()
	n := start(t)
	m := event.Mapping{V: event.Version, ID: "m", Pattern: "supplier:dashboard:*"}
	for i := range 51 {
		id := fmt.Sprintf("i%d", i)
		n.connect(t, id, nil)
		m.Targets = append(m.Targets, event.Target{Integration: id})
	}
	_, err := n.registry.PutMapping(t.Context(), m)
	must(t, err)
	n.publish(t, "supplier:dashboard:42", `{"coupleId":"c1"}`)
	b := n.signedIn(t, adminKey)
	tries := 0
	eventually(t, "all deliveries to be counted, and 50 shown", func() bool {
		tries++
		body := b.get("/admin/slo?by=integration&q=" + strings.Repeat("i+", tries)).body // which is not kept
		return strings.Contains(body, "The 50 that need it most of 51") && strings.Count(body, `<tr id="group-`) == 50
	})
}

func TestTheAuditIsRead(t *testing.T) {
	t.Parallel()
	asked := &analytics.AuditQuery{}
	b := start(t, withNumbers(numbers{audited: asked})).signedIn(t, adminKey)
	page := b.get("/admin/audit?actor=key:b&action=mapping&target=map_1&outcome=ok&since=1h&until=1m&after=5.0.6.e")
	page.shows(t, `href="/admin/integration/phone"`, `href="/admin/mapping/map_1"`, "mapping_invalid", "map_2", "To the newest",
		"/admin/audit?action=mapping&amp;actor=key%3Ab&amp;after=5.0.6.e&amp;outcome=ok&amp;since=1h&amp;target=map_1&amp;until=1m")
	page.hides(t, `href="/admin/mapping/map_2"`)
	if asked.Actor != "key:b" || asked.Action != "mapping" || asked.Target != "map_1" || asked.Outcome != "ok" || asked.After.Seq != 6 || time.Since(asked.Since) < 55*time.Minute || asked.Until.IsZero() {
		t.Errorf("asked for %+v", asked)
	}
	b.get("/admin/audit?since=soon").shows(t, "Since &#34;soon&#34; is neither")
	start(t).signedIn(t, adminKey).get("/admin/audit").shows(t, "This node has no ClickHouse")
}

func TestAnIntegrationsDeliveriesAreListed(t *testing.T) {
	t.Parallel()
	asked := &analytics.DeliveryQuery{}
	n := start(t, withNumbers(numbers{asked: asked}))
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	list := b.get("/admin/integration/a/deliveries?outcome=dead&after=5.0.6.e", htmx()...)
	list.shows(t, "dlv_1", "1m10s", "/admin/integration/a/deliveries?after=5.0.6.e&amp;outcome=dead")
	if asked.Integration != "a" || asked.Outcome != event.Dead || asked.After.Seq != 6 {
		t.Errorf("asked for %+v", asked)
	}
	b.get("/admin/integration/a/deliveries?outcome=odd", htmx()...).shows(t, "dlv_1")
	if asked.Outcome != "" {
		t.Errorf("asked for %+v", asked)
	}
}

func TestDeliveriesAreFound(t *testing.T) {
	t.Parallel()
	asked := &analytics.DeliveryQuery{}
	b := start(t, withNumbers(numbers{asked: asked})).signedIn(t, adminKey)
	page := b.get("/admin/deliveries?integration=i&vendor=v&category=c&type=t&wedding=w&channel=ch&reason=r&outcome=dead&slower=5s&since=1h")
	page.shows(t, "dlv_1", "1m10s", "after=5.0.6.e", "reason=r", `value="dead" selected`)
	if a := asked; a.Integration != "i" || a.Vendor != "v" || a.Category != "c" || a.EventType != "t" || a.WeddingID != "w" || a.Channel != "ch" || a.Reason != "r" ||
		a.Outcome != event.Dead || a.SlowerThan != 5*time.Second || time.Since(a.Since) < 55*time.Minute {
		t.Errorf("asked for %+v", a)
	}
	b.get("/admin/deliveries?outcome=odd&after=5.0.6.e").shows(t, "Newest")
	if asked.Outcome != "" || asked.After.Seq != 6 {
		t.Errorf("asked for %+v", asked)
	}
	b.get("/admin/deliveries?slower=quick").shows(t, "is no duration such as 5s", `value="quick"`)
}
