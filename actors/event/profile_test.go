package event_test

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

func TestProfileCheck(t *testing.T) {
	t.Parallel()
	full := event.Profile{
		ClientID: "cpl_7Qm2x.-", Name: "Amélie & Jonas", Email: "amelie+wedding@example.com", Phone: "+33 (0)6/12-34.56",
		WeddingDate: "2027-06-12T16:00:00+02:00", Venue: "Old Mill", Notes: strings.Repeat("é", event.MaxProfileNotes),
	}
	for _, good := range []event.Profile{full, {ClientID: "c", Name: "B"}, {ClientID: "c", Name: "B", WeddingDate: "2027-06-12"}} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for field, values := range map[string][]string{
		"clientId":    {"", "a b", "a:b", "é", strings.Repeat("c", 65)},
		"name":        {"", " \t", strings.Repeat("n", event.MaxProfileName+1)},
		"email":       {"nobody", "Amélie <a@example.com>", "a@example.com, b@example.com", "a@", strings.Repeat("a", 250) + "@b.co"},
		"phone":       {"call me", "+", strings.Repeat("1", 33)},
		"weddingDate": {"soon", "2027-13-01", "12.06.2027", "2027-06-12T16:00:00"},
		"venue":       {strings.Repeat("v", event.MaxProfileVenue+1)},
		"notes":       {strings.Repeat("é", event.MaxProfileNotes+1)},
	} {
		for _, value := range values {
			bad := full
			*map[string]*string{
				"clientId": &bad.ClientID, "name": &bad.Name, "email": &bad.Email, "phone": &bad.Phone,
				"weddingDate": &bad.WeddingDate, "venue": &bad.Venue, "notes": &bad.Notes,
			}[field] = value
			if err := bad.Check(); err == nil || err.Field != field || len(value) > 4 && strings.Contains(err.Reason, value) {
				t.Errorf("%s %.40q: %v", field, value, err)
			}
		}
	}
}

func TestProfileSyncCounts(t *testing.T) {
	t.Parallel()
	var s event.ProfileSync
	for i, o := range []event.ProfileOutcome{event.ProfilePending, event.ProfileCreated, event.ProfileUpdated, event.ProfileUnchanged, event.ProfileFailed} {
		for range i + 1 {
			s.Add(event.ProfileResult{ClientID: "c", Outcome: o})
		}
	}
	if s.Total != 15 || s.Pending != 1 || s.Created != 2 || s.Updated != 3 || s.Unchanged != 4 || s.Failed != 5 || len(s.Results) != 15 {
		t.Errorf("%+v", s)
	}
}
