package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// connectAll connects every simulator, and a mapping of couple:** to all of them.
func (n *node) connectAll() *vendors.Set {
	n.t.Helper()
	set, err := vendors.StartAll(n.t.Context(), vendors.Config{})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = set.Close() })
	m := event.Mapping{ID: "all", Pattern: "couple:**", Fields: map[string]string{"notes": `"Wörld & " + payload.venue`}}
	for _, v := range set.All() {
		in, secrets := v.Integration(v.Name())
		if _, err := n.registry.Put(n.t.Context(), in); err != nil {
			n.t.Fatal(err)
		}
		values := map[string]event.Secret{}
		for name := range secrets {
			values[name] = secrets.Current(name)
		}
		if err := n.registry.SetSecrets(n.t.Context(), in.ID, values); err != nil {
			n.t.Fatal(err)
		}
		m.Targets = append(m.Targets, event.Target{Integration: in.ID})
	}
	if _, err := n.registry.PutMapping(n.t.Context(), m); err != nil {
		n.t.Fatal(err)
	}
	return set
}

// TestPreviewIsWhatIsSent compares the preview of an event with what each vendor then receives, and
// looks for secrets in it.
func TestPreviewIsWhatIsSent(t *testing.T) {
	t.Parallel()
	n := start(t)
	set := n.connectAll()
	now := time.Now().UTC().Truncate(time.Second)
	ev := &event.Event{
		V: 1, ID: "e1", Channel: "couple:updates:7", Type: "timeline.updated", OccurredAt: now, AcceptedAt: now, Source: "api",
		Payload: json.RawMessage(`{` + ceremony + `,"venue":"Old Mill","weddingDate":"2027-06-12"}`),
	}
	previews := map[string]actors.Preview{}
	for _, v := range set.All() {
		p, err := n.Preview(ev, v.Name())
		if err != nil || !p.Sends || p.Mapping != "all" || p.Reason != "" || !strings.Contains(string(p.Payload), "Wörld") {
			t.Fatalf("%+v, %v", p, err)
		}
		if v.Counts().Calls != 0 {
			t.Errorf("%s was called", v.Name())
		}
		shown, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		_, secrets := v.Integration(v.Name())
		for name := range secrets {
			if strings.Contains(string(shown), secrets.Current(name).Reveal()) {
				t.Errorf("the preview tells the secret %s: %s", name, shown)
			}
		}
		previews[v.Name()] = p
	}
	if _, err := n.journal.Append(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, v := range set.All() {
		if err := v.Wait(ctx, 1); err != nil {
			t.Fatal(err)
		}
		compareReceipt(t, previews[v.Name()], v.Received()[0])
	}
}

func compareReceipt(t *testing.T, p actors.Preview, got vendors.Receipt) {
	t.Helper()
	if p.Mail != nil {
		raw := string(got.Body)
		for _, part := range []string{"Subject: ", "<" + p.Mail.Header["Message-Id"][1:], "Old Mill"} {
			if !strings.Contains(raw, part) {
				t.Errorf("%s: the mail is without %q: %s", p.Integration, part, raw)
			}
		}
		if !strings.Contains(p.Mail.Text, "Old Mill") || !strings.Contains(p.Mail.HTML, "Old Mill") || !strings.Contains(p.Mail.Calendar, "METHOD:REQUEST") ||
			p.Mail.Header["To"] == "" || p.Mail.Header["References"] == "" || !strings.Contains(p.Mail.Server, "127.0.0.1:") {
			t.Errorf("the mail: %+v", p.Mail)
		}
		return
	}
	method := http.MethodPost
	if got.Vendor == "tripleseat" {
		method = http.MethodPut
	}
	if p.Request.Body != string(got.Body) || p.Request.Method != method {
		t.Errorf("%s: previewed %s\nreceived %s", p.Integration, p.Request.Body, got.Body)
	}
	for name, values := range p.Request.Header {
		switch v := values[0]; {
		case v == "[secret]":
			if got.Header.Get(name) == "" {
				t.Errorf("%s: %s did not come", p.Integration, name)
			}
		case name != "Webhook-Timestamp" && got.Header.Get(name) != v:
			t.Errorf("%s: %s is previewed %q and came as %q", p.Integration, name, v, got.Header.Get(name))
		}
	}
	for _, v := range p.Request.Header["Webhook-Signature"] {
		if v != "[secret]" {
			t.Errorf("%s: the signature is shown", p.Integration)
		}
	}
}

func TestPreviewMasksAddressesAndTokens(t *testing.T) {
	t.Parallel()
	n := start(t)
	for id, secrets := range map[string]map[string]event.Secret{
		"hook": {"webhook_url": event.SecretOf("https://hooks.slack.com/services/T1/B2/hush")}, "bot": {"bot_token": event.SecretOf("xoxb-hush-123")},
	} {
		in := event.Integration{ID: id, Vendor: "slack"}
		if id == "bot" {
			in.Settings = json.RawMessage(`{"channel":"C1"}`)
		}
		if _, err := n.registry.Put(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if err := n.registry.SetSecrets(t.Context(), id, secrets); err != nil {
			t.Fatal(err)
		}
		if _, err := n.registry.PutMapping(t.Context(), event.Mapping{ID: id, Pattern: "a:*", Targets: []event.Target{{Integration: id}}}); err != nil {
			t.Fatal(err)
		}
	}
	// The secrets stand in the payload too, in every form.
	ev := &event.Event{V: 1, ID: "e", Channel: "a:b", Type: "x.y", Payload: json.RawMessage(
		`{"a":"https://hooks.slack.com/services/T1/B2/hush","b":"see /services/T1/B2/hush","c":"xoxb-hush-123"}`)}
	for id, url := range map[string]string{"hook": "[secret]", "bot": "https://slack.com/api/chat.postMessage"} {
		p, err := n.Preview(ev, id)
		if err != nil || p.Request == nil {
			t.Fatalf("%+v, %v", p, err)
		}
		if p.Request.URL != url {
			t.Errorf("%s: %s", id, p.Request.URL)
		}
		if id == "bot" {
			if p.Request.Header["Authorization"][0] != "[secret]" || strings.Contains(p.Request.Body, "xoxb-hush") {
				t.Errorf("%+v", p.Request)
			}
		} else if strings.Contains(p.Request.Body, "T1/B2/hush") {
			t.Errorf("%+v", p.Request)
		}
	}
}

func TestPreviewSaysWhyNothingIsSent(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.remap(`payload.n > 1`, map[string]string{"venue": "payload.venue"})
	change := func(change func(*event.Integration)) {
		t.Helper()
		entry, _ := n.registry.Lookup("studio")
		in := entry.Copy()
		change(&in)
		if _, err := n.registry.Put(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	ev := func(payload string) *event.Event {
		return &event.Event{V: 1, ID: "e", Channel: "supplier:dashboard:studio:x", Type: "timeline.updated", Payload: json.RawMessage(payload), Source: "api"}
	}
	good := `{` + ceremony + `,"n":2}`
	for _, c := range []struct {
		what    string
		ev      *event.Event
		change  func(*event.Integration)
		sends   bool
		mapping string
		reason  string
		detail  string
	}{
		{"good", ev(good), func(*event.Integration) {}, true, "crm", "", ""},
		{"another channel", &event.Event{Channel: "a:b", Type: "x", Payload: json.RawMessage(`{}`)}, nil, false, "", actors.ReasonNoMapping, "no mapping"},
		{"condition", ev(`{"n":1}`), nil, false, "crm", actors.ReasonCondition, "is false"},
		{"expression", ev(`{"n":"x"}`), nil, false, "crm", event.ReasonExpression, "line 1, column 11"},
		{"payload", ev(`{"n":2}`), nil, false, "crm", event.ReasonEncode, "coupleId"},
		{"echo", &event.Event{Channel: "supplier:dashboard:studio:x", Type: "timeline.updated", Source: "webhook:studio", Payload: json.RawMessage(good)}, nil, false, "crm", event.ReasonEcho, "this very integration"},
		{"type", &event.Event{Channel: "supplier:dashboard:studio:x", Type: "cake.cut", Payload: json.RawMessage(good)}, nil, false, "crm", event.ReasonUnsupported, "takes no events"},
		{"paused", ev(good), func(in *event.Integration) {
			in.Paused = &event.Pause{Reason: "holiday", By: "admin:x", At: time.Now()}
		}, true, "crm", "integration_paused", "holiday"},
		{"disabled", ev(good), func(in *event.Integration) { in.Disabled = true }, false, "crm", event.ReasonDisabled, "disabled"},
	} {
		if c.change != nil {
			change(c.change)
		}
		p, err := n.Preview(c.ev, "studio")
		if err != nil || p.Sends != c.sends || p.Mapping != c.mapping || p.Reason != c.reason || !strings.Contains(p.Detail, c.detail) || (p.Request != nil) != c.sends {
			t.Errorf("%s: %+v, %v", c.what, p, err)
		}
	}
	change(func(in *event.Integration) { in.Disabled = false })
	bare := event.Integration{ID: "bare", Vendor: "studiocloud", Settings: json.RawMessage(`{"url":"https://example.com"}`)}
	if _, err := n.registry.Put(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	if p, err := n.Preview(ev(good), "bare"); err != nil || p.Reason != event.ReasonMisconfigured || !strings.Contains(p.Detail, "secrets.signing") {
		t.Errorf("without its secret: %+v, %v", p, err)
	}
	if _, err := n.Preview(ev(good), "nobody"); !errors.Is(err, actors.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	if len(s.receipts()) != 0 || len(mustLetters(t, n)) != 0 {
		t.Error("a preview called, or stored")
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.remap(`payload.n > 10`, nil)
	var events []*event.Event
	for i := range 300 {
		events = append(events, &event.Event{
			V: 1, ID: fmt.Sprintf("e%d", i), Seq: uint64(i + 1), Channel: "supplier:dashboard:studio:x", Type: "timeline.updated",
			Payload: json.RawMessage(fmt.Sprintf(`{%s,"n":%d,"notes":"plain"}`, ceremony, i)),
		})
	}
	m := event.Mapping{ID: "crm", Pattern: "supplier:dashboard:{supplierId}:**", Targets: []event.Target{{Category: event.PhotographyCRM}}}
	m.When = `payload.n > 5 and payload.n < 290`
	m.Fields = map[string]string{"notes": `payload.n % 2 == 0 ? payload.notes : payload.n == 21 ? repeat("x", 9000) : payload.n == 23 ? payload.n.x : "odd"`}
	c, err := n.Compare(t.Context(), m, events)
	if err != nil {
		t.Fatal(err)
	}
	// Before: 11 to 299. After: 6 to 289, odd ones with other notes, one of them dead.
	want := actors.Changes{Integration: "studio", More: 5, Fewer: 10, Other: 139, Dead: 1}
	if len(c.Integrations) != 1 || c.Integrations[0] != want || c.Events != 300 || c.FirstSeq != 1 || c.LastSeq != 300 || c.Unchanged != 139 {
		t.Errorf("%+v", c)
	}
	if len(c.Differences) != 100 || c.More != 55 {
		t.Errorf("%d differences, and %d more", len(c.Differences), c.More)
	}
	byEvent := map[string]actors.Difference{}
	for _, d := range c.Differences {
		byEvent[d.EventID] = d
	}
	if d := byEvent["e6"]; d.Change != "more" || d.Before.Outcome != "none" || d.After.Outcome != "sent" || d.After.Mapping != "crm" || d.Patch != nil {
		t.Errorf("%+v", d)
	}
	if d := byEvent["e13"]; d.Change != "other" || string(d.Patch) !=
		`[{"value":"plain","op":"test","path":"/special_requests"},{"value":"odd","op":"replace","path":"/special_requests"}]` {
		t.Errorf("%s %s", d.Change, d.Patch)
	}
	if d := byEvent["e21"]; d.Change != "other" || d.Patch != nil || d.PatchBytes < 9000 {
		t.Errorf("%+v", d)
	}
	if d := byEvent["e23"]; d.Change != "dead" || d.After.Reason != event.ReasonExpression || !strings.Contains(d.After.Detail, "fields.notes") {
		t.Errorf("%+v", d)
	}
	if len(s.receipts()) != 0 {
		t.Error("the comparison called")
	}

	m.When = "payload.n >"
	if _, err := n.Compare(t.Context(), m, events); err == nil {
		t.Error("a wrong mapping is compared")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.When = ""
	if _, err := n.Compare(ctx, m, events); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// Of types that the vendor does not take nothing changes that anybody would see.
	events = []*event.Event{{Channel: "supplier:dashboard:studio:x", Type: "cake.cut", Payload: json.RawMessage(`{"n":20}`)}}
	if c, err := n.Compare(t.Context(), m, events); err != nil || len(c.Integrations)+len(c.Differences)+c.Unchanged != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
