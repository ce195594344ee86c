package actors_test

import (
	"context"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
)

func brittle(c *actors.Config) {
	c.Restart = actors.RestartPolicy{Initial: time.Millisecond, Max: 5 * time.Millisecond, Budget: 2, Window: time.Minute}
}

// firsts drops repeats: a call in flight when its actor breaks is made once more under the same id.
func firsts(receipts []receipt) []receipt {
	seen := map[string]bool{}
	var out []receipt
	for _, r := range receipts {
		if !seen[r.id] {
			seen[r.id] = true
			out = append(out, r)
		}
	}
	return out
}

func TestActorThatPanicsLosesNothing(t *testing.T) {
	t.Parallel()
	n, s := start(t, brittle), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 30)
	n.BreakIntegration("studio", 1)
	n.publish("studio", "a", 30, 30)
	n.publish("studio", "b", 0, 30)
	n.results(90)
	inOrder(t, firsts(s.wait(t, 90)))
}

func TestIntegrationThatKeepsPanickingIsSuspendedAndReinstated(t *testing.T) {
	t.Parallel()
	n, s := start(t, brittle), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 1)
	s.wait(t, 1)
	n.health("studio", func(h event.Health) bool { return h.InFlight == 0 && h.SuccessRate == 1 })
	for incarnation := range uint64(3) {
		n.BreakIntegration("studio", incarnation+1)
		n.health("studio", func(event.Health) bool { return true }) // answered by the next incarnation
	}
	h := n.health("studio", func(h event.Health) bool { return h.State == event.Suspended })
	if h.Reason == "" {
		t.Error("suspended without a reason")
	}
	n.publish("studio", "a", 1, 5)
	n.health("studio", func(h event.Health) bool { return h.Parked == 5 })
	if calls := len(s.receipts()); calls != 1 {
		t.Errorf("%d calls by a suspended integration", calls)
	}
	if err := n.Reinstate(t.Context(), "studio"); err != nil {
		t.Fatal(err)
	}
	inOrder(t, s.wait(t, 6))
}

func TestShardThatPanicsIsTakenOverAgain(t *testing.T) {
	t.Parallel()
	n, s := start(t, brittle), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 20)
	s.wait(t, 1)
	for shard := range 2 {
		n.BreakShard(shard)
	}
	n.publish("studio", "a", 20, 20)
	n.results(40)
	inOrder(t, firsts(s.wait(t, 40)))
	waitFor(t, func() bool { held, wanted := n.Ready(); return held == wanted })
}

// stumbling is a caller that panics at the first call.
type stumbling struct {
	actors.Caller
	stumbled chan struct{}
}

func (c stumbling) Do(ctx context.Context, call *event.Call) *event.Answer {
	select {
	case c.stumbled <- struct{}{}:
		panic("a defect in the way of one call")
	default:
		return c.Caller.Do(ctx, call)
	}
}

func TestPanicOnOneDeliveryIsItsOwn(t *testing.T) {
	t.Parallel()
	n, s := start(t, func(c *actors.Config) { c.Caller = stumbling{c.Caller, make(chan struct{}, 1)} }), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "a", 0, 1)
	if l := n.letters(1)[0].Letter; l.Reason != event.ReasonPanic || l.Detail == "" {
		t.Errorf("dead letter: %s %s", l.Reason, l.Detail)
	}
	n.publish("studio", "a", 1, 1)
	s.wait(t, 1)
}
