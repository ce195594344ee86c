package webhook_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/webhook"
)

func TestWebhookBecomesAnEvent(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, nil)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	body := []byte(capacity(`,"reason":"Fire &lt;b&gt;door&lt;/b&gt; \u003cscript\u003ealert(1)\u003c/script\u003e& <3","previous_capacity":120`))
	h := sign(t, venueSecret, "msg_1", n.clock.now(), body)
	h.Set("Traceparent", trace)
	a := n.do(t, "POST", venuePath, h, body)
	if a.status != 202 || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := a.events(t)
	if len(got.Events) != 1 || got.Duplicate || !strings.HasPrefix(got.Events[0].ID, "whk_") {
		t.Fatalf("answered %s", a.body)
	}
	ev := n.event(t, got.Events[0].Seq)
	if ev.ID != got.Events[0].ID || ev.Channel != "supplier:dashboard:42" || ev.Type != "capacity.changed" ||
		ev.Source != "webhook:venue" || ev.WeddingID != "c7" || ev.TraceParent != trace || ev.CorrelationID != ev.ID ||
		!ev.OccurredAt.Equal(time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("appended %+v", ev)
	}
	var payload map[string]any
	must(t, json.Unmarshal(ev.Payload, &payload))
	if payload["capacity"] != 90. || payload["previousCapacity"] != 120. || payload["reason"] != "Fire door & <3" {
		t.Errorf("payload %s", ev.Payload)
	}
	audits := n.audited()
	if len(audits) != 1 || audits[0].Actor != "webhook:venue" || audits[0].Action != "webhook.receive" || audits[0].Target != "venue" ||
		audits[0].Outcome != "ok" || audits[0].Detail != ev.ID || audits[0].From != "127.0.0.1" || audits[0].Owner["supplierId"] != "42" {
		t.Errorf("audited %+v", audits)
	}
	if n.verdicts(t, "venuemaster", "ok") != 1 {
		t.Error("not counted")
	}
}

