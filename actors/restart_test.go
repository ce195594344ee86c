package actors_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
)

func TestRestartGoesOnWithWhatWaited(t *testing.T) {
	t.Parallel()
	n, s := start(t, func(c *actors.Config) { c.Hold = 4 }), newSink(t)
	n.connect("studio", s)
	s.answers(always(http.StatusServiceUnavailable))
	n.publish("studio", "a", 0, 10)
	n.publish("studio", "b", 0, 10)
	n.health("studio", func(h event.Health) bool { return h.State == event.Open && h.Parked > 0 })
	n.restart()
	s.answers(func(receipt) int { return http.StatusOK })
	inOrder(t, s.wait(t, 20))
	n.results(20)
}

// What was loaded from the park, what arrived then and was held, and what was parked behind that keep
// their order over a restart.
func TestRestartKeepsTheOrderOfWhatWasHeldAndParked(t *testing.T) {
	t.Parallel()
	hold := func(c *actors.Config) { c.Hold = 8 }
	n, s := start(t, hold), newSink(t)
	n.connect("studio", s)
	s.answers(always(http.StatusServiceUnavailable))
	n.publish("studio", "a", 0, 20)
	n.health("studio", func(h event.Health) bool { return h.State == event.Open && h.Parked >= 12 })
	release := make(chan struct{})
	s.answers(func(r receipt) int {
		if r.note != "a/16" {
			return http.StatusOK
		}
		<-release
		return http.StatusServiceUnavailable
	})
	n.health("studio", func(h event.Health) bool { return h.InFlight == 1 && h.Waiting == 3 && h.Parked == 4 }) // 16 to 19
	n.publish("studio", "a", 20, 10)
	n.health("studio", func(h event.Health) bool { return h.Waiting == 7 && h.Parked == 10 }) // 20 to 23 are held
	s.answers(always(http.StatusServiceUnavailable))
	close(release)
	n.restart(hold)
	s.answers(always(http.StatusOK))
	inOrder(t, s.wait(t, 30))
}

func TestStoppingInOrderRepeatsNothing(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	const rounds, lanes = 5, 40
	for round := range rounds {
		for i := range lanes {
			n.publish("studio", fmt.Sprint("l", i), 2*round, 2)
		}
		s.wait(t, 2*round*lanes+5) // in the midst of it
		n.restart()
	}
	got := s.wait(t, 2*rounds*lanes)
	inOrder(t, got) // without gaps or repeats
	if len(got) != 2*rounds*lanes {
		t.Errorf("%d deliveries were made, want %d", len(got), 2*rounds*lanes)
	}
}
