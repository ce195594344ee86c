package actors_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Whatever becomes of the rules while something is held, what comes later does not overtake it.
func TestChangedRulesKeepTheOrder(t *testing.T) {
	t.Parallel()
	const one = couple + " A: c1\nRoom: "
	apart := []string{one + "0", one + "1", one + "2"}
	together := []string{couple + " 2 updates: c1\nA: Room: 0\nA: Room: 1", one + "2"}
	for _, c := range []struct {
		name     string
		from, to event.Target
		at, then string
		restart  bool
		want     []string
	}{
		{name: "quiet hours are gone", from: event.Target{QuietHours: night}, at: "2027-06-13T06:59:58+02:00", then: "2027-06-13T07:00:00+02:00", want: apart},
		{name: "quiet hours are gone after a restart", from: event.Target{QuietHours: night}, at: "2027-06-13T06:59:58+02:00", then: "2027-06-13T07:00:00+02:00", restart: true, want: apart},
		{name: "a digest is gone", from: event.Target{Digest: every(2 * time.Second)}, at: "2027-06-13T12:00:00+02:00", then: "2027-06-13T12:00:03+02:00", want: together},
		{name: "a digest instead of quiet hours", from: event.Target{QuietHours: night}, to: event.Target{Digest: every(time.Second)}, at: "2027-06-13T06:59:58+02:00", then: "2027-06-13T07:00:01+02:00", want: apart},
		{name: "quiet hours instead of a digest", from: event.Target{Digest: every(4 * time.Second)}, to: event.Target{QuietHours: night}, at: "2027-06-13T06:59:58+02:00", then: "2027-06-13T07:00:03+02:00", want: together},
		{name: "a shorter digest", from: event.Target{Digest: every(4 * time.Second)}, to: event.Target{Digest: every(time.Second)}, at: "2027-06-13T12:00:00+02:00", then: "2027-06-13T12:00:05+02:00", want: []string{couple + " 3 updates: c1\nA: Room: 0\nA: Room: 1\nA: Room: 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, clock, sim := ruled(t, c.at, c.from)
			n.tell("a", 0)
			n.tell("a", 1)
			n.stored(t, 2)
			if c.restart {
				n.restart()
			}
			c.to.Recipients = []string{couple}
			n.rules("wa", c.to)
			n.tell("a", 2)
			n.stored(t, 3)
			clock.set(t, c.then)
			if got := told(t, sim, len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("told %q, want %q", got, c.want)
			}
		})
	}
}

// What a program delivers by itself waits for what is held, too.
func TestDeliverWaitsForWhatIsHeld(t *testing.T) {
	t.Parallel()
	n, clock, sim := ruled(t, "2027-06-13T06:59:58+02:00", event.Target{QuietHours: night})
	n.rules("wa", event.Target{QuietHours: night})
	metrics := prometheus.NewRegistry()
	n.restart(func(cfg *actors.Config) { cfg.Metrics = metrics })
	n.tell("a", 0)
	n.stored(t, 1)
	dawn := clock.now().Add(2 * time.Second)
	n.health("wa", func(h event.Health) bool { return h.Held == 1 && h.HeldUntil.Equal(dawn) && h.Waiting == 0 })
	if h := n.Healths(t.Context())[0]; h.Held != 1 || !h.HeldUntil.Equal(dawn) {
		t.Errorf("held are %d until %v", h.Held, h.HeldUntil)
	}
	for name, want := range map[string]float64{"wedsync_deliveries_held": 1, "wedsync_deliveries_held_until_seconds": float64(dawn.Unix())} {
		if got := gauge(t, metrics, name, "whatsapp"); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	ev := &event.Event{V: 1, ID: "d", Channel: "couple:updates:c", Type: "d", Source: "api", Payload: json.RawMessage(`{"coupleId":"c1","room":"1"}`), OccurredAt: n.now(), AcceptedAt: n.now()}
	n.rules("wa", event.Target{Types: []string{"none"}})
	a, err := n.journal.Append(t.Context(), ev)
	if err != nil {
		t.Fatal(err)
	}
	ev.Seq = a.Seq
	if d, err := n.Deliver(t.Context(), "wa", ev); err != nil || d.NotBefore.IsZero() {
		t.Fatalf("%+v, %v", d, err)
	}
	clock.set(t, "2027-06-13T07:00:00+02:00")
	got := told(t, sim, 2)
	for i := range got {
		got[i] = got[i][len(got[i])-1:]
	}
	if !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("told %q", got)
	}
}

// gauge returns a gauge's value for a vendor; 0 where there is none.
func gauge(t *testing.T, metrics *prometheus.Registry, name, vendor string) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == vendor {
				return m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// More events than one digest tells are told by several, with one result each.
func TestLongDigestIsToldBySeveral(t *testing.T) {
	t.Parallel()
	const count = journal.MaxJoined + 2
	n, clock, sim := ruled(t, "2027-06-13T12:00:00+02:00", event.Target{Digest: every(time.Second)})
	for i := range count {
		n.tell("a", i)
	}
	n.stored(t, count)
	clock.set(t, "2027-06-13T12:00:01+02:00")
	var heads []string
	for _, one := range told(t, sim, 2) {
		heads = append(heads, one[:len(couple+" 256 updates")])
	}
	if want := []string{fmt.Sprintf("%s %d updates", couple, journal.MaxJoined), couple + " 2 updates: "}; !slices.Equal(heads, want) {
		t.Errorf("told %q, want %q", heads, want)
	}
	ends := map[event.Outcome]int{}
	for _, r := range n.results(count) {
		ends[r.Result.Outcome]++
	}
	if ends[event.Delivered] != 2 || ends[event.Skipped] != journal.MaxJoined {
		t.Errorf("ended as %v", ends)
	}
}
