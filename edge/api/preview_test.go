package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

// withActors gives the API real actors for its engine. They hold no shard, so that they deliver nothing.
func withActors(tb testing.TB) func(*api.Config) {
	tb.Helper()
	return func(cfg *api.Config) {
		tb.Helper()
		j, _ := cfg.History.(*journal.Journal)
		r, _ := cfg.Integrations.(*registry.Registry)
		sender := delivery.NewSender(delivery.SenderConfig{})
		system, err := actors.New(actors.Config{
			Node: "n1", Journal: j, Registry: r, Caller: sender, Placement: cluster.NewSolo("another"), Logger: zerolog.Nop(),
		})
		must(tb, err)
		system.Start()
		tb.Cleanup(func() {
			must(tb, system.Stop(context.Background()))
			sender.Close()
		})
		cfg.Engine = system
	}
}

const previewStudio = `{"vendor":"studiocloud","settings":{"url":"https://crm.example.com/hooks"}}`

// previewNode has a studio that gets the timelines of suppliers with more than 100 guests.
func previewNode(t *testing.T) *node {
	t.Helper()
	n := start(t, withActors(t))
	for _, c := range [][]string{
		{"PUT", "/api/integrations/studio", previewStudio},
		{"PUT", "/api/integrations/studio/secrets", `{"signing":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`},
		{"PUT", "/api/mappings/m", `{"pattern":"supplier:dashboard:{supplierId}","targets":[{"integration":"studio"}],
			"when":"payload.guests > 100","fields":{"notes":"\"for \" + vars.supplierId"}}`},
	} {
		if a := n.do(t, c[0], c[1], c[2]); a.status != 200 {
			t.Fatalf("%s: %d %s", c[1], a.status, a.body)
		}
	}
	n.audited()
	return n
}

func (n *node) publish(t *testing.T, channel, payload string) uint64 {
	t.Helper()
	a := n.do(t, "POST", "/api/channels/"+channel+"/publish", `{"type":"timeline.updated","payload":`+payload+`}`)
	return into[struct{ Seq uint64 }](t, a).Seq
}

