package vendors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/wedsync/wedsync/actors/event"
)

// photoCRM simulates the service before a studio's account. It takes the photo-CRM body {client_id,
// shoot_date, location, timeline, special_requests} and clients' profiles, and nothing else, and sends bookings.
type photoCRM struct{ *signed }

// startPhotoCRM starts a simulator; outer makes what it is to the tests of it.
func startPhotoCRM[V Sender](ctx context.Context, name, title string, cfg Config, outer func(*photoCRM) V) (v V, err error) {
	err = startSigned(ctx, name, title, event.PhotographyCRM, cfg, checkShoot, func(s *signed) Vendor {
		s.clients = newClients()
		v = outer(&photoCRM{s})
		return v
	})
	return v, err
}

func checkShoot(body []byte) error {
	var b map[string]any
	if err := json.Unmarshal(body, &b); err != nil {
		return err
	}
	fields := []string{"client_id", "location", "shoot_date", "special_requests", "timeline"}
	if got := slices.Sorted(maps.Keys(b)); !slices.Equal(got, fields) {
		return fmt.Errorf("the fields must be %v, not %v", fields, got)
	}
	if _, ok := b["location"].(string); b["location"] != nil && !ok {
		return errors.New("location must be a text or null")
	}
	if b["shoot_date"] == nil { // a message
		return missing(b, "client_id", "special_requests")
	}
	return errors.Join(missing(b, "client_id"), isTime(b, "shoot_date"))
}

// Clients gives the studio's clients by id, as they were told of last.
func (v *photoCRM) Clients() map[string]map[string]any { return v.clients.all() }

// Webhooks gives a realistic webhook of each type that the vendor sends.
func (v *photoCRM) Webhooks() []Webhook {
	data := func(status string) map[string]any {
		return map[string]any{
			"client_id": "cpl_7Qm2x", "booking_id": "bkg_9931", "shoot_date": "2026-06-20T14:30:00+02:00",
			"location": "Château de Vaux, Orangerie", "package": "Full day", "photographer": "Léa Martin",
			"status": status, "notes": "Second photographer <confirmed> & briefed",
		}
	}
	return []Webhook{
		{Type: "booking.confirmed", Data: data("confirmed")},
		{Type: "booking.updated", Data: data("rescheduled")},
		{Type: "booking.cancelled", Data: data("cancelled")},
	}
}
