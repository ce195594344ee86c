package actors_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// What waits of an erased wedding, in memory and in the park, does not arrive when the vendor is back;
// what waits of others does, in order.
func TestErasedWeddingIsDeliveredNoMore(t *testing.T) {
	t.Parallel()
	const hold = 4
	n, s := start(t, func(c *actors.Config) { c.Hold = hold }), newSink(t)
	n.connect("studio", s)
	n.connect("press", s)
	s.answers(func(r receipt) int {
		if strings.HasSuffix(r.path, "press") {
			return http.StatusUnprocessableEntity
		}
		return http.StatusServiceUnavailable
	})
	const each = 8
	for i := range each {
		for _, couple := range []string{"c1", "c2"} {
			n.append("studio", "a", fmt.Sprintf("%s-%d", couple, i),
				fmt.Sprintf(`{"coupleId":%q,"ceremonyTime":"2027-06-12T16:00:00+02:00","notes":"%s/%d"}`, couple, couple, i))
		}
	}
	n.publish("press", "b", 0, 1) // of c1, and refused for good
	n.letters(1)
	n.health("studio", func(h event.Health) bool { return h.State == event.Open && h.Parked >= 2*each-5 })

	want := journal.Erased{Events: each + 1, Deliveries: each, DeadLetters: 1}
	waitFor(t, func() bool { // until all are routed, and parked but for what is held
		status, err := n.journal.Status(t.Context())
		if err != nil {
			return false
		}
		var routes, works uint64
		for _, s := range status.Shards {
			routes, works = routes+s.RouteLag, works+s.DeliveryLag
		}
		if routes > 0 || works > hold {
			return false
		}
		removed, left, err := n.Erase(t.Context(), actors.Erase{Wedding: "c1", Only: true})
		return removed.Sum() == 0 && left == want && err == nil
	})
	removed, left, err := n.Erase(t.Context(), actors.Erase{Wedding: "c1"})
	if n := removed.Deliveries; n < want.Deliveries && n >= want.Deliveries-hold {
		removed.Deliveries = want.Deliveries // the actor has skipped the others itself, of those that it holds
	}
	if removed != want || left.Sum() != 0 || err != nil {
		t.Fatalf("erased: %+v, left %+v, %v; want %+v", removed, left, err, want)
	}
	before := len(s.receipts())
	s.answers(always(http.StatusOK))
	n.append("studio", "a", "c1-new", `{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","notes":"c1/new"}`) // they may come back
	var taken []string
	for _, r := range s.wait(t, each+1) {
		taken = append(taken, r.note)
	}
	if len(taken) != each+1 || taken[each] != "c1/new" {
		t.Errorf("taken are %v", taken)
	}
	for i, note := range taken[:min(each, len(taken))] {
		if want := fmt.Sprintf("c2/%d", i); note != want {
			t.Errorf("as number %d came %s, want %s", i, note, want)
		}
	}
	for _, r := range s.receipts()[before:] {
		if strings.HasPrefix(r.note, "c1/") && r.note != "c1/new" {
			t.Errorf("%s was sent after it was erased", r.note)
		}
	}
	skipped := 0
	for _, r := range n.results(each + 2) {
		if r.Result.Reason == event.ReasonErased {
			skipped++
			if r.WeddingID != event.Erased || r.Channel != event.Erased || r.EventID != event.Erased {
				t.Errorf("the record of what was skipped tells of whom: %+v", r)
			}
		}
	}
	n.health("studio", func(h event.Health) bool { return h.Parked == 0 && h.Waiting == 0 })
	n.erasesRecords(each)
	t.Logf("%d were in memory", skipped)
}

// erasesRecords takes c1 out of the records that wait for a ClickHouse, with what a vendor said of one; those of c2,
// each of which was delivered, stay.
func (n *node) erasesRecords(each int) {
	n.t.Helper()
	count := func() (theirs, others, receipts int, id string) {
		entries, err := n.journal.Records(n.t.Context(), 0, 1000, time.Second)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, e := range entries {
			switch d := e.Record.Delivery; {
			case d != nil && d.WeddingID == "c1" && d.EventID != "c1-new":
				theirs, id = theirs+1, d.ID
			case d != nil && d.WeddingID == "c2" && d.Result != nil:
				others++
			case e.Record.Receipt != nil:
				receipts++
			}
		}
		return theirs, others, receipts, id
	}
	theirs, _, _, id := count()
	if id == "" {
		n.t.Fatal("there is no record of c1")
	}
	for _, of := range []string{id, "dlv_other"} {
		said := event.Receipt{DeliveryID: of, EventID: "whk_1", Status: event.ReceiptFailed, Detail: "Amelie has no phone"}
		if err := n.journal.Record(n.t.Context(), "", &event.Record{V: event.Version, Receipt: &said}); err != nil {
			n.t.Fatal(err)
		}
	}
	want := journal.Erased{Events: 1, Records: theirs + 2} // the new one, with its delivery's record, and the receipt
	what := actors.Erase{Wedding: "c1", Records: true, Only: true}
	if _, left, err := n.Erase(n.t.Context(), what); left != want || err != nil {
		n.t.Fatalf("looked for: %+v, %v; want %+v", left, err, want)
	}
	what.Only = false
	if removed, left, err := n.Erase(n.t.Context(), what); removed != want || left.Sum() != 0 || err != nil {
		n.t.Fatalf("erased %+v, left %+v, %v; want %+v", removed, left, err, want)
	}
	if theirs, others, receipts, _ := count(); theirs != 0 || others != each || receipts != 1 {
		n.t.Errorf("there are %d records of c1, %d of c2 and %d receipts; want 0, %d, 1", theirs, others, receipts, each)
	}
}
