package actors_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
)

// target adds an integration whose deliveries become events on a channel, and a mapping that leads
// from a pattern to it.
func (n *node) target(id, vendor, pattern, channel string) {
	n.t.Helper()
	in := event.Integration{ID: id, Vendor: vendor, Settings: json.RawMessage(fmt.Sprintf(`{"channel":%q}`, channel))}
	if _, err := n.registry.Put(n.t.Context(), in); err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.registry.PutMapping(n.t.Context(), event.Mapping{ID: id, Pattern: pattern, Targets: []event.Target{{Integration: id}}}); err != nil {
		n.t.Fatal(err)
	}
}

// say appends an event and returns it.
func (n *node) say(channel, id string) *event.Event {
	n.t.Helper()
	now := time.Now().UTC()
	ev := &event.Event{
		V: event.Version, ID: id, Channel: channel, Type: "timeline.updated", Payload: json.RawMessage(`{"coupleId":"c1"}`),
		OccurredAt: now, AcceptedAt: now, Source: "api", CorrelationID: "cor-1", TraceParent: "00-a-b-01",
	}
	if _, err := n.journal.Append(n.t.Context(), ev); err != nil {
		n.t.Fatal(err)
	}
	return ev
}

// history returns the events of a channel.
func (n *node) history(channel string) []event.Event {
	n.t.Helper()
	entries, err := n.journal.History(n.t.Context(), channel, 0, 100)
	if err != nil {
		n.t.Fatal(err)
	}
	all := make([]event.Event, len(entries))
	for i, e := range entries {
		if err := json.Unmarshal(e.Data, &all[i]); err != nil {
			n.t.Fatal(err)
		}
		all[i].Seq = e.Seq
	}
	return all
}

// byReason counts results by the integration and by their reason, or outcome where they have none.
func byReason(results map[string]event.DeliveryRecord) map[string]int {
	counts := map[string]int{}
	for _, r := range results {
		why := r.Result.Reason
		if why == "" {
			why = string(r.Result.Outcome)
		}
		counts[r.Integration+" "+why]++
	}
	return counts
}

// What is said on a supplier's dashboard is said on the couple's channel too, once, and not back again
// on the dashboard that it came from.
func TestDeliveriesBecomeEvents(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.target("to-couple", "client-communications", "supplier:dashboard:{supplierId}", "couple:updates:{coupleId}:{supplierId}")
	n.target("to-supplier", "supplier-dashboards", "couple:updates:*:{supplierId}", "supplier:dashboard:{supplierId}")
	said := n.say("supplier:dashboard:42", "e1")
	results := n.results(3)
	want := map[string]int{"to-couple delivered": 1, "to-supplier delivered": 1, "to-couple loop": 1}
	if got := byReason(results); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("results %v, want %v", got, want)
	}
	couple := n.history("couple:updates:c1:42")
	if len(couple) != 1 {
		t.Fatalf("the couple's channel has %+v", couple)
	}
	got := couple[0]
	if got.Source != "integration:to-couple" || got.CorrelationID != "cor-1" || got.TraceParent != "00-a-b-01" || got.WeddingID != "c1" ||
		!got.OccurredAt.Equal(said.OccurredAt) || got.AcceptedAt.Before(said.AcceptedAt) || string(got.Payload) != string(said.Payload) {
		t.Errorf("the couple's channel has %+v", got)
	}
	back := n.history("supplier:dashboard:42")
	if len(back) != 2 || !slices.Equal(back[1].Via, []string{"to-couple", "to-supplier"}) {
		t.Errorf("the dashboard has %+v", back)
	}
	// The same once more, as after a crash before its delivery was done: the log has it already.
	for _, r := range results {
		if r.Integration == "to-couple" && r.Result.Outcome == event.Delivered {
			n.again(r)
		}
	}
	n.results(4)
	if couple = n.history("couple:updates:c1:42"); len(couple) != 1 {
		t.Errorf("delivered twice, the couple's channel has %+v", couple)
	}
}

// again puts a delivery that was made before its integration once more.
func (n *node) again(r event.DeliveryRecord) {
	n.t.Helper()
	said := n.history(r.Channel)[0]
	body := fmt.Sprintf(`{"type":%q,"payload":%s,"occurredAt":%q,"via":[%q]}`,
		said.Type, said.Payload, said.OccurredAt.Format(time.RFC3339Nano), r.Integration)
	if err := n.journal.Enqueue(n.t.Context(), &event.Delivery{
		V: event.Version, ID: r.ID, EventID: r.EventID, EventSeq: said.Seq, EventType: r.EventType, Channel: r.Channel,
		Integration: r.Integration, Vendor: r.Vendor, Vars: map[string]string{"supplierId": "42"}, WeddingID: r.WeddingID,
		CorrelationID: said.CorrelationID, AcceptedAt: r.AcceptedAt, RoutedAt: r.RoutedAt, Replay: 1, Body: json.RawMessage(body),
	}); err != nil {
		n.t.Fatal(err)
	}
}

// A chain of channels ends where it is longer than the limit.
func TestHopLimit(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *actors.Config) { c.MaxHops = 2 })
	for i := range 5 {
		n.target(fmt.Sprint("hop", i), "project-management", fmt.Sprint("chain:", i), fmt.Sprint("chain:", i+1))
	}
	n.say("chain:0", "e1")
	want := map[string]int{"hop0 delivered": 1, "hop1 delivered": 1, "hop2 delivered": 1, "hop3 hop_limit": 1}
	if got := byReason(n.results(4)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("results %v, want %v", got, want)
	}
	if got := n.history("chain:4"); len(got) != 0 {
		t.Errorf("beyond the limit came %+v", got)
	}
	n.limited(event.ReasonHops, 1)
}

// An event that names no channel to go to is a dead letter, and is replayed when it does.
func TestTargetWithoutChannel(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.target("timeline", "timeline-coordination", "supplier:dashboard:{supplierId}", "timeline:{bookingId}")
	n.say("supplier:dashboard:42", "e1")
	letter := n.letters(1)[0]
	if letter.Letter.Reason != event.ReasonEncode || letter.Letter.Detail == "" {
		t.Errorf("dead with %q: %s", letter.Letter.Reason, letter.Letter.Detail)
	}
	n.target("timeline", "timeline-coordination", "supplier:dashboard:{supplierId}", "timeline:{supplierId}")
	if _, err := n.Replay(t.Context(), letter.Seq); err != nil {
		t.Fatal(err)
	}
	n.results(2)
	if got := n.history("timeline:42"); len(got) != 1 {
		t.Errorf("replayed, the channel has %+v", got)
	}
}
