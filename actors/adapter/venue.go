package adapter

import (
	"encoding/json"

	"github.com/wedsync/wedsync/actors/event"
)

// venueWords are a venue system's names of fields, by ours.
type venueWords map[string]string

// newVenue connects a venue system that publishes no API: generic signed webhooks (see signed.go) in
// both directions with the body {type, timestamp, data}, data in the words that such a system uses.
//
// Settings: url. Secrets: signing, webhook.
func newVenue(vendor, name string, words venueWords) *signedVendor {
	sends := []string{TypeGuestCountChanged, TypeTimelineUpdated, TypeWeddingDateChanged, TypeSetupChanged, TypeEventDetails}
	out, in := venueOut(words), venueIn(words)
	return &signedVendor{
		desc: Description{
			Vendor:   vendor,
			Name:     name,
			Category: event.VenueManagement,
			Documented: "Nothing: no API documentation of the vendor was found. Both directions are " +
				"Standard Webhooks 1.0 with the body {type, timestamp, data}.",
			Sends:    sends,
			Receives: sortedKeys(in),
			Settings: signedSettings("https://venue.example.com/webhooks/wedding"),
			Secrets:  signedSecrets(),
			Samples:  samples(sends...),
		},
		encode: func(ev *event.Event) (json.RawMessage, error) { return outgoingBy(ev, out) },
		decode: func(body []byte) (Message, error) { return incoming(body, in) },
	}
}

// rule gives the rule of a field, as it is optional.
func (w venueWords) rule(ours string, read func(json.RawMessage) (any, string)) rule {
	theirs, ok := w[ours]
	if !ok {
		panic("adapter: a venue system has no word for " + ours)
	}
	return rule{theirs: theirs, ours: ours, read: read}
}

// need is rule of a field that must be there.
func (w venueWords) need(ours string, read func(json.RawMessage) (any, string)) rule {
	r := w.rule(ours, read)
	r.required = true
	return r
}

// venueOut are the rules for what a venue is told, by event type.
func venueOut(w venueWords) map[string][]rule {
	with := func(more ...rule) []rule {
		return append([]rule{w.need(fieldCoupleID, readText), w.rule(fieldVenueID, readText), w.rule(fieldNotes, readAny)}, more...)
	}
	when := []rule{
		w.need(fieldCeremonyTime, readTime), w.rule(fieldPreviousCeremonyTime, readTime),
		w.rule(fieldEndTime, readTime), w.rule(fieldSchedule, readAny),
	}
	return map[string][]rule{
		TypeGuestCountChanged:  with(w.need(fieldGuestCount, readPeople), w.rule(fieldPreviousGuestCount, readPeople)),
		TypeTimelineUpdated:    with(when...),
		TypeWeddingDateChanged: with(when...),
		TypeSetupChanged:       with(w.rule(fieldRoom, readText), w.need(fieldLayout, readText), w.rule(fieldSetupTime, readTime)),
		TypeEventDetails: with(append(venueDetails(w),
			w.rule(fieldVenue, readText), w.rule(fieldRoom, readText), w.rule(fieldSchedule, readAny))...),
	}
}

// venueIn are the rules for what a venue tells, by the type of the event that it becomes.
func venueIn(w venueWords) map[string][]rule {
	with := func(more ...rule) []rule {
		return append(more, w.need(fieldVenueID, readID), w.rule(fieldCoupleID, readID), w.rule(fieldVenue, readText),
			w.rule(fieldRoom, readText), w.rule(fieldReason, readText), w.rule(fieldNotes, readText))
	}
	return map[string][]rule{
		TypeCapacityChanged: with(
			w.need(fieldCapacity, readPeople), w.rule(fieldPreviousCapacity, readPeople), w.rule(fieldEffectiveFrom, readTime)),
		TypeAvailabilityChanged: with(w.need(fieldDate, readDate), w.need(fieldAvailable, readBool)),
		TypeSetupChanged:        with(w.need(fieldLayout, readText), w.rule(fieldSetupTime, readTime)),
		TypeEventDetails:        with(venueDetails(w)...),
	}
}

// venueDetails are the rules for what an event is made of, the same in both directions.
func venueDetails(w venueWords) []rule {
	return []rule{
		w.need(fieldCeremonyTime, readTime), w.rule(fieldEndTime, readTime), w.rule(fieldGuestCount, readPeople),
		w.rule(fieldLayout, readText), w.rule(fieldSetupTime, readTime),
	}
}
