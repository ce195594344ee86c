package vendors

import "context"

// EventPlanning simulates an event planner's system.
type EventPlanning struct{ *venue }

var _ Sender = (*EventPlanning)(nil)

// StartEventPlanning starts the simulator. ctx bounds the start only.
func StartEventPlanning(ctx context.Context, cfg Config) (*EventPlanning, error) {
	s := &EventPlanning{}
	err := startVenue(ctx, "eventplanning", "EventPlanning.com", cfg, venueWords{
		client: "clientId", venue: "venueId", name: "venueName", room: "space",
		guests: "attendees", start: "startsAt", previousStart: "previousStartsAt", end: "endsAt",
		capacity: "maxAttendees", previousCapacity: "previousMaxAttendees", from: "effectiveFrom",
		date: "date", available: "available", layout: "seatingPlan", setup: "setupAt", note: "comments", reason: "reason",
	}, func(v *venue) Vendor {
		s.venue = v
		return s
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
