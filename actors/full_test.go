package actors_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// A vendor that is down may fill the log with its deliveries, so that they cannot even be parked. Once
// it is back they empty it by themselves.
func TestFullMailboxesEmptyThemselves(t *testing.T) {
	t.Parallel()
	n, s := startSmall(t, 100_000, func(c *actors.Config) { c.Hold = 4 }), newSink(t)
	n.connect("studio", s)
	s.answers(always(http.StatusServiceUnavailable))
	const lanes, each = 20, 20
	for i := range lanes {
		n.publish("studio", fmt.Sprint("l", i), 0, each)
	}
	n.full("DL")
	s.answers(always(http.StatusOK))
	inOrder(t, s.wait(t, lanes*each))
	if found := n.results(lanes * each); len(found) != lanes*each {
		t.Errorf("%d results, want %d", len(found), lanes*each)
	}
}

// full waits until a stream has room for less than one more delivery.
func (n *node) full(stream string) {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		status, err := n.journal.Status(n.t.Context())
		if err != nil {
			n.t.Fatal(err)
		}
		for _, s := range status.Streams {
			if s.Name == stream && s.MaxBytes-s.Bytes < 1000 {
				return
			}
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s did not become full: %+v", stream, status.Streams)
		}
	}
}

// A log that is full of what is held empties itself when that is due.
func TestLogFullOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	clock := &wall{}
	clock.set(t, "2027-06-13T06:59:58+02:00")
	n := startAs(t, node{now: clock.now, workBytes: 100_000})
	s := newSink(t)
	n.connect("studio", s)
	if _, err := n.registry.PutMapping(t.Context(), event.Mapping{
		ID: "crm", Pattern: "supplier:dashboard:{supplierId}:**", Targets: []event.Target{{Category: event.PhotographyCRM, QuietHours: night}},
	}); err != nil {
		t.Fatal(err)
	}
	s.answers(always(http.StatusOK))
	const lanes, each = 10, 40
	for i := range lanes {
		n.publish("studio", fmt.Sprint("l", i), 0, each)
	}
	waitFor(t, func() bool {
		s, err := n.journal.Status(t.Context())
		at := slices.IndexFunc(s.Streams, func(s journal.StreamStatus) bool { return s.Name == "DL" })
		return err == nil && s.Streams[at].Bytes > s.Streams[at].MaxBytes/8*7
	})
	clock.set(t, "2027-06-13T07:00:01+02:00")
	clock.run() // what the full log refused to park is parked after a pause
	inOrder(t, s.wait(t, lanes*each))
}