// TestRefused holds each rejection to its code, its status, one audit record, one count, and that
// nothing was appended.
func TestRefused(t *testing.T) { //nolint:tparallel // one log is watched over all of them, in order
	t.Parallel()
	n := start(t, func(c *webhook.Config) { c.MaxBytes = 64 << 10 })
	n.venue(t, nil)
	n.connect(t, event.Integration{ID: "off", Vendor: "venuemaster", Disabled: true, Settings: json.RawMessage(`{"url":"https://x.example"}`)},
		event.Secrets{"signing": {event.SecretOf(venueSecret)}, "webhook": {event.SecretOf(venueSecret)}})
	n.connect(t, event.Integration{ID: "nosecret", Vendor: "venuemaster", Settings: json.RawMessage(`{"url":"https://x.example"}`)},
		event.Secrets{"signing": {event.SecretOf(venueSecret)}})
	n.connect(t, event.Integration{ID: "broken", Vendor: "venuemaster", Settings: json.RawMessage(`{"url":"https://x.example"}`)}, nil)
	n.connect(t, event.Integration{ID: "nochannel", Vendor: "venuemaster", Settings: json.RawMessage(`{"url":"https://x.example"}`)},
		event.Secrets{"signing": {event.SecretOf(venueSecret)}, "webhook": {event.SecretOf(venueSecret)}})
	n.connect(t, event.Integration{
		ID: "holes", Vendor: "venuemaster", Settings: json.RawMessage(`{"url":"https://x.example"}`), Channel: "a:{room}:{missing}",
	}, event.Secrets{"signing": {event.SecretOf(venueSecret)}, "webhook": {event.SecretOf(venueSecret)}})
	n.connect(t, event.Integration{
		ID: "mail", Vendor: "email", Settings: json.RawMessage(`{"host":"mail.example.com","from":"a@example.com","to":"b@example.com"}`),
	}, nil)

	now := n.clock.now()
	signed := func(body string) func(*testing.T) (http.Header, string) {
		return func(t *testing.T) (http.Header, string) {
			t.Helper()
			return sign(t, venueSecret, "msg_x", now, []byte(body)), body
		}
	}
	altered := func(change func(http.Header)) func(*testing.T) (http.Header, string) {
		return func(t *testing.T) (http.Header, string) {
			t.Helper()
			h := sign(t, venueSecret, "msg_x", now, []byte(capacity("")))
			change(h)
			return h, capacity("")
		}
	}
	deep := `,"notes":` + strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30)
	for _, c := range []struct {
		name    string
		path    string
		request func(*testing.T) (http.Header, string)
		code    string
		status  int
		says    string
	}{
		{"too large", venuePath, signed(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`), problem.BodyTooLarge, 413, "65536"},
		{"unknown vendor", "/api/webhooks/nobody/venue", signed(capacity("")), problem.VendorUnknown, 404, "venuemaster"},
		{"unknown integration", "/api/webhooks/venuemaster/nobody", signed(capacity("")), problem.IntegrationUnknown, 404, `"nobody"`},
		{"impossible integration", "/api/webhooks/venuemaster/a%20b", signed(capacity("")), problem.IntegrationUnknown, 404, `"a b"`},
		{"another vendor's", "/api/webhooks/studiocloud/venue", signed(capacity("")), problem.VendorMismatch, 404, "studiocloud"},
		{"disabled", "/api/webhooks/venuemaster/off", signed(capacity("")), problem.IntegrationDisabled, 409, "disabled"},
		{"incomplete", "/api/webhooks/venuemaster/broken", signed(capacity("")), problem.IntegrationBroken, 503, "admin"},
		{"sends no webhooks", "/api/webhooks/email/mail", signed(capacity("")), problem.NotAReceiver, 404, "email"},
		{"no webhook secret", "/api/webhooks/venuemaster/nosecret", signed(capacity("")), problem.SignatureInvalid, 401, "no webhook secret"},
		{"unsigned", venuePath, altered(func(h http.Header) { h.Del("Webhook-Signature") }), problem.SignatureMissing, 401, "webhook-signature"},
		{"wrong signature", venuePath, altered(func(h http.Header) { h.Set("Webhook-Id", "msg_y") }), problem.SignatureInvalid, 401, "no signature"},
		{"another secret", venuePath, func(t *testing.T) (http.Header, string) {
			t.Helper()
			return sign(t, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "m", now, []byte(capacity(""))), capacity("")
		}, problem.SignatureInvalid, 401, "no signature"},
		{"altered body", venuePath, func(t *testing.T) (http.Header, string) {
			t.Helper()
			return sign(t, venueSecret, "m", now, []byte(capacity(""))), capacity(" ")
		}, problem.SignatureInvalid, 401, "no signature"},
		{"bad timestamp", venuePath, altered(func(h http.Header) { h.Set("Webhook-Timestamp", "noon") }), problem.TimestampInvalid, 401, "seconds"},
		{"old timestamp", venuePath, func(t *testing.T) (http.Header, string) {
			t.Helper()
			return sign(t, venueSecret, "m", now.Add(-6*time.Minute), []byte(capacity(""))), capacity("")
		}, problem.TimestampOld, 401, "five minutes"},
		{"future timestamp", venuePath, func(t *testing.T) (http.Header, string) {
			t.Helper()
			return sign(t, venueSecret, "m", now.Add(6*time.Minute), []byte(capacity(""))), capacity("")
		}, problem.TimestampOld, 401, "five minutes"},
		{"malformed JSON", venuePath, signed(`{"type":`), problem.JSONMalformed, 400, "byte 8"},
		{"empty", venuePath, signed(``), problem.JSONMalformed, 400, "ends"},
		{"not UTF-8", venuePath, signed(capacity(",\"notes\":\"caf\xe9\"")), problem.UTF8Invalid, 400, "0xe9"},
		{"not an object", venuePath, signed(`[1]`), problem.PayloadNotObject, 422, "array"},
		{"nested deeply", venuePath, signed(capacity(deep)), problem.PayloadTooDeep, 422, "24"},
		{"a key twice", venuePath, signed(capacity(`,"capacity":1`)), problem.DuplicateKey, 422, "capacity"},
		{"unknown type", venuePath, signed(`{"type":"cake.fell","data":{}}`), problem.WebhookUndecodable, 422, "cake.fell"},
		{"field missing", venuePath, signed(`{"type":"capacity.changed","data":{"venue_id":"v"}}`), problem.WebhookUndecodable, 422, "capacity"},
		{"time that cannot be", venuePath, signed(`{"type":"capacity.changed","timestamp":"1970-01-01T00:00:00Z","data":{"venue_id":"v","capacity":1}}`), problem.OccurredAtInvalid, 422, "1970"},
		{"no channel", "/api/webhooks/venuemaster/nochannel", signed(capacity("")), problem.ChannelUnset, 409, "no channel"},
		{"hole without a value", "/api/webhooks/venuemaster/holes", signed(capacity(`,"room":"r1"`)), problem.ChannelUnfilled, 422, "{missing}"},
		{"value that does not fit", "/api/webhooks/venuemaster/holes", signed(capacity(`,"room":"the red room"`)), problem.ChannelUnfilled, 422, "{room}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.audited()
			header, body := c.request(t)
			vendor := strings.Split(c.path, "/")[3]
			if c.code == problem.VendorUnknown || c.code == problem.BodyTooLarge {
				vendor = ""
			}
			before := n.verdicts(t, vendor, c.code)
			a := n.do(t, "POST", c.path, header, []byte(body))
			if got := a.code(t); got != c.code || a.status != c.status || !strings.Contains(a.body, strings.Trim(strconv.Quote(c.says), `"`)) {
				t.Errorf("got %d %s\nwant %d %s saying %q", a.status, a.body, c.status, c.code, c.says)
			}
			if audits := n.audited(); len(audits) != 1 || audits[0].Outcome != c.code || strings.Contains(audits[0].Detail, "cake") {
				t.Errorf("audited %+v", audits)
			}
			if n.verdicts(t, vendor, c.code) != before+1 {
				t.Error("not counted")
			}
		})
	}
	if got := n.appended(t); got != 0 {
		t.Errorf("%d events were appended", got)
	}
	if a := n.do(t, "PUT", venuePath, nil, nil); a.code(t) != problem.MethodNotAllowed {
		t.Errorf("PUT: %s", a.body)
	}
}

func TestReplayIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, nil)
	first := n.send(t, "msg_1", capacity(""))
	n.audited()
	second := n.send(t, "msg_1", capacity(""))
	if second.status != 200 {
		t.Fatalf("replay: %d %s", second.status, second.body)
	}
	a, b := first.events(t), second.events(t)
	if !b.Duplicate || len(b.Events) != 1 || b.Events[0].ID != a.Events[0].ID || b.Events[0].Seq != a.Events[0].Seq || !b.Events[0].Duplicate {
		t.Errorf("first %s, then %s", first.body, second.body)
	}
	if audits := n.audited(); len(audits) != 1 || audits[0].Outcome != "duplicate" {
		t.Errorf("audited %+v", audits)
	}
	if third := n.send(t, "msg_2", capacity("")); third.status != 202 {
		t.Errorf("another id: %d %s", third.status, third.body)
	}
	if n.appended(t) != 2 {
		t.Errorf("%d events", n.appended(t))
	}
}

// TestReplayBeyondTheLogsMemory: what is in the bucket is known, even where the log's own window
// would have let it in again.
func TestReplayBeyondTheLogsMemory(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, nil)
	id := n.send(t, "msg_1", capacity("")).events(t).Events[0].ID
	if v, err := n.seen.Seen.Get(t.Context(), id); err != nil || string(v.Data) != "1" {
		t.Fatalf("the bucket holds %q, %v", v.Data, err)
	}
	if _, err := n.seen.Seen.Create(t.Context(), eventIDOf(t, n, "msg_old"), []byte("77")); err != nil {
		t.Fatal(err)
	}
	a := n.send(t, "msg_old", capacity(""))
	if e := a.events(t); a.status != 200 || !e.Duplicate || e.Events[0].Seq != 77 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if n.appended(t) != 1 {
		t.Error("a remembered id was appended again")
	}
}

// eventIDOf learns the id that a message gets: the bucket is asked for it before anything is appended.
func eventIDOf(t *testing.T, n *node, message string) string {
	t.Helper()
	n.seen.fail(journal.ErrUnavailable, nil)
	defer n.seen.fail(nil, nil)
	if a := n.send(t, message, capacity("")); a.status != 503 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return n.seen.asked()
}

