package adapter_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// webhooks holds the receiving side against what the simulator sends.
func (c *conformance) webhooks(t *testing.T, a adapter.Adapter, in event.Integration, secrets event.Secrets, step func(string, string, func(*testing.T))) {
	t.Helper()
	conn, err := a.Connect(in, secrets)
	if err != nil {
		t.Fatal(err)
	}
	sim, ok := c.sim.(vendors.Sender)
	if !ok {
		t.Fatalf("%s receives webhooks, but its simulator sends none", c.vendor)
	}
	box := newInbox(t, conn)
	seen := map[string]bool{}
	for _, w := range sim.Webhooks() {
		step("webhook "+w.Type, "decoded", func(t *testing.T) { t.Helper(); c.webhook(t, a, box, sim, w, seen) })
	}
	step("all types received", "yes", func(t *testing.T) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(seen)); !receives(a.Describe(), adapter.AnyType) && !slices.Equal(got, slices.Sorted(slices.Values(a.Describe().Receives))) {
			t.Errorf("the simulator's webhooks give %v, the adapter receives %v", got, a.Describe().Receives)
		}
	})
	step("webhook twice", "same id", func(t *testing.T) { t.Helper(); c.twice(t, box, sim) })
	step("webhook with a wrong signature", "refused", func(t *testing.T) {
		t.Helper()
		sim.Faults().SpoilWebhooks(vendors.WebhookFault{WrongSignature: true})
		defer sim.Faults().Clear()
		c.refused(t, box, sim, adapter.CodeSignatureInvalid)
	})
	if c.vendor != "whatsapp" { // which signs no time
		step("old webhook", "refused", func(t *testing.T) {
			t.Helper()
			sim.Faults().SpoilWebhooks(vendors.WebhookFault{Age: event.Duration(6 * time.Minute)})
			defer sim.Faults().Clear()
			c.refused(t, box, sim, adapter.CodeTimestampOld)
		})
	}
	step("tampered webhook", "refused", func(t *testing.T) { t.Helper(); c.tampered(t, box, sim, conn) })
	step("webhook without a secret", "refused", func(t *testing.T) {
		t.Helper()
		outgoing := event.Secrets{c.way.outgoing: secrets[c.way.outgoing]}
		bare, err := a.Connect(in, outgoing)
		if err != nil {
			t.Fatal(err)
		}
		c.refused(t, newInbox(t, bare), sim, adapter.CodeSignatureInvalid)
	})
	step("webhook during a rotation", "decoded", func(t *testing.T) {
		t.Helper()
		rotated := maps.Clone(secrets)
		for name, values := range rotated {
			rotated[name] = []event.Secret{event.SecretOf(flip(values[0].Reveal())), values[0]}
		}
		conn, err := a.Connect(in, rotated)
		if err != nil {
			t.Fatal(err)
		}
		box := newInbox(t, conn)
		if _, err := sim.Send(t.Context(), box.URL, sim.Webhooks()[0]); err != nil {
			t.Fatal(err)
		}
		if got := box.take(); len(got) != 1 || got[0].err != nil {
			t.Errorf("the old secret no longer verifies: %+v", got)
		}
	})
	switch sim := c.sim.(type) {
	case *vendors.Slack:
		step("handshake", "answered", func(t *testing.T) {
			t.Helper()
			if err := sim.Handshake(t.Context(), box.URL); err != nil {
				t.Error(err)
			}
			box.take()
		})
	case *vendors.WhatsApp:
		step("handshake", "answered", func(t *testing.T) {
			t.Helper()
			if err := sim.Handshake(t.Context(), box.URL); err != nil {
				t.Error(err)
			}
			_, err := conn.(adapter.Handshaker).Handshake(url.Values{
				"hub.mode": {"subscribe"}, "hub.challenge": {"1"}, "hub.verify_token": {"guess"},
			})
			var verify *adapter.VerifyError
			if !errors.As(err, &verify) {
				t.Errorf("a wrong verify token gives %v", err)
			}
		})
	}
}

func (c *conformance) webhook(t *testing.T, a adapter.Adapter, box *inbox, sim vendors.Sender, w vendors.Webhook, seen map[string]bool) {
	t.Helper()
	sent, err := sim.Send(t.Context(), box.URL, w)
	if err != nil {
		t.Fatal(err)
	}
	if status := sent[0].Status; status != http.StatusAccepted && status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	got := box.take()
	if len(got) != 1 || len(got[0].received.Messages) != 1 {
		t.Fatalf("got %+v, want one message", got)
	}
	m := got[0].received.Messages[0]
	seen[m.Type] = true
	if !receives(a.Describe(), m.Type) {
		t.Errorf("type %q is not among those described, %v", m.Type, a.Describe().Receives)
	}
	if err := event.CheckType(m.Type); err != nil {
		t.Error(err)
	}
	var payload map[string]any
	if err := json.Unmarshal(m.Payload, &payload); err != nil || len(payload) == 0 {
		t.Errorf("payload %s: %v", m.Payload, err)
	}
	if m.ID == "" && got[0].id == "" {
		t.Error("neither the webhook nor the message has an id, so a replay cannot be told")
	}
	if off := time.Since(m.OccurredAt); !m.OccurredAt.IsZero() && (off < -time.Hour || off > 10*365*24*time.Hour) {
		t.Errorf("occurred at %s", m.OccurredAt)
	}
	if box.conn.(adapter.Receiver).ReplayWindow() <= 0 {
		t.Error("the replay window is not positive")
	}
}

