package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// addressed writes matches as "integration>recipient/mapping".
func addressed(matches []registry.Match) string {
	all := make([]string, len(matches))
	for i, m := range matches {
		all[i] = fmt.Sprintf("%s>%s/%s", m.Entry.Integration.ID, m.Recipient, m.Mapping)
	}
	return strings.Join(all, " ")
}

// An event goes to each recipient once: by the first mapping that names the recipient.
func TestResolveRecipients(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, event.Integration{ID: "wa", Vendor: "whatsapp", Settings: []byte(`{"phone_number_id":"106540352242922","to":"+33612345678"}`)})
	put(t, r, event.Integration{ID: "mail", Vendor: "email", Settings: []byte(`{"host":"smtp.example.com","from":"a@example.com","to":"b@example.com"}`)})
	putMapping(t, r, "m1", "a:*", nil,
		event.Target{Integration: "wa", Recipients: []string{"+33600000002", "+33600000001"}, Types: []string{"x"}},
		event.Target{Category: event.WhatsAppBusiness, Recipients: []string{"+33600000001", "+33600000003"}},
		event.Target{Integration: "mail", Types: []string{"y"}})
	putMapping(t, r, "m2", "a:*", nil,
		event.Target{Integration: "wa", Recipients: []string{"+33600000001", "+33600000004"}}, event.Target{Integration: "wa"})
	for eventType, want := range map[string]string{
		"x": "wa>/m2 wa>+33600000001/m1 wa>+33600000002/m1 wa>+33600000003/m1 wa>+33600000004/m2",
		"y": "mail>/m1 wa>/m2 wa>+33600000001/m1 wa>+33600000003/m1 wa>+33600000004/m2",
	} {
		ev := &event.Event{Channel: "a:b", Type: eventType, Payload: []byte(`{"n":1}`)}
		if got := addressed(r.Resolve(ev)); got != want {
			t.Errorf("%s goes to %s, want %s", eventType, got, want)
		}
	}
	// With a condition that is false the next mapping has its say for the recipients that it names.
	m := slices.Clone(r.Mappings())[0]
	m.When = "payload.n > 1"
	replaceMapping(t, r, m)
	chosen, passed := r.Explain(&event.Event{Channel: "a:b", Type: "y", Payload: []byte(`{"n":1}`)})
	if got := addressed(chosen) + " passed " + addressed(passed); got != "wa>/m2 wa>+33600000001/m2 wa>+33600000004/m2 passed mail>/m1 wa>+33600000003/m1" {
		t.Errorf("got %s", got)
	}
}

func TestRecipientsAreCheckedByTheirService(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, event.Integration{ID: "wa", Vendor: "whatsapp", Settings: []byte(`{"phone_number_id":"106540352242922","to":"+33612345678"}`)})
	put(t, r, studio("crm", ""))
	for _, c := range []struct {
		target        event.Target
		field, reason string
	}{
		{target: event.Target{Integration: "wa", Recipients: []string{"+33612345678"}}},
		{target: event.Target{Integration: "not-there-yet", Recipients: []string{"anything"}}},
		{target: event.Target{Category: event.EmailService, Recipients: []string{"a@example.com", "Amélie <b@example.com>"}}},
		{target: event.Target{Category: event.SlackNotifications, Recipients: []string{"C024BE91L", "#weddings"}}},
		{event.Target{Integration: "wa", Recipients: []string{"+33612345678", "0612345678"}}, "targets[1].recipients[1]", `"0612345678" is not a number such as +33612345678`},
		{event.Target{Category: event.EmailService, Recipients: []string{"+33612345678"}}, "targets[1].recipients[0]", "is not an address"},
		{event.Target{Category: event.SlackNotifications, Recipients: []string{"a@example.com"}}, "targets[1].recipients[0]", "is not a channel"},
		{event.Target{Integration: "crm", Recipients: []string{"x"}}, "targets[1].recipients[0]", "studiocloud sends to nobody but whom its settings name"},
		{event.Target{Category: event.PhotographyCRM, Recipients: []string{"x"}}, "targets[1].recipients[0]", "leave recipients out"},
	} {
		m := event.Mapping{ID: "m", Pattern: "a:b", Targets: []event.Target{{Integration: "crm"}, c.target}}
		_, err := r.PutMapping(t.Context(), m)
		_, trial := r.Try(m)
		var at *event.FieldError
		if c.field == "" {
			if err != nil || trial != nil {
				t.Errorf("%+v: %v, %v", c.target, err, trial)
			}
			continue
		}
		if !errors.As(err, &at) || !errors.As(trial, new(*registry.InvalidError)) || at.Field != c.field || !strings.Contains(at.Reason, c.reason) {
			t.Errorf("%+v: %v", c.target, err)
		}
	}
	for field, q := range map[string]event.QuietHours{
		"from": {From: "x", To: "07:00", TimeZone: "UTC"}, "to": {From: "22:00", To: "22:00", TimeZone: "UTC"}, "timeZone": {From: "22:00", To: "07:00", TimeZone: "Paris"},
	} {
		err := registry.CheckMapping(event.Mapping{ID: "m", Pattern: "a:b", Targets: []event.Target{{Integration: "wa", QuietHours: &q}}})
		var at *event.FieldError
		if !errors.As(err, &at) || at.Field != "targets[0].quietHours."+field {
			t.Errorf("%+v: %v", q, err)
		}
	}
	all := r.Mappings()
	all[0].Targets[1].Recipients[0] = "changed"
	if r.Mappings()[0].Targets[1].Recipients[0] == "changed" {
		t.Error("what the caller changed came into the registry")
	}
}
