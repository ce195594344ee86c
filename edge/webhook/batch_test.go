package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/webhook"
)

// scripted is a vendor that says what a test wants.
type scripted struct {
	adapter.Connection
	id        string
	window    time.Duration
	reception adapter.Reception
	verify    error
	decode    error
}

func (s *scripted) Verify(*adapter.Inbound, time.Time) (string, error) { return s.id, s.verify }
func (s *scripted) Decode(*adapter.Inbound) (adapter.Reception, error) { return s.reception, s.decode }
func (s *scripted) ReplayWindow() time.Duration                        { return s.window }

var _ adapter.Receiver = (*scripted)(nil)

func scriptedNode(t *testing.T, s *scripted) *node {
	t.Helper()
	return start(t, func(c *webhook.Config) { c.Directory = only{s} })
}

type only struct{ *scripted }

func (o only) Find(id string) (webhook.Party, bool) {
	return webhook.Party{
		Integration: event.Integration{ID: id, Vendor: "venuemaster", Channel: "couple:{coupleId}"},
		Connection:  func() (adapter.Connection, error) { return o.scripted, nil },
	}, true
}

func message(id, payload string) adapter.Message {
	return adapter.Message{ID: id, Type: "guest_count.changed", Payload: json.RawMessage(payload)}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	s := &scripted{window: time.Minute, reception: adapter.Reception{Messages: []adapter.Message{
		message("m1", `{"coupleId":"c1"}`), message("m2", `{}`), message("", `{"coupleId":4711}`), message("m4", `{"coupleId":true}`),
	}}}
	n := scriptedNode(t, s)
	post := func(body string) answer { return n.do(t, "POST", venuePath, nil, []byte(body)) }
	a := post(`{"n":1}`)
	got := a.events(t)
	if a.status != 202 || len(got.Events) != 2 || len(got.Refused) != 2 || got.Refused[0].Message != 1 || got.Refused[0].Code != problem.ChannelUnfilled ||
		got.Refused[1].Message != 3 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if n.event(t, got.Events[0].Seq).Channel != "couple:c1" || n.event(t, got.Events[1].Seq).Channel != "couple:4711" {
		t.Error("on other channels")
	}
	if audits := n.audited(); len(audits) != 3 || audits[2].Outcome != "ok" || audits[2].Detail != "2 events" || !strings.Contains(audits[0].Detail, "message 2 of 4") {
		t.Errorf("audited %+v", audits)
	}
	// The whole of it again: what is in is known, what was refused is refused again.
	if a := post(`{"n":1}`); a.status != 202 || a.events(t).Duplicate || !a.events(t).Events[0].Duplicate || n.appended(t) != 2 {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	// The message without an id is told by the webhook that it came in.
	if a := post(`{"n":2}`); a.status != 202 || a.events(t).Events[1].Duplicate || n.appended(t) != 3 {
		t.Errorf("in another webhook: %d %s", a.status, a.body)
	}
	s.reception.Messages = s.reception.Messages[1:2]
	if a := post(`{"n":3}`); a.status != 422 || a.code(t) != problem.ChannelUnfilled {
		t.Errorf("nothing of it can be an event: %d %s", a.status, a.body)
	}
	s.reception.Messages = nil
	if a := post(`{"n":4}`); a.status != 202 || strings.TrimSpace(a.body) != `{"events":[]}` {
		t.Errorf("nothing in it: %d %s", a.status, a.body)
	}
}

// A webhook of more messages than are taken at once makes no event; one of as many does.
func TestTooManyMessages(t *testing.T) {
	t.Parallel()
	s := &scripted{reception: adapter.Reception{Messages: make([]adapter.Message, 1001)}}
	for i := range s.reception.Messages {
		s.reception.Messages[i] = message(fmt.Sprint(i), `{"coupleId":"c1"}`)
	}
	n := scriptedNode(t, s)
	a := n.do(t, "POST", venuePath, nil, []byte(`{}`))
	if a.status != 413 || a.code(t) != problem.TooManyMessages || n.appended(t) != 0 {
		t.Errorf("1001 messages: %d %s, %d events", a.status, a.body, n.appended(t))
	}
	if got := n.verdicts(t, "venuemaster", problem.TooManyMessages); got != 1 {
		t.Errorf("the metric counts %v", got)
	}
	if audits := n.audited(); len(audits) != 1 || !strings.Contains(audits[0].Detail, "1001 messages") {
		t.Errorf("audited %+v", audits)
	}
	s.reception.Messages = s.reception.Messages[:1000]
	if a := n.do(t, "POST", venuePath, nil, []byte(`{}`)); a.status != 202 || n.appended(t) != 1000 {
		t.Errorf("1000 messages: %d %s, %d events", a.status, a.body, n.appended(t))
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	s := &scripted{}
	n := scriptedNode(t, s)
	for reply, kind := range map[string]string{"EVENT_RECEIVED": "text/plain; charset=utf-8", `{"challenge":"x"}`: "application/json"} {
		s.reception.Reply = []byte(reply)
		if a := n.do(t, "POST", venuePath, nil, []byte(`{}`)); a.status != 200 || a.body != reply || a.header.Get("Content-Type") != kind {
			t.Errorf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
		}
	}
}

func TestLogThatFails(t *testing.T) {
	t.Parallel()
	s := &scripted{reception: adapter.Reception{Messages: []adapter.Message{message("m1", `{"coupleId":"c1"}`), message("m2", `{"coupleId":"c1"}`)}}}
	n := scriptedNode(t, s)
	publish, calls := n.publish, 0
	n.publish = func(ctx context.Context, d ingest.Draft) (ingest.Receipt, error) {
		if calls++; calls == 2 {
			return ingest.Receipt{}, &ingest.Reject{Code: problem.LogFull, Status: 503, Detail: "full", RetryAfter: time.Second}
		}
		return publish(ctx, d)
	}
	if a := n.do(t, "POST", venuePath, nil, []byte(`{}`)); a.status != 503 || a.code(t) != problem.LogFull || a.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", a.status, a.body)
	}
	a := n.do(t, "POST", venuePath, nil, []byte(`{}`))
	if e := a.events(t); a.status != 202 || !e.Events[0].Duplicate || e.Events[1].Duplicate || n.appended(t) != 2 {
		t.Errorf("sent again: %d %s", a.status, a.body)
	}
}

func TestAdapterErrorsOfAnotherKind(t *testing.T) {
	t.Parallel()
	s := &scripted{verify: errors.New("odd secret")}
	n := scriptedNode(t, s)
	if a := n.do(t, "POST", venuePath, nil, []byte(`{}`)); a.status != 500 || a.code(t) != problem.Internal || strings.Contains(a.body, "odd") {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.verify, s.decode = nil, errors.New("odd body")
	if a := n.do(t, "POST", venuePath, nil, []byte(`{}`)); a.status != 500 || strings.Contains(a.body, "odd") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestManySources: each source is counted by itself, a /64 of IPv6 as one, and their number is bounded.
func TestManySources(t *testing.T) {
	t.Parallel()
	c := &collector{}
	var source netip.Addr
	now := time.Now()
	h, err := webhook.New(webhook.Config{
		Directory: everybody{}, Publisher: c, Seen: c, Auditor: c, RefusalsPerMinute: 1,
		Now: func() time.Time { return now }, Source: func(*http.Request) netip.Addr { return source },
	})
	must(t, err)
	mux := http.NewServeMux()
	h.Mount(mux)
	status := func(addr string) int {
		source = netip.MustParseAddr(addr)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/webhooks/nobody/x", http.NoBody))
		return w.Code
	}
	for _, step := range []struct {
		addr string
		want int
	}{{"192.0.2.1", 404}, {"192.0.2.1", 429}, {"192.0.2.2", 404}, {"2001:db8::1", 404}, {"2001:db8::2", 429}, {"2001:db8:0:1::1", 404}} {
		if got := status(step.addr); got != step.want {
			t.Errorf("%s: %d, want %d", step.addr, got, step.want)
		}
	}
	for i := range 45_000 {
		if got := status(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)); got != 404 {
			t.Fatalf("source %d: %d", i, got)
		}
		if i == 25_000 {
			now = now.Add(2 * time.Minute) // the first ones are empty by now
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c := &collector{}
	good := webhook.Config{Directory: everybody{}, Publisher: c, Seen: c, Auditor: c}
	for _, change := range []func(*webhook.Config){
		func(c *webhook.Config) { c.Directory = nil },
		func(c *webhook.Config) { c.Publisher = nil },
		func(c *webhook.Config) { c.Seen = nil },
		func(c *webhook.Config) { c.Auditor = nil },
		func(c *webhook.Config) { c.MaxBytes = -1 },
		func(c *webhook.Config) { c.PerHour = -1 },
	} {
		bad := good
		change(&bad)
		if _, err := webhook.New(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	good.Metrics = prometheus.NewRegistry()
	_, err := webhook.New(good)
	must(t, err)
	if _, err := webhook.New(good); err == nil {
		t.Error("metrics registered twice")
	}
}

func TestSourceOfTheConnection(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{"192.0.2.7:1234": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[fe80::1%eth0]:1": "fe80::1", "@": ""} {
		c := &auditing{}
		h, err := webhook.New(webhook.Config{Directory: everybody{}, Publisher: c, Seen: c, Auditor: c})
		must(t, err)
		mux := http.NewServeMux()
		h.Mount(mux)
		r := httptest.NewRequest(http.MethodPost, "/api/webhooks/nobody/x", http.NoBody)
		r.RemoteAddr = remote
		mux.ServeHTTP(httptest.NewRecorder(), r)
		if c.last.From != want || c.last.Actor != "anonymous" {
			t.Errorf("%s: audited from %q by %q", remote, c.last.From, c.last.Actor)
		}
	}
}

type auditing struct {
	collector
	last event.Audit
}

func (a *auditing) Audit(e event.Audit) { a.last = e }
