package actors_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

const dateChanged = `{"coupleId":"c1","coupleName":"Amélie & Jonas","venue":"Orangerie","ceremonyTime":"2027-09-05T15:30:00+02:00"}`

// whatsapp connects the WhatsApp simulator for every event on couple:**.
func (n *node) whatsapp(change func(*event.Integration, map[string]any)) *vendors.WhatsApp {
	n.t.Helper()
	sim, err := vendors.StartWhatsApp(n.t.Context(), vendors.Config{})
	if err != nil {
		n.t.Fatal(err)
	}
	n.simulated("wa", sim, change)
	return sim
}

// simulated connects a simulator, as changed, for every event on couple:**.
func (n *node) simulated(id string, sim vendors.Vendor, change func(*event.Integration, map[string]any)) {
	n.t.Helper()
	n.t.Cleanup(func() { _ = sim.Close() })
	in, secrets := sim.Integration(id)
	settings := map[string]any{}
	if err := json.Unmarshal(in.Settings, &settings); err != nil {
		n.t.Fatal(err)
	}
	change(&in, settings)
	var err error
	if in.Settings, err = json.Marshal(settings); err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.registry.Put(n.t.Context(), in); err != nil {
		n.t.Fatal(err)
	}
	values := map[string]event.Secret{}
	for name := range secrets {
		values[name] = secrets.Current(name)
	}
	if err := n.registry.SetSecrets(n.t.Context(), id, values); err != nil {
		n.t.Fatal(err)
	}
	_, err = n.registry.PutMapping(n.t.Context(), event.Mapping{ID: id, Pattern: "couple:**", Targets: []event.Target{{Integration: id}}})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) dateChange(id string) {
	n.t.Helper()
	now := time.Now().UTC()
	_, err := n.journal.Append(n.t.Context(), &event.Event{
		V: 1, ID: id, Channel: "couple:updates:" + id, Type: "wedding.date_changed", Payload: json.RawMessage(dateChanged), OccurredAt: now, AcceptedAt: now,
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func TestTemplateGoesInsteadOfTextOnceTheWindowIsClosed(t *testing.T) {
	t.Parallel()
	n := start(t)
	sim := n.whatsapp(func(_ *event.Integration, s map[string]any) { s["mode"] = "text" })
	sim.Faults().Add(vendors.Fault{Code: "131047", Times: 1})
	n.dateChange("e1")
	if err := sim.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, r := range sim.Received() {
		var m struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(r.Body, &m); err != nil {
			t.Fatal(err)
		}
		types = append(types, m.Type)
	}
	if len(types) != 2 || types[0] != "text" || types[1] != "template" {
		t.Errorf("sent %v, want a text and then a template", types)
	}
	for _, r := range n.results(1) {
		if r.Result.Outcome != event.Delivered || r.Result.Attempts != 2 {
			t.Errorf("%+v", r.Result)
		}
	}
}

func TestInsteadIsTriedOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	sim := n.whatsapp(func(_ *event.Integration, s map[string]any) { s["mode"] = "text" })
	sim.Faults().Add(vendors.Fault{Code: "131047"})
	n.dateChange("e1")
	if l := n.letters(1)[0].Letter; len(l.Attempts) != 2 {
		t.Errorf("dead after %d attempts: %s", len(l.Attempts), l.Reason)
	}
}

func TestRecipientIsLeftAloneAsLongAsTheVendorAsks(t *testing.T) {
	t.Parallel()
	const every = 300 * time.Millisecond
	n := start(t)
	sim := n.whatsapp(func(in *event.Integration, _ map[string]any) { in.Limits.PerRecipient = event.Duration(every) })
	for _, id := range []string{"e1", "e2", "e3"} { // in lanes of their own
		n.dateChange(id)
	}
	if err := sim.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	got := sim.Received()
	for i := 1; i < len(got); i++ {
		if gap := got[i].At.Sub(got[i-1].At); gap < every-50*time.Millisecond {
			t.Errorf("%v between two messages to one recipient, want %v", gap, every)
		}
	}
}

func TestBurstToOneRecipientGoesAtOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	sim := n.whatsapp(func(in *event.Integration, _ map[string]any) {
		in.Limits.PerRecipient, in.Limits.RecipientBurst = event.Duration(time.Hour), 3
	})
	for _, id := range []string{"e1", "e2", "e3", "e4"} {
		n.dateChange(id)
	}
	if err := sim.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	h := n.health("wa", func(h event.Health) bool { return h.InFlight == 0 && h.Waiting == 1 })
	if got := len(sim.Received()); got != 3 {
		t.Errorf("%d messages went out, %d wait; want 3 and 1", got, h.Waiting)
	}
}

func TestRateOfAnIntegrationHolds(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s, func(in *event.Integration) { in.Limits.PerSecond, in.Limits.Burst = 10, 1 })
	begun := time.Now()
	for _, lane := range []string{"a", "b", "c", "d"} {
		n.publish("studio", lane, 0, 1)
	}
	s.wait(t, 4)
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("4 calls at 10/s took %v", took)
	}
}

