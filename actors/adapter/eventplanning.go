package adapter

// EventPlanning.com, an event planner's system. No API documentation of it
// was found, so nothing here is the vendor's own protocol; see newVenue.
func init() {
	register(newVenue("eventplanning", "EventPlanning.com", venueWords{
		fieldCoupleID: "clientId", fieldVenueID: "venueId", fieldVenue: "venueName", fieldRoom: "space",
		fieldGuestCount: "attendees", fieldPreviousGuestCount: "previousAttendees",
		fieldCeremonyTime: "startsAt", fieldPreviousCeremonyTime: "previousStartsAt", fieldEndTime: "endsAt",
		fieldCapacity: "maxAttendees", fieldPreviousCapacity: "previousMaxAttendees", fieldEffectiveFrom: "effectiveFrom",
		fieldDate: "date", fieldAvailable: "available", fieldLayout: "seatingPlan", fieldSetupTime: "setupAt",
		fieldSchedule: "agenda", fieldReason: "reason", fieldNotes: "comments",
	}))
}