func (c *conformance) twice(t *testing.T, box *inbox, sim vendors.Sender) {
	t.Helper()
	sim.Faults().SpoilWebhooks(vendors.WebhookFault{Duplicate: true})
	defer sim.Faults().Clear()
	if _, err := sim.Send(t.Context(), box.URL, sim.Webhooks()[0]); err != nil {
		t.Fatal(err)
	}
	got := box.take()
	if len(got) != 2 || got[0].err != nil || got[1].err != nil {
		t.Fatalf("got %+v, want two that verify", got)
	}
	if a, b := got[0], got[1]; a.id != b.id || a.received.Messages[0].ID != b.received.Messages[0].ID {
		t.Errorf("ids %q and %q, %q and %q: a replay cannot be told", a.id, b.id, a.received.Messages[0].ID, b.received.Messages[0].ID)
	}
}

func (c *conformance) refused(t *testing.T, box *inbox, sim vendors.Sender, code string) {
	t.Helper()
	sent, err := sim.Send(t.Context(), box.URL, sim.Webhooks()[0])
	if err != nil {
		t.Fatal(err)
	}
	got := box.take()
	var verify *adapter.VerifyError
	if len(got) != 1 || !errors.As(got[0].err, &verify) || verify.Code != code || verify.Error() == "" {
		t.Fatalf("got %+v, want a VerifyError of code %s", got, code)
	}
	if sent[0].Status != http.StatusUnauthorized {
		t.Errorf("answered %d", sent[0].Status)
	}
}

func (c *conformance) tampered(t *testing.T, box *inbox, sim vendors.Sender, conn adapter.Connection) {
	t.Helper()
	if _, err := sim.Send(t.Context(), box.URL, sim.Webhooks()[0]); err != nil {
		t.Fatal(err)
	}
	got := box.take()[0].in
	r := conn.(adapter.Receiver)
	check := func(what, code string, in *adapter.Inbound) {
		t.Helper()
		var verify *adapter.VerifyError
		if _, err := r.Verify(in, time.Now()); !errors.As(err, &verify) || verify.Code != code {
			t.Errorf("%s: %v, want code %s", what, err, code)
		}
	}
	body := slices.Clone(got.Body)
	body[len(body)/2] ^= 1
	check("another body", adapter.CodeSignatureInvalid, &adapter.Inbound{Header: got.Header, Body: body})
	check("no headers", adapter.CodeSignatureMissing, &adapter.Inbound{Header: http.Header{}, Body: got.Body})
	for name := range got.Header {
		switch name {
		case "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "X-Slack-Signature", "X-Slack-Request-Timestamp", "X-Hub-Signature-256", "X-Signature":
			without := got.Header.Clone()
			without.Del(name)
			check("no "+name, adapter.CodeSignatureMissing, &adapter.Inbound{Header: without, Body: got.Body})
		}
		switch name {
		case "Webhook-Signature", "X-Slack-Signature", "X-Hub-Signature-256", "X-Signature":
			for _, bad := range []string{"v1,", "v1", "v0=", "sha256=", "v1,!!!", "v0=zz", "sha256=zz", "v2,x", " ", "v1,AAAA v1,BBBB"} {
				h := got.Header.Clone()
				h.Set(name, bad)
				check("signature "+bad, adapter.CodeSignatureInvalid, &adapter.Inbound{Header: h, Body: got.Body})
			}
		case "Webhook-Timestamp", "X-Slack-Request-Timestamp":
			for stamp, code := range map[string]string{
				"soon": adapter.CodeTimestampInvalid, "1.5": adapter.CodeTimestampInvalid, "": adapter.CodeSignatureMissing,
				"0": adapter.CodeTimestampOld, "9223372036854775807": adapter.CodeTimestampOld, "-9223372036854775808": adapter.CodeTimestampOld,
				strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10): adapter.CodeTimestampOld,
			} {
				h := got.Header.Clone()
				h.Set(name, stamp)
				check("timestamp "+stamp, code, &adapter.Inbound{Header: h, Body: got.Body})
			}
		}
	}
}
