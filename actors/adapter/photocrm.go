package adapter

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/wedsync/wedsync/actors/event"
)

// photoCRM connects a CRM for photography studios that has no API for what we send: generic signed
// webhooks (see signed.go) for a service that the studio puts before its account. The body is the
// photo-CRM body of VENDORS.md, always with its five fields; those that an event says nothing about are
// null. Documented says what of it is the vendor's own.
//
// Settings: url. Secrets: signing, webhook.
type photoCRM struct{ *signedVendor }

var (
	_ Adapter       = (*photoCRM)(nil)
	_ ProfileKeeper = (*photoConn)(nil)
)

func newPhotoCRM(vendor, name, documented string) *photoCRM {
	sends := []string{TypeTimelineUpdated, TypeWeddingDateChanged, TypeBookingConfirmed, TypeClientMessage}
	rules := photoRules()
	return &photoCRM{&signedVendor{
		desc: Description{
			Vendor:     vendor,
			Name:       name,
			Category:   event.PhotographyCRM,
			Documented: documented,
			Sends:      sends,
			Receives:   sortedKeys(rules),
			Profiles:   true,
			Settings:   signedSettings("https://studio.example.com/webhooks/wedding"),
			Secrets:    signedSecrets(),
			Samples:    samples(sends...),
		},
		encode: encodePhoto,
		decode: func(body []byte) (Message, error) { return incoming(body, rules) },
	}}
}

// Connect is signedVendor's.
func (v *photoCRM) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&v.desc, in, secrets)
	c := &photoConn{v.bind(f)}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// photoConn is a photoCRM bound to one integration.
type photoConn struct{ *signedConn }

// photoProfile is the body of a client's profile. Its order of fields is the order on the wire.
type photoProfile struct {
	ClientID    string  `json:"client_id"`
	Name        string  `json:"name"`
	Email       *string `json:"email"`
	Phone       *string `json:"phone"`
	WeddingDate *string `json:"wedding_date"` // a date, or a time with its offset
	Venue       *string `json:"venue"`
	Notes       *string `json:"notes"`
}

// EncodeProfile makes a body that has always all fields; those that the profile says nothing about are null.
func (c *photoConn) EncodeProfile(p *event.Profile) (json.RawMessage, error) {
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	raw, err := json.Marshal(photoProfile{
		ClientID: p.ClientID, Name: p.Name, Email: given(p.Email), Phone: given(p.Phone),
		WeddingDate: given(p.WeddingDate), Venue: given(p.Venue), Notes: given(p.Notes),
	})
	if err != nil {
		return nil, fmt.Errorf("write the body of a profile: %w", err)
	}
	return raw, nil
}

// Classify reads of a profile's answer, too, whether the client was new: 201 says so, 200 that it was not.
func (c *photoConn) Classify(d *event.Delivery, a *event.Answer) Verdict {
	v := c.signedConn.Classify(d, a)
	v.Kept = keptByStatus(d, a)
	return v
}

// keptByStatus goes by what RFC 9110 says of an answer to a PUT or POST: 201, something was created.
func keptByStatus(d *event.Delivery, a *event.Answer) event.ProfileOutcome {
	switch {
	case d == nil || d.EventType != event.TypeClientProfile:
	case a.Status == http.StatusCreated:
		return event.ProfileCreated
	case a.Status == http.StatusOK:
		return event.ProfileUpdated
	}
	return ""
}

// photoBody is the photo-CRM body. Its order of fields is the order on the wire.
type photoBody struct {
	ClientID        string          `json:"client_id"`        // coupleId
	ShootDate       *string         `json:"shoot_date"`       // ceremonyTime, RFC 3339 with its offset kept
	Location        *string         `json:"location"`         // venue
	Timeline        json.RawMessage `json:"timeline"`         // schedule, as it stands
	SpecialRequests json.RawMessage `json:"special_requests"` // notes, or what somebody wrote
}

func encodePhoto(ev *event.Event) (json.RawMessage, error) {
	p, err := readPayload(ev)
	if err != nil {
		return nil, err
	}
	b := photoBody{Timeline: p.raw(fieldSchedule), SpecialRequests: p.raw(fieldNotes)}
	if b.ClientID, err = p.need(fieldCoupleID); err != nil {
		return nil, err
	}
	if ev.Type == TypeClientMessage {
		if _, err = p.need(fieldText); err != nil {
			return nil, err
		}
		b.SpecialRequests = p.raw(fieldText)
	}
	if ev.Type != TypeClientMessage || p.has(fieldCeremonyTime) { // who writes need not say when the wedding is
		date, _, err := p.needTime(fieldCeremonyTime)
		if err != nil {
			return nil, err
		}
		b.ShootDate = &date
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

// photoRules are the webhooks taken from a studio: bookings, by the type of the event that
// they become.
func photoRules() map[string][]rule {
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
