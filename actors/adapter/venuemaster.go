package adapter

import (
	"encoding/json"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newVenueMaster()) }

// newVenueMaster connects VenueMaster, a venue management system.
//
// No API documentation of VenueMaster was found, so nothing here is the vendor's own protocol: both
// directions are generic signed webhooks (see signed.go) with the body {type, timestamp, data}, data
// in the field names that venue systems use.
//
// Settings: url. Secrets: signing, webhook.
func newVenueMaster() *signedVendor {
	sends := []string{TypeGuestCountChanged, TypeTimelineUpdated, TypeWeddingDateChanged}
	rules := venueMasterRules()
	return &signedVendor{
		desc: Description{
			Vendor:   "venuemaster",
			Name:     "VenueMaster",
			Category: event.VenueManagement,
			Documented: "Nothing: no API documentation of the vendor was found. Both directions are " +
				"Standard Webhooks 1.0 with the body {type, timestamp, data}.",
			Sends:    sends,
			Receives: sortedKeys(rules),
			Settings: signedSettings("https://venue.example.com/webhooks/wedding"),
			Secrets:  signedSecrets(),
			Samples:  samples(sends...),
		},
		encode: encodeVenueMaster,
		decode: func(body []byte) (Message, error) { return incoming(body, rules) },
	}
}

// venueMasterData is what a venue is told, whatever the type.
type venueMasterData struct {
	ClientID           string          `json:"client_id"`
	VenueID            string          `json:"venue_id,omitempty"`
	GuestCount         *int            `json:"guest_count,omitempty"`
	PreviousGuestCount *int            `json:"previous_guest_count,omitempty"`
	EventDate          string          `json:"event_date,omitempty"` // RFC 3339 with its offset kept
	PreviousEventDate  string          `json:"previous_event_date,omitempty"`
	Timeline           json.RawMessage `json:"timeline,omitempty"`
	Notes              json.RawMessage `json:"notes,omitempty"`
}

func encodeVenueMaster(ev *event.Event) (json.RawMessage, error) {
	p, err := readPayload(ev)
	if err != nil {
		return nil, err
	}
	var d venueMasterData
	if d.ClientID, err = p.need(fieldCoupleID); err != nil {
		return nil, err
	}
	if d.VenueID, err = p.text(fieldVenueID); err != nil {
		return nil, err
	}
	if p.has(fieldNotes) {
		d.Notes = p[fieldNotes]
	}
	if ev.Type == TypeGuestCountChanged {
		err = d.guests(p)
	} else {
		err = d.dates(p)
	}
	if err != nil {
		return nil, err
	}
	return outgoing(ev, d)
}

func (d *venueMasterData) guests(p payload) error {
	n, err := p.needInt("guestCount")
	if err != nil {
		return err
	}
	d.GuestCount = &n
	if before, given, err := p.int("previousGuestCount"); err != nil {
		return err
	} else if given {
		d.PreviousGuestCount = &before
	}
	return nil
}

func (d *venueMasterData) dates(p payload) (err error) {
	if d.EventDate, _, err = p.needTime(fieldCeremonyTime); err != nil {
		return err
	}
	if p.has("previousCeremonyTime") {
		if d.PreviousEventDate, _, err = p.needTime("previousCeremonyTime"); err != nil {
			return err
		}
	}
	if p.has(fieldSchedule) {
		d.Timeline = p[fieldSchedule]
	}
	return nil
}

// venueMasterRules are the webhooks taken from the venue, by the type of the event that they become.
func venueMasterRules() map[string][]rule {
	venue := []rule{
		{theirs: "venue_id", ours: fieldVenueID, read: readID, required: true},
		{theirs: "client_id", ours: fieldCoupleID, read: readID},
		{theirs: "venue_name", ours: fieldVenue, read: readText},
		{theirs: "room", ours: "room", read: readText},
		{theirs: "reason", ours: "reason", read: readText},
		{theirs: "notes", ours: fieldNotes, read: readText},
	}
	with := func(more ...rule) []rule { return append(more, venue...) }
	return map[string][]rule{
		TypeCapacityChanged: with(
			rule{theirs: "capacity", ours: "capacity", read: readPeople, required: true},
			rule{theirs: "previous_capacity", ours: "previousCapacity", read: readPeople},
			rule{theirs: "effective_from", ours: "effectiveFrom", read: readTime},
		),
		TypeAvailabilityChanged: with(
			rule{theirs: "date", ours: "date", read: readDate, required: true},
			rule{theirs: "available", ours: "available", read: readBool, required: true},
		),
		TypeSetupChanged: with(
			rule{theirs: "layout", ours: "layout", read: readText, required: true},
			rule{theirs: "setup_time", ours: "setupTime", read: readTime},
		),
	}
}
