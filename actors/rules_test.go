package actors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// rules replaces the targets of the mapping that simulated made.
func (n *node) rules(id string, targets ...event.Target) {
	n.t.Helper()
	for i := range targets {
		targets[i].Integration = id
	}
	if _, err := n.registry.PutMapping(n.t.Context(), event.Mapping{ID: id, Pattern: "couple:**", Targets: targets}); err != nil {
		n.t.Fatal(err)
	}
}

// told returns what WhatsApp was told, in order: "recipient text".
func told(t *testing.T, sim *vendors.WhatsApp, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := sim.Wait(ctx, n); err != nil {
		t.Fatalf("%v, with %d told", err, len(sim.Received()))
	}
	var all []string
	for _, r := range sim.Received() {
		var m struct {
			To   string
			Text struct{ Body string }
		}
		if err := json.Unmarshal(r.Body, &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m.To+" "+m.Text.Body)
	}
	return all
}

// texts has WhatsApp send texts, as fast as it can.
func texts(in *event.Integration, s map[string]any) {
	s["mode"] = "text"
	in.Limits.RecipientBurst, in.Limits.PerRecipient = 1000, 1
}

const (
	couple = "+33600000001"
	studio = "+33600000002"
)

// tell appends an event of the type on couple:updates:c with a note.
func (n *node) tell(eventType string, number int) {
	n.t.Helper()
	now := n.now().UTC()
	_, err := n.journal.Append(n.t.Context(), &event.Event{
		V: 1, ID: fmt.Sprint(eventType, "-", number), Channel: "couple:updates:c", Type: eventType, Source: "api",
		Payload: json.RawMessage(fmt.Sprintf(`{"coupleId":"c1","room":"%d"}`, number)), OccurredAt: now, AcceptedAt: now,
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// Each recipient gets each event of their types once, in order, also when it is routed twice.
func TestRecipientsAreToldOfTheirTypes(t *testing.T) {
	t.Parallel()
	n := start(t)
	sim := n.whatsapp(texts)
	n.rules("wa", event.Target{Recipients: []string{couple, studio}, Types: []string{"a"}}, event.Target{Recipients: []string{couple}, Types: []string{"b"}})
	n.tell("a", 0)
	n.tell("b", 1)
	n.tell("a", 2)
	got := told(t, sim, 5)
	for id, r := range n.results(5) {
		if r.Result.Outcome != event.Delivered {
			t.Errorf("%s: %+v", id, r.Result)
		}
	}
	want := []string{couple + " A: c1\nRoom: 0", couple + " B: c1\nRoom: 1", couple + " A: c1\nRoom: 2", studio + " A: c1\nRoom: 0", studio + " A: c1\nRoom: 2"}
	byRecipient := map[string][]string{}
	for _, one := range got {
		byRecipient[one[:len(couple)]] = append(byRecipient[one[:len(couple)]], one)
	}
	if got := slices.Concat(byRecipient[couple], byRecipient[studio]); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// A recipient that is refused for good is a dead letter of their own, and replayed to them alone.
func TestReplayGoesToItsRecipient(t *testing.T) {
	t.Parallel()
	n := start(t)
	sim := n.whatsapp(texts)
	n.rules("wa", event.Target{Recipients: []string{couple}})
	sim.Faults().Add(vendors.Fault{Code: "131026", Times: 1})
	n.tell("a", 0)
	letter := n.letters(1)[0]
	if letter.Letter.Delivery.Recipient != couple {
		t.Errorf("the letter was to %q", letter.Letter.Delivery.Recipient)
	}
	n.rules("wa", event.Target{Recipients: []string{studio}})
	if _, err := n.Replay(t.Context(), letter.Seq); err != nil {
		t.Fatal(err)
	}
	if got := told(t, sim, 1); got[len(got)-1] != couple+" A: c1\nRoom: 0" {
		t.Errorf("told %q", got)
	}
}

// wall is a clock that stands still until it is set, or runs.
type wall struct {
	at    atomic.Int64
	since atomic.Pointer[time.Time] // when it began to run
}

func (w *wall) set(t *testing.T, text string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	w.at.Store(at.UnixNano())
}

func (w *wall) run() {
	now := time.Now()
	w.since.Store(&now)
}

func (w *wall) now() time.Time {
	at := time.Unix(0, w.at.Load())
	if since := w.since.Load(); since != nil {
		at = at.Add(time.Since(*since))
	}
	return at
}

// ruled starts a node on a clock that stands at the time, and has WhatsApp tell the couple by the rules.
func ruled(t *testing.T, at string, rules event.Target, change ...func(*event.Integration)) (*node, *wall, *vendors.WhatsApp) {
	t.Helper()
	clock := &wall{}
	clock.set(t, at)
	n := startAs(t, node{now: clock.now})
	sim := n.whatsapp(func(in *event.Integration, s map[string]any) {
		texts(in, s)
		for _, c := range change {
			c(in)
		}
	})
	rules.Recipients = []string{couple}
	n.rules("wa", rules)
	return n, clock, sim
}

// every is a digest of what comes within so long.
func every(window time.Duration) *event.Digest { return &event.Digest{Window: event.Duration(window)} }

var night = &event.QuietHours{From: "22:00", To: "07:00", TimeZone: "Europe/Paris"}

// In the night nobody is told but of what is critical; in the morning everything comes, in order, also
// after a restart, and what the morning brings does not overtake it.
func TestQuietHoursHoldAndKeepOrder(t *testing.T) {
	t.Parallel()
	n, clock, sim := ruled(t, "2027-06-13T06:59:58+02:00", event.Target{QuietHours: night, Critical: []string{"c"}})
	for i := range 20 {
		n.tell("a", i)
	}
	n.tell("c", 20)
	if got := told(t, sim, 1); !slices.Equal(got, []string{couple + " C: c1\nRoom: 20"}) {
		t.Errorf("in the night told %q", got)
	}
	n.restart()
	n.tell("a", 21)
	n.tell("c", 22)
	if got := told(t, sim, 2); len(got) != 2 || got[1] != couple+" C: c1\nRoom: 22" {
		t.Errorf("in the night told %q", got)
	}
	clock.set(t, "2027-06-13T07:00:00+02:00")
	for i := 23; i < 40; i++ {
		n.tell("a", i)
	}
	var want []string
	for i := range 40 {
		if i != 20 && i != 22 {
			want = append(want, fmt.Sprintf("%s A: c1\nRoom: %d", couple, i))
		}
	}
	if got := told(t, sim, 40)[2:]; !slices.Equal(got, want) {
		t.Errorf("in the morning told %q, want %q", got, want)
	}
	for id, r := range n.results(40) {
		if r.Result.Outcome != event.Delivered {
			t.Errorf("%s: %+v", id, r.Result)
		}
	}
}

// What waits through the night does not die of it: the limit counts from the morning.
func TestParkLimitCountsFromWhenItIsDue(t *testing.T) {
	t.Parallel()
	n, clock, sim := ruled(t, "2027-06-13T06:59:58+02:00", event.Target{QuietHours: night}, func(in *event.Integration) {
		in.Limits.ParkLimit = event.Duration(time.Second)
	})
	n.tell("a", 0)
	p, err := n.Preview(&event.Event{ID: "e", Channel: "couple:updates:c", Type: "a", Payload: json.RawMessage(`{"coupleId":"c1"}`)}, "wa")
	if err != nil || !p.Sends || p.Reason != actors.ReasonHeld || !strings.Contains(p.Detail, "until 2027-06-13T05:00:00Z") {
		t.Errorf("previewed as %+v, %v", p, err)
	}
	n.stored(t, 1)
	clock.set(t, "2027-06-13T07:00:00.5+02:00")
	if got := told(t, sim, 1); len(got) != 1 {
		t.Errorf("told %q", got)
	}
}

// What comes within the window is one message, in order; what is critical is not gathered; what comes after
// the window is the next one. Each event has one result.
func TestDigest(t *testing.T) {
	t.Parallel()
	n, clock, sim := ruled(t, "2027-06-13T12:00:00+02:00", event.Target{Digest: every(2 * time.Second), Critical: []string{"c"}})
	n.tell("a", 0)
	n.tell("b", 1)
	n.tell("c", 2)
	n.tell("a", 3)
	if got := told(t, sim, 1); !slices.Equal(got, []string{couple + " C: c1\nRoom: 2"}) {
		t.Errorf("at once told %q", got)
	}
	n.restart()
	n.stored(t, 3)
	clock.set(t, "2027-06-13T12:00:02+02:00")
	want := couple + " 3 updates: c1\nA: Room: 0\nB: Room: 1\nA: Room: 3"
	if got := told(t, sim, 2); got[1] != want {
		t.Errorf("after the window told %q, want %q", got[1:], want)
	}
	n.tell("b", 4)
	n.stored(t, 1)
	clock.set(t, "2027-06-13T12:00:04+02:00")
	if got := told(t, sim, 3); got[2] != couple+" B: c1\nRoom: 4" {
		t.Errorf("one by itself is told as %q", got[2:])
	}
	ends := map[string]string{}
	for _, r := range n.results(5) {
		ends[r.EventID] = string(r.Result.Outcome) + r.Result.Reason
	}
	if got := fmt.Sprint(ends); got != "map[a-0:skippeddigested a-3:delivered b-1:skippeddigested b-4:delivered c-2:delivered]" {
		t.Errorf("ended as %s", got)
	}
}

// A digest that the vendor refuses is one dead letter, and told again as it was.
func TestDigestIsReplayedWhole(t *testing.T) {
	t.Parallel()
	n, clock, sim := ruled(t, "2027-06-13T12:00:00+02:00", event.Target{Digest: every(time.Second)})
	sim.Faults().Add(vendors.Fault{Code: "131026", Times: 1})
	n.tell("a", 0)
	n.tell("a", 1)
	n.stored(t, 2)
	clock.set(t, "2027-06-13T12:00:01+02:00")
	if _, err := n.Replay(t.Context(), n.letters(1)[0].Seq); err != nil {
		t.Fatal(err)
	}
	want := couple + " 2 updates: c1\nA: Room: 0\nA: Room: 1"
	if got := told(t, sim, 1); got[len(got)-1] != want {
		t.Errorf("replayed as %q, want %q", got, want)
	}
}

// What cannot be told together is told apart: nothing is lost.
func TestDigestThatCannotBeIsToldApart(t *testing.T) {
	t.Parallel()
	n, clock, sim := ruled(t, "2027-06-13T12:00:00+02:00", event.Target{Digest: every(time.Second)})
	n.tell("a", 0)
	n.tell("a", 1)
	n.stored(t, 2)
	if err := n.registry.DeleteMapping(t.Context(), "wa"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.registry.PutMapping(t.Context(), event.Mapping{
		ID: "wa", Pattern: "couple:**", Targets: []event.Target{{Integration: "wa", Recipients: []string{couple}}}, Fields: map[string]string{"room": "payload.none.deep"},
	}); err != nil {
		t.Fatal(err)
	}
	clock.set(t, "2027-06-13T12:00:01+02:00")
	if got, want := told(t, sim, 2), []string{couple + " A: c1\nRoom: 0", couple + " A: c1\nRoom: 1"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// stored waits until the log has so many deliveries.
func (n *node) stored(t *testing.T, count uint64) {
	t.Helper()
	waitFor(t, func() bool {
		s, err := n.journal.Status(t.Context())
		at := slices.IndexFunc(s.Streams, func(s journal.StreamStatus) bool { return s.Name == "DL" })
		return err == nil && s.Streams[at].Messages == count
	})
}