// TestVendorThatWantsATokenFirst: deliveries and probes share one token, and get another one when it is
// revoked. Without one the integration waits for an admin.
func TestVendorThatWantsATokenFirst(t *testing.T) {
	t.Parallel()
	n := start(t, probing)
	sim, err := vendors.StartTripleseat(t.Context(), vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n.simulated("ts", sim, asItIs)
	n.health("ts", func(h event.Health) bool { return h.LastProbe != nil && h.LastProbe.OK })
	n.dateChange("e1")
	if err := sim.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := sim.Grants(); got != 1 {
		t.Errorf("%d tokens were given out, want 1", got)
	}
	sim.Revoke()
	n.dateChange("e2")
	if err := sim.Wait(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if got := sim.Grants(); got != 2 {
		t.Errorf("%d tokens were given out, want 2", got)
	}
	if err := n.registry.SetSecrets(t.Context(), "ts", map[string]event.Secret{"client_secret": event.SecretOf("another")}); err != nil {
		t.Fatal(err)
	}
	n.dateChange("e3")
	h := n.health("ts", func(h event.Health) bool { return h.State == event.Paused })
	if !strings.Contains(h.Reason, "invalid_client") || h.Waiting != 1 {
		t.Errorf("with a secret that is no good: %+v", h)
	}
}

func TestDeletedIntegrationsDeliveriesAreSkipped(t *testing.T) {
	t.Parallel()
	n, s := start(t, func(c *actors.Config) { c.Hold = 2 }), newSink(t)
	n.connect("studio", s)
	s.answers(func(receipt) int { return 503 })
	n.publish("studio", "a", 0, 10)
	n.health("studio", func(h event.Health) bool { return h.State == event.Open && h.Parked > 0 })
	if err := n.registry.Delete(t.Context(), "studio"); err != nil {
		t.Fatal(err)
	}
	for id, r := range n.results(10) {
		if r.Result.Outcome != event.Skipped || r.Result.Reason != event.ReasonDeleted {
			t.Errorf("%s: %+v", id, r.Result)
		}
	}
}

func TestMisconfiguredIntegrationsEventsAreKept(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	in := event.Integration{ID: "studio", Vendor: "studiocloud", Owner: map[string]string{"supplierId": "studio"}, Settings: json.RawMessage(`{"url":"` + s.URL + `"}`)}
	if _, err := n.registry.Put(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	_, err := n.registry.PutMapping(t.Context(), event.Mapping{ID: "crm", Pattern: "supplier:dashboard:**", Targets: []event.Target{{Integration: "studio"}}})
	if err != nil {
		t.Fatal(err)
	}
	n.publish("studio", "a", 0, 1)
	letter := n.letters(1)[0]
	if letter.Letter.Reason != event.ReasonMisconfigured {
		t.Errorf("reason %s", letter.Letter.Reason)
	}
	if err := n.registry.SetSecrets(t.Context(), "studio", map[string]event.Secret{"signing": event.SecretOf(whsec), "webhook": event.SecretOf(whsec)}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Replay(t.Context(), letter.Seq); err != nil {
		t.Fatal(err)
	}
	s.wait(t, 1)
}

func TestIntegrationIsNotToldWhatItSaid(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	now := time.Now().UTC()
	_, err := n.journal.Append(t.Context(), &event.Event{
		V: 1, ID: "e1", Channel: "supplier:dashboard:studio:x", Type: "timeline.updated", Payload: json.RawMessage(dateChanged),
		OccurredAt: now, AcceptedAt: now, Source: "webhook:studio",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range n.results(1) {
		if r.Result.Outcome != event.Skipped || r.Result.Reason != event.ReasonEcho {
			t.Errorf("%+v", r.Result)
		}
	}
}

func TestBlockedAddressPausesTheIntegration(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s, func(in *event.Integration) { in.Settings = json.RawMessage(`{"url":"https://169.254.169.254/latest"}`) })
	n.publish("studio", "a", 0, 1)
	h := n.health("studio", func(h event.Health) bool { return h.State == event.Paused })
	if !strings.Contains(h.Reason, event.ReasonBlocked) {
		t.Errorf("paused because: %s", h.Reason)
	}
	if h.Waiting != 1 {
		t.Errorf("%d deliveries wait, want 1", h.Waiting)
	}
}

func TestReplayNeedsItsIntegration(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	s.answers(func(receipt) int { return 422 })
	n.publish("studio", "a", 0, 1)
	seq := n.letters(1)[0].Seq
	if err := n.registry.Delete(t.Context(), "studio"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Replay(t.Context(), seq); !errors.Is(err, actors.ErrUnknown) {
		t.Errorf("replay without an integration: %v", err)
	}
}

func TestHealthsListEveryIntegration(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("active", s)
	n.connect("idle", s)
	n.connect("off", s, func(in *event.Integration) { in.Disabled = true })
	n.connect("resting", s, func(in *event.Integration) { in.Paused = &event.Pause{Reason: "holiday", At: time.Now()} })
	n.publish("active", "a", 0, 1)
	n.results(1)
	states := map[string]event.State{}
	for _, h := range n.Healths(t.Context()) {
		states[h.Integration] = h.State
	}
	want := map[string]event.State{"active": event.Healthy, "idle": event.Idle, "off": event.DisabledState, "resting": event.Paused}
	for id, state := range want {
		if states[id] != state {
			t.Errorf("%s is %s, want %s", id, states[id], state)
		}
	}
}
