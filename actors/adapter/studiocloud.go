package adapter

import (
	"encoding/json"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newStudioCloud()) }

// newStudioCloud connects Studio Cloud, a CRM for photography studios.
//
// Studio Cloud's API is deprecated and unsupported, so nothing here is the vendor's own protocol:
// calls are generic signed webhooks (see signed.go) for a service that the studio puts before its
// account. The body is the photo-CRM body of VENDORS.md, always with its five fields; those that an
// event says nothing about are null.
//
// Settings: url. Secrets: signing, webhook.
func newStudioCloud() *signedVendor {
	sends := []string{TypeTimelineUpdated, TypeWeddingDateChanged, TypeBookingConfirmed}
	rules := studioCloudRules()
	return &signedVendor{
		desc: Description{
			Vendor:   "studiocloud",
			Name:     "Studio Cloud",
			Category: event.PhotographyCRM,
			Documented: "Nothing: the vendor's API is deprecated and unsupported. Calls are signed by " +
				"Standard Webhooks 1.0; the body has the fields that photo CRMs use.",
			Sends:    sends,
			Receives: sortedKeys(rules),
			Settings: signedSettings("https://studio.example.com/webhooks/wedding"),
			Secrets:  signedSecrets(),
			Samples:  samples(sends...),
		},
		encode: encodeStudioCloud,
		decode: func(body []byte) (Message, error) { return incoming(body, rules) },
	}
}

// studioCloudBody is the photo-CRM body. Its order of fields is the order on the wire.
type studioCloudBody struct {
	ClientID        string          `json:"client_id"`  // coupleId
	ShootDate       string          `json:"shoot_date"` // ceremonyTime, RFC 3339 with its offset kept
	Location        *string         `json:"location"`   // venue
	Timeline        json.RawMessage `json:"timeline"`   // schedule, as it stands
	SpecialRequests json.RawMessage `json:"special_requests"`
}

func encodeStudioCloud(ev *event.Event) (json.RawMessage, error) {
	p, err := readPayload(ev)
	if err != nil {
		return nil, err
	}
	b := studioCloudBody{Timeline: p.raw(fieldSchedule), SpecialRequests: p.raw(fieldNotes)}
	if b.ClientID, err = p.need(fieldCoupleID); err != nil {
		return nil, err
	}
	if b.ShootDate, _, err = p.needTime(fieldCeremonyTime); err != nil {
		return nil, err
	}
	venue, err := p.text(fieldVenue)
	if err != nil {
		return nil, err
	}
	if venue != "" {
		b.Location = &venue
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write the body of %s: %w", ev.Type, err)
	}
	return raw, nil
}

// studioCloudRules are the webhooks taken from the studio: bookings, by the type of the event that
// they become.
func studioCloudRules() map[string][]rule {
	booking := []rule{
		{theirs: "client_id", ours: fieldCoupleID, read: readID, required: true},
		{theirs: "booking_id", ours: "bookingId", read: readID, required: true},
		{theirs: "shoot_date", ours: fieldCeremonyTime, read: readTime},
		{theirs: "location", ours: fieldVenue, read: readText},
		{theirs: "package", ours: "package", read: readText},
		{theirs: "photographer", ours: "photographer", read: readText},
		{theirs: "status", ours: "status", read: readText},
		{theirs: "notes", ours: fieldNotes, read: readText},
	}
	return map[string][]rule{
		TypeBookingConfirmed: booking,
		TypeBookingUpdated:   booking,
		TypeBookingCancelled: booking,
	}
}
