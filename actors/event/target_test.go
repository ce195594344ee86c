package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func TestRulesOfATargetAreChecked(t *testing.T) {
	t.Parallel()
	many := make([]string, event.MaxRecipients+1)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	types := make([]string, event.MaxMappingTypes+1)
	for _, c := range []struct {
		rules         event.Target
		field, reason string
	}{
		{rules: event.Target{}},
		{rules: event.Target{Types: []string{"a.b"}, Recipients: []string{"+33612345678", "Amélie <a@example.com>"}}},
		{event.Target{Types: []string{"a.b", "c.d"}}, "targets[0].types[1]", "c.d is none of the mapping's types [a.b e.f]"},
		{event.Target{Types: []string{"A"}}, "targets[0].types[0]", `event type "A"`},
		{event.Target{Recipients: []string{"a", ""}}, "targets[0].recipients[1]", "1 to 254 bytes"},
		{event.Target{Recipients: []string{"a\nb"}}, "targets[0].recipients[0]", "printable"},
		{event.Target{Recipients: []string{strings.Repeat("x", 255)}}, "targets[0].recipients[0]", "1 to 254 bytes"},
		{event.Target{Recipients: []string{"a", "b", "a"}}, "targets[0].recipients[2]", "a is there twice"},
		{event.Target{Critical: []string{"a.b"}}, "targets[0].critical", "give quietHours or digest"},
		{rules: event.Target{Digest: &event.Digest{Window: event.Duration(time.Minute)}, Critical: []string{"a.b"}}},
		{event.Target{Digest: &event.Digest{}}, "targets[0].digest.window", "0s; allowed are 1s to 24h0m0s"},
		{event.Target{Digest: &event.Digest{Window: event.Duration(25 * time.Hour)}}, "targets[0].digest.window", "25h0m0s"},
		{event.Target{QuietHours: &event.QuietHours{}, Critical: []string{"a.b", "B"}}, "targets[0].critical[1]", `event type "B"`},
		{event.Target{Types: types}, "targets[0].types", "101, at most 100"},
		{event.Target{Critical: types}, "targets[0].critical", "101, at most 100"},
		{event.Target{Recipients: many}, "targets[0].recipients", "51, at most 50"},
	} {
		c.rules.Integration = "wa"
		m := event.Mapping{ID: "m", Pattern: "a:b", Types: []string{"a.b", "e.f"}, Targets: []event.Target{c.rules}}
		err := m.Validate()
		var at *event.FieldError
		if c.field == "" && err == nil {
			continue
		}
		if !errors.As(err, &at) || at.Field != c.field || !strings.Contains(at.Reason, c.reason) || !strings.HasPrefix(err.Error(), "mapping m: targets[0]") {
			t.Errorf("%+v: %v, want %s: %s", c.rules, err, c.field, c.reason)
		}
	}
	m := event.Mapping{ID: "m", Pattern: "a:b", Targets: []event.Target{{Integration: "wa", Types: []string{"x"}}}}
	if err := m.Validate(); err != nil {
		t.Errorf("a type of a mapping of all types: %v", err)
	}
}

func TestDeliveriesToRecipients(t *testing.T) {
	t.Parallel()
	id := event.DeliveryID("a:b", "e1", "wa")
	one, other := event.AddressedID(id, "+331"), event.AddressedID(id, "+332")
	if event.AddressedID(id, "") != id || one == id || one == other || len(one) != len(id) || !strings.HasPrefix(one, "dlv_") {
		t.Errorf("ids %s, %s, %s", id, one, other)
	}
	lanes := map[string]bool{}
	for _, d := range []event.Delivery{{Channel: "a"}, {Channel: "a", Recipient: "+331"}, {Channel: "a", Recipient: "+332"}, {Channel: "b", Recipient: "+331"}} {
		lanes[d.Lane()] = true
	}
	if len(lanes) != 4 {
		t.Errorf("lanes %v", lanes)
	}
}
