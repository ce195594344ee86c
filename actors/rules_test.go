package actors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
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
	now := time.Now().UTC()
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
	if got := append(byRecipient[couple], byRecipient[studio]...); !slices.Equal(got, want) {
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
