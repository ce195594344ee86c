package vendors

import "context"

// VenueMaster simulates a venue management system.
type VenueMaster struct{ *venue }

var _ Sender = (*VenueMaster)(nil)

// StartVenueMaster starts the simulator. ctx bounds the start only.
func StartVenueMaster(ctx context.Context, cfg Config) (*VenueMaster, error) {
	s := &VenueMaster{}
	err := startVenue(ctx, "venuemaster", "VenueMaster", cfg, venueWords{
		client: "client_id", venue: "venue_id", name: "venue_name", room: "room",
		guests: "guest_count", start: "event_date", previousStart: "previous_event_date", end: "event_end",
		capacity: "capacity", previousCapacity: "previous_capacity", from: "effective_from",
		date: "date", available: "available", layout: "layout", setup: "setup_time", note: "notes", reason: "reason",
	}, func(v *venue) Vendor {
		s.venue = v
		return s
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
