package actors_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// A test is one real call at once, past a pause, that leaves nothing behind.
func TestTrial(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	if err := n.registry.Pause(t.Context(), "studio", event.Pause{Reason: "x", By: "admin:x"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer        int
		verdict, kind string
	}{{http.StatusOK, "delivered", ""}, {http.StatusServiceUnavailable, "retry", ""}, {http.StatusUnprocessableEntity, "dead", "booking.confirmed"}} {
		s.answers(always(c.answer))
		if got, err := n.Test(t.Context(), "studio", c.kind); err != nil || got.Verdict != c.verdict || got.Status != c.answer || got.Number != 1 {
			t.Errorf("answered %d: %+v, %v", c.answer, got, err)
		}
	}
	if got := s.receipts(); len(got) != 3 || got[0].id == got[1].id || got[0].path != "/studio" {
		t.Errorf("the vendor saw %+v", got)
	}
	if h := n.health("studio", func(h event.Health) bool { return h.State == event.Paused }); h.Waiting+int(h.Parked)+h.InFlight != 0 || h.LastError != "" {
		t.Errorf("the integration knows of it: %+v", h)
	}
	records, err := n.journal.Records(t.Context(), 0, 10, time.Second)
	for _, r := range records {
		if r.Record.Health == nil { // that it is paused
			t.Errorf("there is a record %+v", r.Record)
		}
	}
	if err != nil {
		t.Error(err)
	}

	if _, err := n.Test(t.Context(), "nobody", ""); !errors.Is(err, actors.ErrUnknown) {
		t.Errorf("an unknown one: %v", err)
	}
	if _, err := n.Test(t.Context(), "studio", "x.y"); !errors.Is(err, actors.ErrUntestable) || !strings.Contains(err.Error(), "timeline.updated") {
		t.Errorf("no such sample: %v", err)
	}
	for _, in := range []event.Integration{
		{ID: "board", Vendor: "supplier-dashboards", Settings: []byte(`{"channel":"supplier:dashboard:1"}`)},
		{ID: "bare", Vendor: "studiocloud", Settings: []byte(`{"url":"` + s.URL + `"}`)},
	} {
		if _, err := n.registry.Put(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Test(t.Context(), "board", ""); !errors.Is(err, actors.ErrUntestable) {
		t.Errorf("a channel of our own: %v", err)
	}
	var missing *adapter.SettingsError
	if _, err := n.Test(t.Context(), "bare", ""); !errors.As(err, &missing) {
		t.Errorf("without secrets: %v", err)
	}
}