func TestForgetfulNodeRefuses(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, nil)
	for err, code := range map[error]string{
		journal.ErrUnavailable: problem.LogUnavailable, journal.ErrFull: problem.LogFull, journal.ErrClosed: problem.ShuttingDown,
	} {
		n.seen.fail(err, nil)
		if a := n.send(t, "msg_1", capacity("")); a.status != 503 || a.code(t) != code || a.header.Get("Retry-After") == "" {
			t.Errorf("%v: %d %s", err, a.status, a.body)
		}
	}
	if n.appended(t) != 0 {
		t.Error("appended without looking whether it is known")
	}
	// Appended and not remembered: the sender comes again, and finds it applied once.
	n.seen.fail(nil, journal.ErrUnavailable)
	if a := n.send(t, "msg_1", capacity("")); a.status != 503 {
		t.Errorf("not remembered: %d %s", a.status, a.body)
	}
	n.seen.fail(nil, nil)
	a := n.send(t, "msg_1", capacity(""))
	e := a.events(t)
	if a.status != 200 || !e.Duplicate || n.appended(t) != 1 {
		t.Errorf("after that: %d %s, %d events", a.status, a.body, n.appended(t))
	}
	if _, err := n.seen.Seen.Get(t.Context(), e.Events[0].ID); err != nil {
		t.Errorf("still not remembered: %v", err)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, func(in *event.Integration) { in.Limits.WebhooksPerHour = 3 })
	for i := range 10 { // refused ones cost nothing
		body := []byte(capacity(""))
		n.do(t, "POST", venuePath, sign(t, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "bad"+strconv.Itoa(i), n.clock.now(), body), body)
	}
	for i := range 3 {
		if a := n.send(t, "msg_"+strconv.Itoa(i), capacity("")); a.status != 202 {
			t.Fatalf("webhook %d: %d %s", i, a.status, a.body)
		}
	}
	a := n.send(t, "msg_3", capacity(""))
	after, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != 429 || a.code(t) != problem.RateLimited || err != nil || after < 3500 || after > 3700 {
		t.Errorf("got %d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	if n.appended(t) != 3 {
		t.Errorf("%d events", n.appended(t))
	}
	if got := n.verdicts(t, "venuemaster", problem.RateLimited); got != 1 {
		t.Errorf("the metric counts %v", got)
	}
	n.clock.advance(time.Duration(after) * time.Second)
	if a := n.send(t, "msg_3", capacity("")); a.status != 202 {
		t.Errorf("an hour later: %d %s", a.status, a.body)
	}
}

func TestDefaultBudgetIsOneThousand(t *testing.T) {
	t.Parallel()
	c := &collector{}
	now := time.Now()
	h, err := webhook.New(webhook.Config{
		Directory: only{&scripted{}}, Publisher: c, Seen: c, Auditor: c, Now: func() time.Time { return now },
	})
	must(t, err)
	mux := http.NewServeMux()
	h.Mount(mux)
	send := func() int {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, venuePath, strings.NewReader(`{}`)))
		return w.Code
	}
	for i := range 1000 {
		if got := send(); got != http.StatusAccepted {
			t.Fatalf("webhook %d: %d", i, got)
		}
	}
	if got := send(); got != http.StatusTooManyRequests {
		t.Errorf("webhook 1001: %d", got)
	}
}

func TestRefusalsAreLimitedBySource(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *webhook.Config) { c.RefusalsPerMinute = 5 })
	n.venue(t, nil)
	bad := func() answer {
		body := []byte(capacity(""))
		return n.do(t, "POST", venuePath, sign(t, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "m", n.clock.now(), body), body)
	}
	for i := range 5 {
		if a := bad(); a.code(t) != problem.SignatureInvalid {
			t.Fatalf("refusal %d: %s", i, a.body)
		}
	}
	n.audited()
	for range 20 {
		if a := bad(); a.status != 429 || a.code(t) != problem.RefusalsLimited || a.header.Get("Retry-After") == "" {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	if audits := n.audited(); len(audits) != 1 || audits[0].Outcome != problem.RefusalsLimited {
		t.Errorf("audited %+v", audits)
	}
	if a := n.send(t, "msg_1", capacity("")); a.status != 202 {
		t.Errorf("a webhook signed rightly, from the same address: %d %s", a.status, a.body)
	}
	n.clock.advance(2 * time.Minute)
	if a := bad(); a.code(t) != problem.SignatureInvalid {
		t.Errorf("two minutes later: %s", a.body)
	}
}
