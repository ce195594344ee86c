package actors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

func TestTransientFailureIsRetriedInItsLaneOnly(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	var failed atomic.Int32
	s.answers(func(r receipt) int {
		if r.note == "a/0" && failed.Add(1) <= 2 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	n.publish("studio", "a", 0, 3)
	n.publish("studio", "b", 0, 3)
	got := s.wait(t, 6)
	inOrder(t, got)
	results := n.results(6)
	r := results[event.ResultID(event.DeliveryID("supplier:dashboard:studio:a", "studio-a-0", "studio"), 0)]
	if r.Result == nil || r.Result.Attempts != 3 {
		t.Errorf("result of the retried delivery: %+v", r.Result)
	}
	ids := map[string]bool{}
	for _, r := range s.receipts() {
		if r.note == "a/0" {
			ids[r.id] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("the retries had %d ids, want one", len(ids))
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	s.header.Set("Retry-After", "1")
	var first, second time.Time
	s.answers(func(r receipt) int {
		if r.n == 1 {
			first = time.Now()
			return http.StatusTooManyRequests
		}
		second = time.Now()
		return http.StatusOK
	})
	n.publish("studio", "a", 0, 1)
	s.wait(t, 1)
	if waited := second.Sub(first); waited < time.Second {
		t.Errorf("called again after %v, the vendor had asked for 1s", waited)
	}
}

func TestOutageCostsNoDelivery(t *testing.T) {
	t.Parallel()
	for _, lanes := range []int{1, 8} {
		t.Run(strconv.Itoa(lanes), func(t *testing.T) {
			t.Parallel()
			n, s := start(t, func(c *actors.Config) { c.Hold = 16 }), newSink(t)
			n.connect("studio", s)
			s.answers(always(http.StatusServiceUnavailable))
			for i := range lanes {
				n.publish("studio", fmt.Sprint("l", i), 0, 10)
			}
			h := n.health("studio", func(h event.Health) bool { return h.State == event.Open && !h.NextProbe.IsZero() })
			if h.Reason == "" {
				t.Errorf("an open breaker without a reason: %+v", h)
			}
			for i := range lanes {
				n.publish("studio", fmt.Sprint("l", i), 10, 10)
			}
			n.health("studio", func(h event.Health) bool { return h.State == event.Open && h.Parked > 0 })
			calls := len(s.receipts())
			if calls > 5+50+8 { // before it opened, those in flight side by side, and a few probes
				t.Errorf("%d calls to a vendor that is down", calls)
			}
			s.answers(always(http.StatusOK))
			inOrder(t, s.wait(t, lanes*20))
			for id, r := range n.results(lanes * 20) {
				if r.Result.Outcome != event.Delivered {
					t.Errorf("%s: %+v", id, r.Result)
				}
			}
			n.health("studio", func(h event.Health) bool { return h.State != event.Open && h.Parked == 0 && h.Waiting == 0 })
		})
	}
}

func TestRejectedEventIsDeadAndReplayedOnceMended(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	var mended atomic.Bool
	s.answers(func(r receipt) int {
		if r.note == "a/1" && !mended.Load() {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	n.publish("studio", "a", 0, 3)
	s.wait(t, 2)
	letter := n.letters(1)[0]
	l := letter.Letter
	if l.Delivery.EventID != "studio-a-1" || l.Event.ID != "studio-a-1" || l.Reason == "" || len(l.Attempts) != 1 || l.Attempts[0].Status != 422 {
		t.Errorf("dead letter: %+v", l)
	}
	results := n.results(3)
	if r := results[event.ResultID(l.Delivery.ID, 0)].Result; r == nil || r.Outcome != event.Dead || r.Reason != l.Reason {
		t.Errorf("result of the dead delivery: %+v", r)
	}

	mended.Store(true)
	d, err := n.Replay(t.Context(), letter.Seq)
	if err != nil {
		t.Fatal(err)
	}
	if d.ID != l.Delivery.ID || d.Replay != 1 {
		t.Errorf("replayed as %s, replay %d", d.ID, d.Replay)
	}
	s.wait(t, 3)
	if r := n.results(4)[event.ResultID(d.ID, 1)].Result; r == nil || r.Outcome != event.Delivered {
		t.Errorf("result of the replay: %+v", r)
	}
	if left, err := n.journal.DeadLetters(t.Context(), journal.DeadQuery{Limit: 10}); err != nil || len(left) != 0 {
		t.Errorf("%d dead letters left, error %v", len(left), err)
	}
	if _, err := n.Replay(t.Context(), letter.Seq); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("replaying it again: %v", err)
	}
}

func TestEventThatCannotBeEncodedIsDeadAndTheNextOnesGoOn(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.append("studio", "a", "broken", `{"coupleId":"c1","ceremonyTime":"yesterday"}`)
	n.publish("studio", "a", 0, 1)
	s.wait(t, 1)
	if l := n.letters(1)[0].Letter; l.Reason != event.ReasonEncode || l.Event.ID != "broken" || l.Detail == "" {
		t.Errorf("dead letter: %+v", l)
	}
	if _, err := n.Replay(t.Context(), n.letters(1)[0].Seq); err == nil {
		t.Error("an event that cannot be encoded was replayed")
	}
	n.letters(1)
}

func TestExhaustedAttemptsDieWhileTheVendorIsUp(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	s.answers(func(r receipt) int {
		if r.note == "poison/0" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	n.publish("studio", "poison", 0, 1)
	for i := 0; len(mustLetters(t, n)) == 0; i++ {
		n.publish("studio", "a", i, 1) // proof that the vendor is up
		s.wait(t, i+1)
		if i > 2000 {
			t.Fatal("the poison event never died")
		}
	}
	if l := n.letters(1)[0].Letter; l.Reason != event.ReasonExhausted || len(l.Attempts) < 4 {
		t.Errorf("dead letter: %s after %d attempts", l.Reason, len(l.Attempts))
	}
}

func mustLetters(t *testing.T, n *node) []journal.Buried {
	t.Helper()
	found, err := n.journal.DeadLetters(t.Context(), journal.DeadQuery{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestParkLimitEndsWhatWaitedTooLong(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s, func(in *event.Integration) { in.Limits.ParkLimit = event.Duration(500 * time.Millisecond) })
	s.answers(always(http.StatusServiceUnavailable))
	n.publish("studio", "a", 0, 8)
	for _, b := range n.letters(8) {
		if b.Letter.Reason != event.ReasonExpired {
			t.Errorf("died of %s", b.Letter.Reason)
		}
	}
}

func TestBadCredentialsPauseUntilAnAdminResumes(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	s.answers(func(receipt) int { return http.StatusUnauthorized })
	n.publish("studio", "a", 0, 5)
	h := n.health("studio", func(h event.Health) bool { return h.State == event.Paused })
	if h.Reason == "" {
		t.Error("paused without a reason")
	}
	for in, _ := n.registry.Lookup("studio"); in.Integration.Paused == nil; in, _ = n.registry.Lookup("studio") {
		n.health("studio", func(event.Health) bool { return true })
	}
	n.publish("studio", "a", 5, 5)
	n.health("studio", func(h event.Health) bool { return h.Waiting+int(h.Parked) == 10 })
	if calls := len(s.receipts()); calls != 1 {
		t.Errorf("%d calls although the first was refused for its credentials", calls)
	}
	s.answers(func(receipt) int { return http.StatusOK })
	if err := n.registry.Resume(t.Context(), "studio"); err != nil {
		t.Fatal(err)
	}
	inOrder(t, s.wait(t, 10))
}

func TestDisabledAndDeletedIntegrationsAreSkipped(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s, func(in *event.Integration) {
		in.Paused = &event.Pause{Reason: "holiday", By: "admin:x", At: time.Now()}
	})
	n.publish("studio", "a", 0, 5)
	n.health("studio", func(h event.Health) bool { return h.State == event.Paused && h.Waiting+int(h.Parked) == 5 })

	entry, _ := n.registry.Lookup("studio")
	in := entry.Copy()
	in.Disabled = true
	if _, err := n.registry.Put(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for id, r := range n.results(5) {
		if r.Result.Outcome != event.Skipped || r.Result.Reason != event.ReasonDisabled {
			t.Errorf("%s: %+v", id, r.Result)
		}
	}
	n.publish("studio", "a", 5, 1)
	n.results(6)
	if calls := len(s.receipts()); calls != 0 {
		t.Errorf("%d calls", calls)
	}
}

func TestUnsupportedTypesAreSkipped(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	now := time.Now()
	_, err := n.journal.Append(t.Context(), &event.Event{
		V: 1, ID: "e1", Channel: "supplier:dashboard:studio:x", Type: "cake.tasted", Payload: json.RawMessage(`{}`), OccurredAt: now, AcceptedAt: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range n.results(1) {
		if r.Result.Outcome != event.Skipped || r.Result.Reason != event.ReasonUnsupported {
			t.Errorf("%+v", r.Result)
		}
	}
}
