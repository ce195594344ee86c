package actors_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// waitingByDay is a node on which deliveries to WhatsApp wait since the day before, since the integration is
// paused: the last of them is critical. It is the end of the night, and the admin resumes.
func waitingByDay(t *testing.T, count int, change func(*event.Integration), option func(*actors.Config)) (*node, *wall, *vendors.WhatsApp) {
	t.Helper()
	n, clock, sim := ruled(t, "2027-06-12T21:30:00+02:00", event.Target{QuietHours: night, Critical: []string{"c"}}, change)
	n.restart(option)
	if err := n.registry.Pause(t.Context(), "wa", event.Pause{Reason: "test", By: "test", At: n.now()}); err != nil {
		t.Fatal(err)
	}
	n.health("wa", func(h event.Health) bool { return h.State == event.Paused })
	for i := range count - 1 {
		n.tell("a", i)
	}
	n.tell("c", count-1)
	n.health("wa", func(h event.Health) bool { return int(h.Parked) == count })
	clock.set(t, "2027-06-13T06:59:57+02:00")
	if err := n.registry.Resume(t.Context(), "wa"); err != nil {
		t.Fatal(err)
	}
	return n, clock, sim
}

// What waited by day for its vendor or an admin is not sent by night, but for what is critical. In the morning
// it goes, in order, before what came by night; neither limit nor numbers hold the night against it.
func TestNightHoldsWhatWaitedByDay(t *testing.T) {
	t.Parallel()
	const count = 20
	n, clock, sim := waitingByDay(t, count, func(in *event.Integration) { in.Limits.ParkLimit = event.Duration(time.Hour) },
		func(cfg *actors.Config) { cfg.Hold = 2 }) // what is quiet does not stand in the way of the rest
	if got, want := told(t, sim, 1), []string{fmt.Sprintf("%s C: c1\nRoom: %d", couple, count-1)}; !slices.Equal(got, want) {
		t.Errorf("in the night told %q, want %q", got, want)
	}
	n.tell("c", 100)
	n.tell("a", count)
	if got, want := told(t, sim, 2)[1], couple+" C: c1\nRoom: 100"; got != want {
		t.Errorf("in the night told %q, want %q", got, want)
	}
	n.restart()
	n.health("wa", func(h event.Health) bool { return h.Held == count && h.HeldUntil.Equal(clock.now().Add(3*time.Second)) })
	clock.set(t, "2027-06-13T07:00:00+02:00")
	var want []string
	for i := range count + 1 {
		if i != count-1 {
			want = append(want, fmt.Sprintf("%s A: c1\nRoom: %d", couple, i))
		}
	}
	if got := told(t, sim, count+2)[2:]; !slices.Equal(got, want) {
		t.Errorf("in the morning told %q, want %q", got, want)
	}
	for id, r := range n.results(count + 2) {
		if r.Result.Outcome != event.Delivered || r.EventType == "a" && !r.NotBefore.Equal(clock.now()) {
			t.Errorf("%s: not before %v, %+v", id, r.NotBefore, r.Result)
		}
	}
}

// The limit on how long a delivery waits counts the day.
func TestParkLimitCountsTheDay(t *testing.T) {
	t.Parallel()
	n, clock, sim := waitingByDay(t, 2, func(in *event.Integration) { in.Limits.ParkLimit = event.Duration(31 * time.Minute) }, func(*actors.Config) {})
	told(t, sim, 1)
	n.health("wa", func(h event.Health) bool { return h.Held == 1 && h.InFlight == 0 })
	clock.set(t, "2027-06-13T07:01:01+02:00")
	if err := n.ResetBreaker(t.Context(), "wa"); err != nil { // it is woken: its timer goes by another clock
		t.Fatal(err)
	}
	if l := n.letters(1)[0].Letter; l.Reason != event.ReasonExpired {
		t.Errorf("dead of %s", l.Reason)
	}
}

// A vendor that is back in the night is tried with what is critical only, and its breaker is not closed by
// what was not sent.
func TestNightHoldsWhatTheBreakerHeld(t *testing.T) {
	t.Parallel()
	n, clock, sim := ruled(t, "2027-06-12T21:59:59+02:00", event.Target{QuietHours: night, Critical: []string{"c"}})
	n.restart(func(cfg *actors.Config) { cfg.Breaker.Threshold = 1 })
	sim.Faults().Add(vendors.Fault{Status: 503})
	for i := range 3 {
		n.tell("a", i)
	}
	n.health("wa", func(h event.Health) bool { return h.State == event.Open && h.Waiting+int(h.Parked) >= 3 })
	sim.Faults().Clear()
	before := len(sim.Received())
	clock.set(t, "2027-06-13T06:59:58+02:00")
	n.tell("c", 3)
	if got := told(t, sim, 1)[before:]; !slices.Equal(got, []string{couple + " C: c1\nRoom: 3"}) {
		t.Errorf("in the night told %q", got)
	}
	n.health("wa", func(h event.Health) bool { return h.State != event.Open && h.Held == 3 })
	clock.set(t, "2027-06-13T07:00:00+02:00")
	if got := told(t, sim, 4)[before+1:]; !slices.Equal(got, []string{couple + " A: c1\nRoom: 0", couple + " A: c1\nRoom: 1", couple + " A: c1\nRoom: 2"}) {
		t.Errorf("in the morning told %q", got)
	}
}
