package adapter

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/mail"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"github.com/wedsync/wedsync/actors/event"
)

// invitation is a wedding's entry in calendars (RFC 5545), without organizer and attendees, which
// are those of the settings when it is sent.
//
// All invitations of one wedding have the same UID. Sequence is the payload's field "sequence",
// where there is one; otherwise the event's position in the log, which grows, by more than one: what
// counts for calendars is that it is higher (RFC 5546, 2.1.4). A sender who gives sequences must
// give them in every event, since they are lower than positions.
type invitation struct {
	Method      string    `json:"method"` // REQUEST or CANCEL
	UID         string    `json:"uid"`
	Sequence    int       `json:"sequence"`
	Stamp       time.Time `json:"stamp"`
	Start       time.Time `json:"start,omitzero"`
	End         time.Time `json:"end,omitzero"`
	Summary     string    `json:"summary"`
	Location    string    `json:"location,omitempty"`
	Description string    `json:"description,omitempty"`
}

// invitedFor is how long a wedding is entered for that tells no end.
const invitedFor = time.Hour

// invite gives the invitation of an event, or nil where it tells nothing for calendars.
func invite(ev *event.Event, n *notice, p payload) (*invitation, error) {
	i := &invitation{Method: string(ics.MethodRequest)}
	switch ev.Type {
	case TypeWeddingCancelled:
		i.Method = string(ics.MethodCancel)
	case TypeWeddingDateChanged:
	case TypeTimelineUpdated, TypeBookingConfirmed:
		if !p.has(fieldCeremonyTime) {
			return nil, nil
		}
	default:
		return nil, nil
	}
	id := weddingOf(ev, p)
	if id == "" {
		return nil, &EncodeError{Field: fieldCoupleID, Reason: "is missing; the invitation is told by it"}
	}
	i.UID = weddingKey(id) + "@wedsync"
	i.Stamp = ev.OccurredAt.UTC().Truncate(time.Second)
	i.Summary, i.Description = "Wedding", n.plain()
	if n.couple != "" {
		i.Summary += ": " + n.couple
	}
	if venue, ok := scalar(p[fieldVenue]); ok {
		i.Location = shorten(oneLine(venue), 200)
	}
	if err := i.sequence(ev, p); err != nil {
		return nil, err
	}
	if err := i.times(p); err != nil {
		return nil, err
	}
	return i, nil
}

func (i *invitation) sequence(ev *event.Event, p payload) error {
	n, given, err := p.int(fieldSequence)
	if !given {
		n = int(ev.Seq & math.MaxInt32)
	}
	i.Sequence = n
	return err
}

func (i *invitation) times(p payload) error {
	if i.Method == string(ics.MethodCancel) && !p.has(fieldCeremonyTime) {
		return nil
	}
	_, start, err := p.needTime(fieldCeremonyTime)
	if err != nil {
		return err
	}
	end := start.Add(invitedFor)
	if p.has(fieldEndTime) {
		if _, end, err = p.needTime(fieldEndTime); err != nil {
			return err
		}
		if !end.After(start) {
			return &EncodeError{Field: fieldEndTime, Reason: "must be after ceremonyTime"}
		}
	}
	i.Start, i.End = start.UTC(), end.UTC()
	return nil
}

// text writes the iCalendar object.
func (i *invitation) text(from *mail.Address, to []*mail.Address) string {
	cal := ics.NewCalendar()
	cal.SetProductId("-//wedsync//wedsync//EN")
	cal.SetMethod(ics.Method(i.Method))
	e := cal.AddEvent(i.UID)
	e.SetDtStampTime(i.Stamp)
	e.SetSequence(i.Sequence)
	if !i.Start.IsZero() {
		e.SetStartAt(i.Start)
		e.SetEndAt(i.End)
	}
	e.SetSummary(i.Summary)
	if i.Location != "" {
		e.SetLocation(i.Location)
	}
	if i.Description != "" {
		e.SetDescription(i.Description)
	}
	e.SetStatus(ics.ObjectStatusConfirmed)
	if i.Method == string(ics.MethodCancel) {
		e.SetStatus(ics.ObjectStatusCancelled)
	}
	e.SetOrganizer(from.Address, named(from)...)
	for _, a := range to {
		e.AddAttendee(a.Address, append(named(a), ics.ParticipationStatusNeedsAction, ics.WithRSVP(true))...)
	}
	return cal.Serialize(ics.WithNewLine("\r\n"))
}

// named gives the name parameter, without the characters that a parameter cannot hold unquoted.
func named(a *mail.Address) []ics.PropertyParameter {
	name := oneLine(strings.NewReplacer(`"`, " ", `\`, " ", ";", " ", ":", " ", ",", " ").Replace(a.Name))
	if name == "" {
		return nil
	}
	return []ics.PropertyParameter{ics.WithCN(name)}
}

// weddingOf tells which wedding an event is about, or "".
func weddingOf(ev *event.Event, p payload) string {
	if ev.WeddingID != "" {
		return ev.WeddingID
	}
	id, _ := scalar(p[fieldCoupleID])
	return id
}

// weddingKey makes of a wedding's id what can stand before the "@" of a Message-ID or UID.
func weddingKey(id string) string {
	if !event.ValidSegment(id) {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:16])
	}
	return "wedding-" + id
}
