package actors_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func probing(c *actors.Config) { c.ProbeEvery = 10 * time.Millisecond }

func asItIs(*event.Integration, map[string]any) {}

func TestFailingProbeShowsAndHarmsNothing(t *testing.T) {
	t.Parallel()
	n := start(t, probing)
	sim := n.whatsapp(asItIs)
	n.health("wa", func(h event.Health) bool { return h.LastProbe != nil && h.LastProbe.OK && h.State == event.Healthy })

	mend := sim.Faults().Add(vendors.Fault{Code: "131016", Match: func(r *vendors.Receipt) bool { return len(r.Body) == 0 }})
	var last event.Health
	for range 10 { // twice what opens a breaker
		last = n.health("wa", func(h event.Health) bool {
			return h.LastProbe != nil && !h.LastProbe.OK && (last.LastProbe == nil || h.LastProbe.At.After(last.LastProbe.At))
		})
	}
	if last.State != event.Degraded || !strings.Contains(last.Reason, "131016") || last.LastProbe.Duration <= 0 {
		t.Errorf("after 10 failed probes: %+v, probe %+v; want degraded, with the code", last, last.LastProbe)
	}
	n.dateChange("e1") // goes out at once: nothing is held back by a probe
	if err := sim.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	mend()
	n.health("wa", func(h event.Health) bool { return h.State == event.Healthy && h.Reason == "" })
}

func TestProbingKeepsNoIdleActor(t *testing.T) {
	t.Parallel()
	n := start(t, probing, func(c *actors.Config) { c.PassivateAfter = 300 * time.Millisecond })
	sim := n.whatsapp(asItIs)
	n.dateChange("e1")
	if err := sim.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	n.health("wa", func(h event.Health) bool { return h.LastProbe != nil })
	waitFor(t, func() bool { return n.Healths(t.Context())[0].State == event.Idle })
}

func TestHealthIsProbedWhenFirstAskedFor(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *actors.Config) { c.ProbeEvery = time.Hour })
	n.whatsapp(asItIs)
	n.health("wa", func(h event.Health) bool { return h.LastProbe != nil && h.LastProbe.OK })
}

func TestProbeIsForgottenWithTheConfigurationItAsked(t *testing.T) {
	t.Parallel()
	n := start(t, probing)
	n.whatsapp(asItIs)
	right := n.health("wa", func(h event.Health) bool { return h.LastProbe != nil && h.LastProbe.OK })
	if err := n.registry.SetSecrets(t.Context(), "wa", map[string]event.Secret{"access_token": event.SecretOf("another")}); err != nil {
		t.Fatal(err)
	}
	h := n.health("wa", func(h event.Health) bool { return h.State == event.Degraded })
	if !strings.Contains(h.Reason, "190") || !h.LastProbe.At.After(right.LastProbe.At) {
		t.Errorf("with a token that is no good: %+v, probe %+v", h, h.LastProbe)
	}
}

func TestVendorThatHangsOnAProbeDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	n := start(t, probing)
	asked := make(chan struct{}, 1000)
	sim := n.whatsapp(asItIs)
	sim.Faults().Add(vendors.Fault{Hang: true, Match: func(*vendors.Receipt) bool { asked <- struct{}{}; return true }})
	n.health("wa", func(event.Health) bool { return len(asked) > 0 })
	n.placement.set("another") // hands over, which waits for calls in flight
	waitFor(t, func() bool { held, _ := n.Ready(); return held == 0 && n.InFlight() == 0 })
}

func TestVendorWithoutAProbeHasNone(t *testing.T) {
	t.Parallel()
	n, s := start(t, probing), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 1)
	s.wait(t, 1)
	h := n.health("studio", func(h event.Health) bool { return h.SuccessRate == 1 && h.InFlight == 0 })
	text, err := json.Marshal(h)
	if err != nil || strings.Contains(string(text), "lastProbe") || len(s.receipts()) != 1 {
		t.Errorf("%s after %d calls, %v; want one call, no probe", text, len(s.receipts()), err)
	}
}
