package adapter

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/wedsync/wedsync/actors/event"
)

// notice is an event told to people: what Slack, WhatsApp and e-mail have in common. It is the same
// for the same event, whatever the order of the payload's keys.
type notice struct {
	title    string // such as "Timeline updated"
	couple   string // who it is about, or ""
	lines    []line // facts, those that people look for first coming first
	schedule []string
	notes    string
}

type line struct{ label, value string }

// labelled is a payload field with a label of its own.
type labelled struct{ field, label string }

// Bounds on a notice; the vendors' own come on top.
const (
	maxNoticeLines    = 40
	maxNoticeSchedule = 100
	maxNoticeValue    = 2000 // characters
)

// known are the payload fields with a label of their own, in the order in which they are shown.
func known() []labelled {
	return []labelled{
		{fieldCeremonyTime, "Ceremony"},
		{fieldEndTime, "Ends"},
		{fieldDate, "Date"},
		{fieldAvailable, "Available"},
		{fieldVenue, "Venue"},
		{fieldRoom, "Room"},
		{fieldCapacity, "Capacity"},
		{fieldGuestCount, "Guests"},
		{fieldLayout, "Layout"},
		{fieldSetupTime, "Set-up"},
		{"status", "Status"},
		{fieldReason, "Reason"},
	}
}

func titles() map[string]string {
	return map[string]string{
		TypeTimelineUpdated:     "Timeline updated",
		TypeWeddingDateChanged:  "Wedding date changed",
		TypeWeddingCancelled:    "Wedding cancelled",
		TypeGuestCountChanged:   "Guest count changed",
		TypeBookingConfirmed:    "Booking confirmed",
		TypeBookingUpdated:      "Booking updated",
		TypeBookingCancelled:    "Booking cancelled",
		TypeCapacityChanged:     "Venue capacity changed",
		TypeAvailabilityChanged: "Venue availability changed",
		TypeSetupChanged:        "Venue set-up changed",
		TypeEventDetails:        "Event details",
		TypeClientMessage:       "Message about a wedding",
		event.BurnStarted:       "Error budget burns",
		event.BurnEnded:         "Error budget burns no more",
	}
}

// teller makes notices. It is immutable.
type teller struct {
	known   []labelled
	isKnown map[string]bool // by field
	titles  map[string]string
}

func newTeller() *teller {
	t := &teller{known: known(), isKnown: map[string]bool{}, titles: titles()}
	for _, k := range t.known {
		t.isKnown[k.field] = true
	}
	return t
}

// tell makes the notice of an event, with its decoded payload.
func (t *teller) tell(ev *event.Event) (*notice, payload, error) {
	p, err := readPayload(ev)
	if err != nil {
		return nil, nil, err
	}
	n := &notice{title: t.title(ev.Type)}
	for _, name := range []string{fieldCoupleName, fieldCoupleID} {
		if s, ok := scalar(p[name]); ok && n.couple == "" {
			n.couple = shorten(oneLine(s), 120)
		}
	}
	if s, ok := scalar(p[fieldNotes]); ok {
		n.notes = shorten(strings.TrimSpace(s), maxNoticeValue)
	}
	n.schedule = readSchedule(p[fieldSchedule])
	for _, k := range t.known {
		n.add(p, k.field, k.label)
	}
	for _, name := range sortedKeys(p) {
		if !t.isKnown[name] && !hidden(p, name) {
			n.add(p, name, humanise(name))
		}
	}
	return n, p, nil
}

func (t *teller) title(eventType string) string {
	if s, ok := t.titles[eventType]; ok {
		return s
	}
	return humanise(eventType)
}

// add appends a field that is a plain value, with what it was before if that is told.
func (n *notice) add(p payload, name, label string) {
	value, ok := scalar(p[name])
	if !ok || value == "" || len(n.lines) == maxNoticeLines {
		return
	}
	value = humanValue(value)
	if before, ok := scalar(p[previous(name)]); ok && before != "" {
		value += " (was " + humanValue(before) + ")"
	}
	n.lines = append(n.lines, line{label, shorten(value, maxNoticeValue)})
}

// hidden reports whether a field says nothing to people, or is told in another place.
func hidden(p payload, name string) bool {
	switch name {
	case "", fieldCoupleName, fieldSchedule, fieldNotes, fieldSequence:
		return true
	}
	if rest, ok := strings.CutPrefix(name, "previous"); ok && rest != "" {
		_, paired := scalar(p[strings.ToLower(rest[:1])+rest[1:]])
		return paired
	}
	return strings.HasSuffix(name, "Id")
}

func previous(name string) string { return "previous" + strings.ToUpper(name[:1]) + name[1:] }

// readSchedule gives one text for each entry of a schedule: a text, an array of texts or of objects
// {time, title}. Anything else gives none.
func readSchedule(raw json.RawMessage) []string {
	if s, ok := scalar(raw); ok {
		if s = strings.TrimSpace(s); s == "" {
			return nil
		}
		return []string{shorten(s, maxNoticeValue)}
	}
	var items []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &items) != nil {
		return nil
	}
	var all []string
	for _, item := range items[:min(len(items), maxNoticeSchedule)] {
		s, ok := scalar(item)
		if !ok {
			var entry map[string]json.RawMessage
			if json.Unmarshal(item, &entry) != nil {
				continue
			}
			at, _ := scalar(entry["time"])
			title, _ := scalar(entry["title"])
			s = humanValue(at) + "  " + title
		}
		if s = strings.TrimSpace(oneLineKeep(s)); s != "" {
			all = append(all, shorten(s, 200))
		}
	}
	return all
}

// plain gives the notice as text of several lines.
func (n *notice) plain() string {
	var b strings.Builder
	b.WriteString(n.heading())
	for _, l := range n.lines {
		b.WriteString("\n" + l.label + ": " + l.value)
	}
	if len(n.schedule) > 0 {
		b.WriteString("\n\nSchedule")
		for _, s := range n.schedule {
			b.WriteString("\n" + s)
		}
	}
	if n.notes != "" {
		b.WriteString("\n\nNotes: " + n.notes)
	}
	return b.String()
}

// heading is the notice in a few words.
func (n *notice) heading() string {
	if n.couple == "" {
		return n.title
	}
	return n.title + ": " + n.couple
}

// humanValue shows a time as people write it; everything else on one line.
func humanValue(s string) string {
	if len(s) >= len("2006-01-02T15:04:05Z") && s[4] == '-' && s[10] == 'T' {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t.Format("Monday 2 January 2006, 15:04 (UTC-07:00)")
		}
	}
	return oneLine(s)
}

// humanise makes words of a field's or type's name: "guestCount" and "guest_count" give "Guest count".
func humanise(name string) string {
	var b strings.Builder
	for i, r := range shorten(oneLine(name), 64) {
		switch {
		case r == '_' || r == '.' || r == '-':
			b.WriteByte(' ')
		case unicode.IsUpper(r) && i > 0:
			b.WriteByte(' ')
			b.WriteRune(unicode.ToLower(r))
		case i == 0:
			b.WriteRune(unicode.ToUpper(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// oneLineKeep is oneLine that keeps runs of spaces.
func oneLineKeep(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, s)
}
