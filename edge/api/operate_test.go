package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.engine.healths = []event.Health{
		{Integration: "a", Vendor: "slack", State: event.Healthy, SuccessRate: 1, Since: time.Now()},
		{Integration: "b", Vendor: "slack", State: event.Open, Reason: "the vendor failed"},
		{Integration: "c", Vendor: "slack", State: event.Open},
	}
	for _, id := range []string{"a", "b", "c"} {
		into[integration](t, n.do(t, "PUT", "/api/integrations/"+id, `{"vendor":"slack","settings":{"channel":"#weddings"}}`))
	}
	if h := into[event.Health](t, n.do(t, "GET", "/api/integrations/b/health", "")); h.State != event.Open {
		t.Errorf("health of b: %+v", h)
	}
	if all := into[list[event.Health]](t, n.do(t, "GET", "/api/integrations/health", "")); len(all.Items) != 3 || all.Next != "" {
		t.Errorf("health of all: %+v", all)
	}
	if open := into[list[event.Health]](t, n.do(t, "GET", "/api/integrations/health?state=open&limit=1", "")); len(open.Items) != 1 || open.Next != "b" {
		t.Errorf("open ones: %+v", open)
	}
	if a := n.do(t, "GET", "/api/integrations/health?state=suspended", ""); strings.TrimSpace(a.body) != `{"items":[]}` {
		t.Errorf("suspended ones: %s", a.body)
	}
	into[event.Health](t, n.do(t, "POST", "/api/integrations/b/reset-breaker", ""))
	into[event.Health](t, n.do(t, "POST", "/api/integrations/b/reinstate", ""))
	if got := strings.Join(n.engine.told, ","); got != "reset b,reinstate b" {
		t.Errorf("told %s", got)
	}
	n.engine.fail(actors.ErrNotOwned)
	for _, c := range [][2]string{{"POST", "reset-breaker"}, {"POST", "reinstate"}, {"GET", "health"}} {
		if a := n.do(t, c[0], "/api/integrations/b/"+c[1], ""); a.status != 503 || a.code(t) != problem.EngineUnavailable || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", c[1], a.status, a.body)
		}
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	bury := func(id, integration string) {
		must(t, n.journal.Bury(t.Context(), &event.DeadLetter{
			V: event.Version, EventSeq: 7, Reason: "rejected", Detail: "no such client", DiedAt: time.Now().UTC(),
			Delivery: event.Delivery{V: event.Version, ID: id, Integration: integration, Vendor: "slack", Body: json.RawMessage(`{"private":1}`)},
			Event:    event.Event{V: event.Version, ID: "e-" + id, Channel: "a:b", Type: "a.b", Payload: json.RawMessage(`{"private":2}`)},
			Attempts: []event.Attempt{{Number: 1, Status: 422, Verdict: "dead", Detail: "such a client"}},
		}))
	}
	for i := range 3 {
		bury(fmt.Sprintf("d%d", i), "crm")
	}
	bury("d9", "other")
	all := n.do(t, "GET", "/api/dead-letters", "")
	if l := into[letters](t, all); len(l.Items) != 4 || l.Next != 0 || l.Items[0].Letter.Reason != "rejected" || l.Items[0].Letter.Event.Type != "a.b" ||
		len(l.Items[0].Letter.Attempts) != 1 || strings.Contains(all.body, "private") {
		t.Errorf("all: %s", all.body)
	}
	one := into[letters](t, n.do(t, "GET", "/api/dead-letters?integration=crm&limit=2", ""))
	two := into[letters](t, n.do(t, "GET", fmt.Sprintf("/api/dead-letters?integration=crm&limit=2&after=%d", one.Next), ""))
	if len(one.Items) != 2 || len(two.Items) != 1 || two.Next != 0 || two.Items[0].Letter.Delivery.ID != "d2" {
		t.Errorf("pages: %+v, %+v", one, two)
	}
	if a := n.do(t, "GET", "/api/dead-letters/1", ""); !strings.Contains(a.body, `{"private":1}`) || !strings.Contains(a.body, `{"private":2}`) {
		t.Errorf("one: %d %s", a.status, a.body)
	}
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", `{"vendor":"slack","settings":{"channel":"#weddings"}}`))
	for _, c := range [][2]string{{"vate", `{"pri[secret]":1}`}, {"1", `"{\"pri[secret]\":[secret]}"`}, {"such", `"detail":"no [secret] client"`}} {
		secret, want := c[0], c[1]
		if a := n.do(t, "PUT", "/api/integrations/crm/secrets", fmt.Sprintf(`{"signing_secret":%q}`, secret)); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := n.do(t, "GET", "/api/dead-letters/1", ""); !strings.Contains(a.body, want) {
			t.Errorf("with the secret %s: %s, want %s", secret, a.body, want)
		}
	}
	if a := n.do(t, "GET", "/api/dead-letters?limit=1", ""); !strings.Contains(a.body, "no [secret] client") || !strings.Contains(a.body, "[secret] a client") {
		t.Errorf("the list has the secret such: %s", a.body)
	}
	n.numbers.attempts = []analytics.AttemptRow{{Integration: "crm", Detail: "no such client"}}
	n.numbers.receipts = []analytics.ReceiptRow{{Detail: "such a client"}}
	if a := n.do(t, "GET", "/api/deliveries/dlv_1", ""); !strings.Contains(a.body, "no [secret] client") || !strings.Contains(a.body, "[secret] a client") {
		t.Errorf("the delivery has the secret such: %s", a.body)
	}
	if a := n.do(t, "POST", "/api/dead-letters/1/replay", ""); a.status != 202 || strings.TrimSpace(a.body) != `{"seq":1,"delivery":"dlv_1","replay":2}` {
		t.Errorf("replay: %d %s", a.status, a.body)
	}
	if a := n.do(t, "DELETE", "/api/dead-letters/2", ""); a.status != 204 {
		t.Errorf("discard: %d %s", a.status, a.body)
	}
	n.audited()
	for _, c := range []struct {
		method, path string
		err          error
		code         string
		status       int
	}{
		{"GET", "2", nil, problem.DeadLetterUnknown, 404},
		{"DELETE", "2", nil, problem.DeadLetterUnknown, 404},
		{"POST", "2/replay", fmt.Errorf("x: %w", journal.ErrNotFound), problem.DeadLetterUnknown, 404},
		{"POST", "3/replay", fmt.Errorf("x: %w", &adapter.EncodeError{Field: "coupleId", Reason: "is missing"}), problem.ReplayImpossible, 409},
		{"POST", "3/replay", fmt.Errorf("x: %w", actors.ErrUnknown), problem.ReplayImpossible, 409},
		{"POST", "3/replay", journal.ErrFull, problem.LogFull, 503},
		{"GET", "x", nil, problem.FieldInvalid, 422},
	} {
		n.engine.mu.Lock()
		n.engine.replay = c.err
		n.engine.mu.Unlock()
		if a := n.do(t, c.method, "/api/dead-letters/"+c.path, ""); a.status != c.status || a.code(t) != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	if a := n.do(t, "GET", "/api/dead-letters?integration=a%20b", ""); a.code(t) != problem.FieldInvalid {
		t.Errorf("%d %s", a.status, a.body)
	}
	if audits := n.audited(); len(audits) != 5 || audits[0].Action != "dead.discard" || audits[0].Outcome != problem.DeadLetterUnknown || audits[2].Outcome != problem.ReplayImpossible {
		t.Errorf("audited %+v", audits)
	}
}

