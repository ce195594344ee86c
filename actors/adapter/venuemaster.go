package adapter

// VenueMaster, a venue management system. No API documentation of it
// was found, so nothing here is the vendor's own protocol; see newVenue.
func init() {
	register(newVenue("venuemaster", "VenueMaster", venueWords{
		fieldCoupleID: "client_id", fieldVenueID: "venue_id", fieldVenue: "venue_name", fieldRoom: "room",
		fieldGuestCount: "guest_count", fieldPreviousGuestCount: "previous_guest_count",
		fieldCeremonyTime: "event_date", fieldPreviousCeremonyTime: "previous_event_date", fieldEndTime: "event_end",
		fieldCapacity: "capacity", fieldPreviousCapacity: "previous_capacity", fieldEffectiveFrom: "effective_from",
		fieldDate: "date", fieldAvailable: "available", fieldLayout: "layout", fieldSetupTime: "setup_time",
		fieldSchedule: "timeline", fieldReason: "reason", fieldNotes: "notes",
	}))
}
