package vendors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// VenueMaster simulates a venue management system that takes webhooks {type, timestamp, data} and
// sends capacity, availability and set-up.
type VenueMaster struct{ *signed }

var _ Sender = (*VenueMaster)(nil)

// StartVenueMaster starts the simulator. ctx bounds the start only.
func StartVenueMaster(ctx context.Context, cfg Config) (*VenueMaster, error) {
	v := &VenueMaster{}
	err := startSigned(ctx, "venuemaster", "VenueMaster", event.VenueManagement, cfg, checkVenue, func(s *signed) Vendor {
		v.signed = s
		return v
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

func checkVenue(body []byte) error {
	var b struct {
		Type      string         `json:"type"`
		Timestamp string         `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return err
	}
	if err := isTime(map[string]any{"timestamp": b.Timestamp}, "timestamp"); err != nil {
		return err
	}
	if err := missing(b.Data, "client_id"); err != nil {
		return err
	}
	switch b.Type {
	case "guest_count.changed":
		if n, ok := b.Data["guest_count"].(float64); !ok || n < 0 {
			return errors.New("guest_count must be a number of at least 0")
		}
	case "timeline.updated", "wedding.date_changed":
		if err := missing(b.Data, "event_date"); err != nil {
			return err
		}
		return errors.Join(isTime(b.Data, "event_date"), isTime(b.Data, "previous_event_date"))
	default:
		return fmt.Errorf("type %q is not known", b.Type)
	}
	return nil
}

// Webhooks gives a realistic webhook of each type that the vendor sends.
func (v *VenueMaster) Webhooks() []Webhook {
	venue := func(more map[string]any) map[string]any {
		more["venue_id"], more["client_id"], more["venue_name"] = "ven_41", "cpl_7Qm2x", "Château de Vaux"
		more["room"] = "Orangerie"
		return more
	}
	return []Webhook{
		{Type: "capacity.changed", Data: venue(map[string]any{
			"capacity": 110, "previous_capacity": 140, "reason": "Fire inspection: the <b>west</b> door stays closed",
			"effective_from": "2026-06-01T00:00:00+02:00",
		})},
		{Type: "availability.changed", Data: venue(map[string]any{
			"date": "2026-06-20", "available": false, "reason": "Roof repair",
		})},
		{Type: "setup.changed", Data: venue(map[string]any{
			"layout": "Long tables", "setup_time": "2026-06-20T09:00:00+02:00", "notes": "Chairs come at 10",
		})},
	}
}