func TestAnalytics(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	n := start(t, func(c *api.Config) { c.Now = func() time.Time { return now } })
	a := n.do(t, "GET", "/api/slo?by=vendor&since=24h", "")
	if a.status != 200 || !strings.Contains(a.body, `"key":"slack"`) || !n.numbers.query.Since.Equal(now.Add(-24*time.Hour)) || !n.numbers.query.Now.Equal(now) {
		t.Errorf("%d %s, asked %+v", a.status, a.body, n.numbers.query)
	}
	if a := n.do(t, "GET", "/api/slo", ""); a.status != 200 || n.numbers.query.By != "overall" || !n.numbers.query.Since.IsZero() {
		t.Errorf("%d %s, asked %+v", a.status, a.body, n.numbers.query)
	}
	if a := n.do(t, "GET", "/api/summary?since=2026-06-01T00:00:00Z", ""); a.status != 200 || !strings.Contains(a.body, `"items":[]`) || n.numbers.since.Day() != 1 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"slo?by=colour", "slo?since=noon", "slo?since=2030-01-01T00:00:00Z", "summary?since=-5h"} {
		if a := n.do(t, "GET", "/api/"+path, ""); a.status != 422 || a.code(t) != problem.FieldInvalid {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	n.numbers.err = errors.New("clickhouse://user:hunter2@host")
	for _, path := range []string{"slo?by=wedding", "slo/series", "summary"} {
		if a := n.do(t, "GET", "/api/"+path, ""); a.status != 502 || a.code(t) != problem.AnalyticsFailed || strings.Contains(a.body, "hunter2") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	n.numbers.missing = true
	for _, path := range []string{"slo?by=category", "slo/series", "summary"} {
		if a := n.do(t, "GET", "/api/"+path, ""); a.status != 503 || a.code(t) != problem.AnalyticsMissing {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	s := into[struct {
		Node, Version string
		Analytics     bool
		Log           journal.Status
	}](t, n.do(t, "GET", "/api/status", ""))
	if s.Node != "n1" || s.Version != "1.2.3" || !s.Analytics || s.Log.Epoch != n.journal.Epoch() || len(s.Log.Streams) < 4 {
		t.Errorf("got %+v", s)
	}
}

func TestEraseWedding(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	const couple = "couple-1" // which no hash holds by chance
	type of struct{ Events, Deliveries, DeadLetters, Clients, Records, Rows int }
	type answer struct {
		DryRun, Analytics bool
		Removed, Left     of
	}
	all := of{3, 2, 1, 4, 0, 7}
	if got := into[answer](t, n.do(t, "POST", "/api/weddings/"+couple+"/erase", `{"dryRun":true}`)); got != (answer{true, true, of{}, all}) {
		t.Errorf("looked for: %+v", got)
	}
	if len(n.audited()) != 0 {
		t.Error("a look is audited as an erasure")
	}
	if got := into[answer](t, n.do(t, "POST", "/api/weddings/"+couple+"/erase", `{}`)); got != (answer{false, true, all, of{}}) {
		t.Errorf("erased: %+v", got)
	}
	records := n.audited()
	if len(records) != 1 || strings.Contains(records[0].Target, couple) || records[0].Outcome != "ok" || !strings.Contains(records[0].Detail, "3 events") {
		t.Errorf("audited is %+v", records)
	}
	salt, hash, _ := strings.Cut(records[0].Target, ":")
	if sum := sha256.Sum256([]byte(salt + couple)); hash != hex.EncodeToString(sum[:]) {
		t.Errorf("who knows the id does not find %s", records[0].Target)
	}
	n.numbers.err = errors.New("odd")
	if a := n.do(t, "POST", "/api/weddings/"+couple+"/erase", `{}`); a.code(t) != problem.AnalyticsFailed {
		t.Errorf("without ClickHouse's answer: %d %s", a.status, a.body)
	}
	n.numbers.missing = true
	if got := into[answer](t, n.do(t, "POST", "/api/weddings/"+couple+"/erase", `{}`)); got != (answer{false, false, of{3, 2, 1, 4, 5, 0}, of{}}) {
		t.Errorf("without ClickHouse: %+v", got)
	}
	n.engine.fail(journal.ErrUnavailable)
	if a := n.do(t, "POST", "/api/weddings/"+couple+"/erase", `{}`); a.code(t) != problem.LogUnavailable {
		t.Errorf("without the log: %d %s", a.status, a.body)
	}
}

// letters is a list of dead letters.
type letters struct {
	Items []struct {
		Seq    uint64
		Letter event.DeadLetter
	}
	Next uint64
}

// Dead letters are found, and replayed in bulk, by integration, reason and time.
func TestReplayMany(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	now := time.Now().UTC()
	for i, l := range []struct {
		integration, reason string
		age                 time.Duration
		channel             string
	}{
		{"a", "132001", 3 * time.Hour, "a:1"},
		{"a", "132001", 2 * time.Hour, "a:2"},
		{"a", "park_limit", time.Hour, "a:1"},
		{"b", "132001", time.Hour, "b:1"},
		{"a", "132001", time.Minute, "b:2"},
	} {
		must(t, n.journal.Bury(t.Context(), &event.DeadLetter{
			V: 1, Delivery: event.Delivery{
				V: 1, ID: fmt.Sprint("dlv_", i), Integration: l.integration, Vendor: "v" + l.integration, Channel: l.channel, EventType: "t" + l.channel[2:],
				Body: json.RawMessage("{}"),
			},
			Event: event.Event{V: 1, ID: fmt.Sprint("e", i), Payload: json.RawMessage("{}")}, Reason: l.reason, DiedAt: now.Add(-l.age),
		}))
	}
	type found struct {
		DryRun bool
		Items  []struct {
			Seq              uint64
			Delivery, Reason string
			Problem          string
		}
		Next uint64
	}
	seqs := func(f found) (all []uint64) {
		for _, i := range f.Items {
			all = append(all, i.Seq)
		}
		return all
	}
	for body, want := range map[string][]uint64{
		`{"dryRun":true}`: {1, 2, 3, 4, 5}, `{"dryRun":true,"integration":"a"}`: {1, 2, 3, 5}, `{"dryRun":true,"reason":"132001"}`: {1, 2, 4, 5},
		`{"dryRun":true,"since":"150m","until":"30m"}`: {2, 3, 4}, `{"dryRun":true,"reason":"132001","limit":2}`: {1, 2},
		`{"dryRun":true,"reason":"132001","limit":2,"after":2}`: {4, 5}, `{"dryRun":true,"integration":"nobody"}`: nil,
		`{"dryRun":true,"vendor":"vb"}`: {4}, `{"dryRun":true,"type":"t1"}`: {1, 3, 4}, `{"dryRun":true,"channel":"b:2"}`: {5},
		`{"dryRun":true,"channel":"a:*","reason":"132001"}`: {1, 2},
	} {
		got := into[found](t, n.do(t, "POST", "/api/dead-letters/replay", body))
		if !got.DryRun || !slices.Equal(seqs(got), want) || (got.Next != 0) != (strings.Contains(body, "limit") && len(want) == 2) {
			t.Errorf("%s finds %+v, want %v", body, got, want)
		}
	}
	if got := into[letters](t, n.do(t, "GET", "/api/dead-letters?reason=132001&since=150m&limit=10", "")); len(got.Items) != 3 || got.Items[0].Seq != 2 {
		t.Errorf("listed are %+v", got)
	}
	if got := into[letters](t, n.do(t, "GET", "/api/dead-letters?vendor=va&type=t2&channel=a:*", "")); len(got.Items) != 1 || got.Items[0].Seq != 2 {
		t.Errorf("listed by vendor, type and channel are %+v", got)
	}
	if told := n.engine.told; len(told) != 0 {
		t.Errorf("a dry run told the engine %v", told)
	}
	if got := into[found](t, n.do(t, "POST", "/api/dead-letters/replay", `{"integration":"a","reason":"132001"}`)); !slices.Equal(seqs(got), []uint64{1, 2, 5}) || got.Items[0].Problem != "" {
		t.Errorf("replayed are %+v", got)
	}
	if told := n.engine.told; !slices.Equal(told, []string{"replay 1", "replay 2", "replay 5"}) {
		t.Errorf("the engine was told %v", told)
	}
	if a := n.audited(); len(a) != 1 || a[0].Action != "dead.replay_many" || a[0].Detail != `3 dead letters, reason "132001"` {
		t.Errorf("audited is %+v", a)
	}
	for body, code := range map[string]string{
		`{"since":"noon"}`: problem.FieldInvalid, `{"until":"noon"}`: problem.FieldInvalid, `{"integration":"a b"}`: problem.FieldInvalid, `{"channel":"a::b"}`: problem.FieldInvalid, `{"limit":0}`: problem.FieldInvalid,
	} {
		if a := n.do(t, "POST", "/api/dead-letters/replay", body); a.code(t) != code {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

func TestTryIntegration(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	n.audited()
	if got := into[event.Attempt](t, n.do(t, "POST", "/api/integrations/crm/test", `{"type":"timeline.updated"}`)); got.Verdict != "delivered" || got.Status != 200 {
		t.Errorf("came %+v", got)
	}
	if a := n.audited(); len(a) != 1 || a[0].Action != "integration.test" || a[0].Target != "crm" || a[0].Detail != "delivered" {
		t.Errorf("audited is %+v", a)
	}
	if a := n.do(t, "POST", "/api/integrations/crm/test", `{"type":"odd"}`); a.code(t) != problem.FieldInvalid {
		t.Errorf("an odd type: %d %s", a.status, a.body)
	}
	if a := n.do(t, "POST", "/api/integrations/nobody/test", `{}`); a.code(t) != problem.IntegrationUnknown {
		t.Errorf("an unknown one: %d %s", a.status, a.body)
	}
}
