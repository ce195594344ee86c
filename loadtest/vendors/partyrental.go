package vendors

import "context"

// PartyRental simulates the system of a rental company for tents, tables and chairs.
type PartyRental struct{ *venue }

var _ Sender = (*PartyRental)(nil)

// StartPartyRental starts the simulator. ctx bounds the start only.
func StartPartyRental(ctx context.Context, cfg Config) (*PartyRental, error) {
	s := &PartyRental{}
	err := startVenue(ctx, "partyrental", "PartyRental", cfg, venueWords{
		client: "customer_id", venue: "site_id", name: "site_name", room: "area",
		guests: "head_count", start: "event_start", previousStart: "previous_event_start", end: "event_end",
		capacity: "max_head_count", previousCapacity: "previous_max_head_count", from: "valid_from",
		date: "date", available: "available", layout: "floor_plan", setup: "delivery_time", note: "instructions", reason: "reason",
	}, func(v *venue) Vendor {
		s.venue = v
		return s
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
