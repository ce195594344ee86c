package adapter

// PartyRental, a rental company for tents, tables and chairs. No API documentation of it
// was found, so nothing here is the vendor's own protocol; see newVenue.
func init() {
	register(newVenue("partyrental", "PartyRental", venueWords{
		fieldCoupleID: "customer_id", fieldVenueID: "site_id", fieldVenue: "site_name", fieldRoom: "area",
		fieldGuestCount: "head_count", fieldPreviousGuestCount: "previous_head_count",
		fieldCeremonyTime: "event_start", fieldPreviousCeremonyTime: "previous_event_start", fieldEndTime: "event_end",
		fieldCapacity: "max_head_count", fieldPreviousCapacity: "previous_max_head_count", fieldEffectiveFrom: "valid_from",
		fieldDate: "date", fieldAvailable: "available", fieldLayout: "floor_plan", fieldSetupTime: "delivery_time",
		fieldSchedule: "run_sheet", fieldReason: "reason", fieldNotes: "instructions",
	}))
}
