package actors_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// What waits while an admin paused the integration counts from the end of that, also when the node was restarted
// in between; what waits too long then does not count at all. A pause by the system is no excuse.
func TestPauseInTheRecords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by      string
		expires bool
		want    event.Exclusion
		counts  bool // from the end of the pause
	}{
		"by an admin":               {"admin:x", false, "", true},
		"by an admin, for too long": {"admin:x", true, event.ExcludedPaused, true},
		"by the system":             {event.PausedBySystem, false, "", false},
		"by the system for long":    {event.PausedBySystem, true, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, s := start(t), newSink(t)
			n.connect("studio", s, func(in *event.Integration) {
				if c.expires {
					in.Limits.ParkLimit = event.Duration(500 * time.Millisecond)
				}
			})
			if c.expires { // the vendor is down, then
				s.answers(func(receipt) int { return http.StatusServiceUnavailable })
			}
			if err := n.registry.Pause(t.Context(), "studio", event.Pause{Reason: "x", By: c.by}); err != nil {
				t.Fatal(err)
			}
			n.publish("studio", "a", 0, 1)
			n.health("studio", func(h event.Health) bool { return h.Waiting+int(h.Parked) == 1 })
			before := time.Now()
			if err := n.registry.Resume(t.Context(), "studio"); err != nil {
				t.Fatal(err)
			}
			n.restart()
			for _, r := range n.results(1) {
				if got := r.Excluded(); got != c.want || c.expires != (r.Result.Reason == event.ReasonExpired) {
					t.Errorf("excluded as %q, want %q; it ended %+v", got, c.want, r.Result)
				}
				if counts := r.CountsFrom().After(r.AcceptedAt); counts != c.counts || counts && r.CountsFrom().Before(before) {
					t.Errorf("accepted %v, it counts from %v; paused until after %v", r.AcceptedAt, r.CountsFrom(), before)
				}
			}
		})
	}
}

// A replay tells when the delivery first died, however often it is replayed; also one that could not be encoded.
func TestReplaysTellOfTheFirstEnd(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	s.answers(func(r receipt) int {
		if r.n <= 2 {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	n.publish("studio", "a", 0, 1)
	for range 2 {
		if _, err := n.Replay(t.Context(), n.letters(1)[0].Seq); err != nil {
			t.Fatal(err)
		}
		n.results(2)
	}
	results := n.results(3)
	var died time.Time
	for replay := range 3 {
		r := results[event.ResultID(event.DeliveryID("supplier:dashboard:studio:a", "studio-a-0", "studio"), replay)]
		if r.Result == nil {
			t.Fatalf("replay %d did not end", replay)
		}
		if replay == 0 {
			died = r.Result.FinishedAt
			if !r.Died.IsZero() {
				t.Errorf("the first end tells of one at %v before it", r.Died)
			}
		} else if !r.Died.Equal(died) || r.Excluded() != event.ExcludedReplay {
			t.Errorf("replay %d tells of a first end at %v, want %v; excluded as %q", replay, r.Died, died, r.Excluded())
		}
	}
	if results[event.ResultID(event.DeliveryID("supplier:dashboard:studio:a", "studio-a-0", "studio"), 2)].Result.Outcome != event.Delivered {
		t.Error("the second replay did not arrive")
	}
}

// What an integration's state becomes is recorded, with what it was before.
func TestChangesOfStateAreRecorded(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 1)
	s.wait(t, 1)
	n.health("studio", func(h event.Health) bool { return h.State == event.Healthy })
	if err := n.registry.Pause(t.Context(), "studio", event.Pause{Reason: "the studio moves", By: "admin:x"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var states []event.State
	for after := uint64(0); !slices.Contains(states, event.Paused); {
		entries, err := n.journal.Records(ctx, after, 100, time.Second)
		if err != nil {
			t.Fatalf("%v, after %q", err, states)
		}
		for _, e := range entries {
			after = e.Seq
			h := e.Record.Health
			if h == nil {
				continue
			}
			before := event.Healthy // as its actor begins
			if len(states) > 0 {
				before = states[len(states)-1]
			}
			if h.Integration != "studio" || h.Vendor != "studiocloud" || h.Before != before || h.At.IsZero() || e.Record.Node == "" ||
				(h.State == event.Paused) != (h.Reason == "the studio moves") {
				t.Errorf("after %q recorded as %+v", states, h)
			}
			states = append(states, h.State)
		}
	}
}
