package adapter

// Event types that adapters know by name. Others pass through the adapters that take all types.
const (
	TypeTimelineUpdated     = "timeline.updated"
	TypeWeddingDateChanged  = "wedding.date_changed"
	TypeWeddingCancelled    = "wedding.cancelled"
	TypeGuestCountChanged   = "guest_count.changed"
	TypeBookingConfirmed    = "booking.confirmed"
	TypeBookingUpdated      = "booking.updated"
	TypeBookingCancelled    = "booking.cancelled"
	TypeCapacityChanged     = "capacity.changed"
	TypeAvailabilityChanged = "availability.changed"
	TypeSetupChanged        = "setup.changed"
	TypeEventDetails        = "event.details"     // all that a venue and the couple must agree on, as one of them has it
	TypeClientMessage       = "client.message"    // somebody wrote to a couple, or about them
	TypeDeliveryStatus      = "delivery.status"   // what a vendor says became of a message it had accepted
	TypeMessageReceived     = "message.received"  // somebody wrote
	TypeReactionReceived    = "reaction.received" // somebody reacted to a message
)

// AnyType stands for every event type in what a vendor receives.
const AnyType = "*"

// The names of payload fields that several adapters read or write.
const (
	fieldCoupleID             = "coupleId"
	fieldCoupleName           = "coupleName"
	fieldCeremonyTime         = "ceremonyTime"
	fieldPreviousCeremonyTime = "previousCeremonyTime"
	fieldEndTime              = "endTime"
	fieldVenue                = "venue"
	fieldVenueID              = "venueId"
	fieldVenueEventID         = "venueEventId" // the venue's own id of the event
	fieldRoom                 = "room"
	fieldGuestCount           = "guestCount"
	fieldPreviousGuestCount   = "previousGuestCount"
	fieldCapacity             = "capacity"
	fieldPreviousCapacity     = "previousCapacity"
	fieldEffectiveFrom        = "effectiveFrom"
	fieldDate                 = "date"
	fieldAvailable            = "available"
	fieldLayout               = "layout"
	fieldSetupTime            = "setupTime"
	fieldSchedule             = "schedule"
	fieldReason               = "reason"
	fieldNotes                = "notes"
	fieldText                 = "text"
	fieldSequence             = "sequence"
)
