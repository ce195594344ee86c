package actors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

func TestEventsArriveInOrderAndAreRecordedOnce(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 50)
	n.publish("studio", "b", 0, 50)
	got := s.wait(t, 100)
	if len(got) != 100 {
		t.Errorf("%d calls for 100 deliveries", len(got))
	}
	inOrder(t, got)
	for id, r := range n.results(100) {
		if r.Result.Outcome != event.Delivered || r.Result.Attempts != 1 || len(r.Attempts) != 1 {
			t.Errorf("%s: %+v", id, r.Result)
		}
	}
	n.health("studio", func(h event.Health) bool {
		return h.State == event.Healthy && h.Waiting == 0 && h.InFlight == 0 && h.Parked == 0 && h.SuccessRate == 1
	})
}

func TestPlacementMovesShardsAway(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 1)
	s.wait(t, 1)
	n.placement.set("n2")
	waitFor(t, func() bool { held, wanted := n.Ready(); return held == 0 && wanted == 0 })
	if _, err := n.Health(t.Context(), "studio"); !errors.Is(err, actors.ErrNotOwned) {
		t.Errorf("health of an integration elsewhere: %v", err)
	}
	n.publish("studio", "a", 1, 3)
	n.placement.set("n1")
	inOrder(t, s.wait(t, 4))
	waitFor(t, func() bool { held, wanted := n.Ready(); return held == wanted })
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("it never came to be")
		}
	}
}

func TestIdleActorsAreStoppedAndComeBack(t *testing.T) {
	t.Parallel()
	n, s := start(t, func(c *actors.Config) { c.PassivateAfter = 100 * time.Millisecond }), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 1)
	s.wait(t, 1)
	waitFor(t, func() bool { return n.Healths(t.Context())[0].State == event.Idle })
	n.publish("studio", "a", 1, 1)
	inOrder(t, s.wait(t, 2))
}

// Who looks a while after the last delivery failed still sees that it did.
func TestWhoFailedIsNotIdleAtOnce(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	n := start(t, func(c *actors.Config) {
		c.PassivateAfter, c.Now = 100*time.Millisecond, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	fails, works := newSink(t), newSink(t)
	n.connect("fails", fails)
	n.connect("works", works)
	fails.answers(func(receipt) int { return http.StatusBadRequest })
	n.publish("fails", "a", 0, 20)
	n.results(20)
	state := func(id string) event.State {
		for _, h := range n.Healths(t.Context()) {
			if h.Integration == id {
				return h.State
			}
		}
		return event.Unknown
	}
	for i := range 3 { // as often as one that works is stopped
		n.publish("works", "a", i, 1)
		works.wait(t, i+1)
		waitFor(t, func() bool { return state("works") == event.Idle })
	}
	if got := state("fails"); got != event.Degraded {
		t.Errorf("it is %s", got)
	}
	ahead.Store(int64(10 * time.Minute))
	waitFor(t, func() bool { return state("fails") == event.Idle })
}

func TestStopFinishesCallsInFlight(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	called, release := make(chan struct{}), make(chan struct{})
	s.answers(func(receipt) int { close(called); <-release; return http.StatusOK })
	n.publish("studio", "a", 0, 1)
	<-called
	stopped := make(chan error)
	go func() { stopped <- n.Stop(t.Context()) }()
	close(release)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	for _, r := range n.results(1) {
		if r.Result.Outcome != event.Delivered {
			t.Errorf("%+v", r.Result)
		}
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
}

func TestHangingVendorLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	n, slow, quick := start(t, func(c *actors.Config) { c.MaxInFlight = 10 }), newSink(t), newSink(t)
	n.connect("slow", slow)
	n.connect("quick", quick)
	release := make(chan struct{})
	slow.answers(func(receipt) int { <-release; return http.StatusOK })
	for i := range 50 {
		n.publish("slow", fmt.Sprint("l", i), 0, 1)
	}
	n.health("slow", func(h event.Health) bool { return h.InFlight == 5 }) // half of the slots, never more
	n.publish("quick", "a", 0, 20)
	inOrder(t, quick.wait(t, 20))
	close(release)
	slow.wait(t, 50)
}

func TestHealthChangesArePublished(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	states := make(chan event.State, 100)
	stop, err := n.journal.Live("integration:health:*", func(e journal.Entry) {
		var ev event.Event
		var h event.Health
		if json.Unmarshal(e.Data, &ev) == nil && json.Unmarshal(ev.Payload, &h) == nil {
			states <- h.State
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s.answers(always(http.StatusServiceUnavailable))
	n.publish("studio", "a", 0, 1)
	if got := <-states; got != event.Open {
		t.Errorf("first change: %s", got)
	}
	s.answers(func(receipt) int { return http.StatusOK })
	if err := n.ResetBreaker(t.Context(), "studio"); err != nil {
		t.Fatal(err)
	}
	if got := <-states; got == event.Open {
		t.Errorf("second change: %s", got)
	}
	s.wait(t, 1)
}

func TestUnknownIntegration(t *testing.T) {
	t.Parallel()
	n := start(t)
	if _, err := n.Health(t.Context(), "nobody"); !errors.Is(err, actors.ErrUnknown) {
		t.Errorf("health: %v", err)
	}
	if _, err := n.Replay(t.Context(), 77); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("replay: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := actors.New(actors.Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
}

func TestOneIDOnTwoChannelsIsTwoDeliveries(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	for _, lane := range []string{"a", "b"} {
		n.append("studio", lane, "one-id", `{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","notes":"`+lane+`/0"}`)
	}
	got := s.wait(t, 2)
	if got[0].id == got[1].id {
		t.Errorf("the vendor takes %s and %s for one", got[0].note, got[1].note)
	}
	n.results(2)
}