func TestPreviewOfAnEvent(t *testing.T) {
	t.Parallel()
	n := previewNode(t)
	const payload = `{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","venue":"<b>Old</b> Mill","guests":120}`
	const want = `{"client_id":"c1","shoot_date":"2027-06-12T16:00:00+02:00","location":"Old Mill","timeline":null,"special_requests":"for 42"}`
	seq := n.publish(t, "supplier:dashboard:42", payload)
	before := n.appended(t)
	for _, body := range []string{
		`{"channel":"supplier:dashboard:42","type":"timeline.updated","payload":` + payload + `}`,
		fmt.Sprintf(`{"channel":"supplier:dashboard:42","seq":%d}`, seq),
	} {
		a := n.do(t, "POST", "/api/integrations/studio/preview", body)
		p := into[actors.Preview](t, a)
		if !p.Sends || p.Mapping != "m" || p.Request == nil || p.Request.URL != "https://crm.example.com/hooks" || p.Request.Body != want ||
			p.Request.Header["Webhook-Signature"][0] != "[secret]" || !strings.Contains(string(p.Payload), `"notes":"for 42"`) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	a := n.do(t, "POST", "/api/integrations/studio/preview", `{"channel":"supplier:dashboard:42","type":"timeline.updated","payload":{"guests":3}}`)
	if p := into[actors.Preview](t, a); p.Sends || p.Reason != actors.ReasonCondition || p.Mapping != "m" || p.Request != nil {
		t.Errorf("few guests: %s", a.body)
	}
	for body, want := range map[string]string{
		`{"channel":"supplier:dashboard:42","type":"timeline.updated","payload":[]}`:      problem.PayloadNotObject,
		`{"channel":"supplier:dashboard:*","type":"timeline.updated","payload":{}}`:       problem.ChannelWildcard,
		`{"channel":"a:b","type":"?","payload":{}}`:                                       problem.TypeInvalid,
		`{"channel":"a:b","type":"x.y","payload":{},"occurredAt":"1970-01-01T00:00:00Z"}`: problem.OccurredAtInvalid,
		fmt.Sprintf(`{"channel":"supplier:dashboard:42","seq":%d,"type":"x.y"}`, seq):     problem.FieldInvalid,
		fmt.Sprintf(`{"channel":"supplier:dashboard:43","seq":%d}`, seq):                  problem.EventUnknown,
		fmt.Sprintf(`{"channel":"supplier:dashboard:42","seq":%d}`, seq+1000):             problem.EventUnknown,
		fmt.Sprintf(`{"channel":"a::b","seq":%d}`, seq):                                   problem.ChannelInvalid,
		`{"type":"timeline.updated","payload":{}}`:                                        problem.FieldInvalid,
	} {
		if a := n.do(t, "POST", "/api/integrations/studio/preview", body); a.code(t) != want {
			t.Errorf("%s: %s, want %s", body, a.body, want)
		}
	}
	if a := n.do(t, "POST", "/api/integrations/nobody/preview", `{"channel":"a:b","type":"x.y","payload":{}}`); a.code(t) != problem.IntegrationUnknown {
		t.Errorf("nobody: %s", a.body)
	}
	if n.appended(t) != before {
		t.Error("a preview appended an event")
	}
}

func TestPreviewOfAMapping(t *testing.T) {
	t.Parallel()
	n := previewNode(t)
	const few, many = `{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","guests":50}`, `{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","guests":120}`
	n.publish(t, "supplier:dashboard:41", many)
	n.publish(t, "supplier:dashboard:42", few)
	n.publish(t, "elsewhere:42", many)
	last := n.publish(t, "supplier:dashboard:43", many)
	ask := func(change, rest string) actors.Comparison {
		t.Helper()
		a := n.do(t, "POST", "/api/mappings/preview", `{"mapping":{"id":"m","targets":[{"integration":"studio"}],`+change+`}`+rest+`}`)
		return into[actors.Comparison](t, a)
	}
	c := ask(`"pattern":"supplier:dashboard:*","when":"payload.guests > 10","fields":{"notes":"\"for \" + channel[19:]"}`, "")
	if c.Events != 3 || c.Unchanged != 2 || len(c.Integrations) != 1 || c.Integrations[0] != (actors.Changes{Integration: "studio", More: 1}) {
		t.Errorf("fewer guests: %+v", c)
	}
	c = ask(`"pattern":"supplier:dashboard:*","when":"payload.guests > 100"`, `,"last":1`)
	if c.Events != 1 || c.FirstSeq != last || len(c.Differences) != 1 || c.Differences[0].Change != "other" ||
		!strings.Contains(string(c.Differences[0].Patch), `"path":"/special_requests"`) {
		t.Errorf("without fields: %+v", c)
	}
	c = ask(`"pattern":"elsewhere:*"`, "") // what is selected no more counts, too
	if c.Events != 4 || len(c.Integrations) != 1 || c.Integrations[0] != (actors.Changes{Integration: "studio", More: 1, Fewer: 2}) {
		t.Errorf("another pattern: %+v", c)
	}
	a := n.do(t, "POST", "/api/mappings/preview", `{"mapping":{"id":"new","pattern":"nowhere:*","targets":[{"integration":"studio"}]}}`)
	if a.status != 200 || !strings.Contains(a.body, `"events":0`) || !strings.Contains(a.body, `"integrations":[],"differences":[]`) {
		t.Errorf("a new one without events: %s", a.body)
	}
	for body, want := range map[string]string{
		`{"mapping":{"id":"m","pattern":"a:**:b","targets":[{"integration":"studio"}]}}`:           problem.MappingInvalid,
		`{"mapping":{"pattern":"a:*","targets":[{"integration":"studio"}]}}`:                       problem.MappingInvalid,
		`{"mapping":{"id":"m","pattern":"a:*","targets":[{"integration":"studio"}]},"last":1001}`:  problem.FieldInvalid,
		`{"mapping":{"id":"m","pattern":"a:*","targets":[{"integration":"studio"}],"when":"1 +"}}`: problem.MappingInvalid,
	} {
		if a := n.do(t, "POST", "/api/mappings/preview", body); a.code(t) != want {
			t.Errorf("%s: %s, want %s", body, a.body, want)
		}
	}
	stored := into[struct{ Pattern, When string }](t, n.do(t, "GET", "/api/mappings/m", ""))
	if stored.Pattern != "supplier:dashboard:{supplierId}" || stored.When != "payload.guests > 100" || len(n.audited()) != 0 {
		t.Errorf("a preview changed what is stored: %+v", stored)
	}
}

// TestWrongExpressionIsShownWithItsPlace, for an editor to mark it.
func TestWrongExpressionIsShownWithItsPlace(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	a := n.do(t, "PUT", "/api/mappings/m", `{"pattern":"a:{b}","targets":[{"integration":"x"}],"fields":{"venue":"1 +\n  vars.c"}}`)
	want := problem.Field{Field: "fields.venue", Reason: `line 2, column 8, at "c": unknown field c`, Line: 2, Column: 8, Text: "c"}
	p := a.problem(t)
	if p.Code != problem.MappingInvalid || len(p.Errors) != 1 || p.Errors[0] != want {
		t.Errorf("%s", a.body)
	}
	if a := n.do(t, "GET", "/api/mappings/m", ""); a.status != 404 {
		t.Errorf("it is stored: %s", a.body)
	}
	a = n.do(t, "PUT", "/api/mappings/m", `{"pattern":"a:{b}","targets":[{"integration":"x"}],"when":"vars.b == \"1\"","fields":{"venue":"vars.b"}}`)
	var got event.Mapping
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.When != `vars.b == "1"` || got.Fields["venue"] != "vars.b" {
		t.Errorf("stored: %s", a.body)
	}
}

// TestPreviewEndsWithTheLog: it says so, and does not hang.
func TestPreviewEndsWithTheLog(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	if a := n.do(t, "PUT", "/api/integrations/studio", previewStudio); a.status != 200 {
		t.Fatal(a.body)
	}
	must(t, n.journal.Close(context.Background()))
	begun := time.Now()
	for path, body := range map[string]string{
		"/api/integrations/studio/preview": `{"channel":"a:b","seq":1}`,
		"/api/mappings/preview":            `{"mapping":{"id":"m","pattern":"a:*","targets":[{"integration":"studio"}]}}`,
	} {
		if a := n.do(t, "POST", path, body); a.code(t) != problem.ShuttingDown {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if time.Since(begun) > 10*time.Second {
		t.Error("it took too long")
	}
}
