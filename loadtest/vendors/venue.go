package vendors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// venue simulates a venue system that takes webhooks {type, timestamp, data} and sends capacity,
// availability, set-up and the details of events, in words of its own.
type venue struct {
	*signed
	words venueWords
}

// venueWords are the names of fields.
type venueWords struct {
	client, venue, name, room            string
	guests, start, previousStart, end    string
	capacity, previousCapacity, from     string
	date, available, layout, setup, note string
	reason                               string
}

func startVenue(ctx context.Context, name, title string, cfg Config, words venueWords, outer func(*venue) Vendor) error {
	v := &venue{words: words}
	return startSigned(ctx, name, title, event.VenueManagement, cfg, words.check, func(s *signed) Vendor {
		v.signed = s
		return outer(v)
	})
}

func (w *venueWords) check(body []byte) error {
	kind, data, err := readSigned(body)
	if err != nil {
		return err
	}
	if err := missing(data, w.client); err != nil {
		return err
	}
	switch kind {
	case "guest_count.changed":
		return isCount(data, w.guests)
	case "timeline.updated", "wedding.date_changed":
		return errors.Join(missing(data, w.start), isTime(data, w.start), isTime(data, w.previousStart))
	case "setup.changed":
		return errors.Join(missing(data, w.layout), isTime(data, w.setup))
	case "event.details":
		return errors.Join(missing(data, w.start), isTime(data, w.start), isTime(data, w.end), isTime(data, w.setup), isCount(data, w.guests))
	}
	return fmt.Errorf("type %q is not known", kind)
}

// readSigned reads a body {type, timestamp, data}.
func readSigned(body []byte) (kind string, data map[string]any, err error) {
	var b struct {
		Type      string         `json:"type"`
		Timestamp string         `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return "", nil, err
	}
	return b.Type, b.Data, isTime(map[string]any{"timestamp": b.Timestamp}, "timestamp")
}

func isCount(data map[string]any, field string) error {
	if n, ok := data[field].(float64); !ok || n < 0 {
		return fmt.Errorf("%s must be a number of at least 0", field)
	}
	return nil
}

// Webhooks gives a realistic webhook of each type that the vendor sends.
func (v *venue) Webhooks() []Webhook {
	w := &v.words
	with := func(more map[string]any) map[string]any {
		more[w.venue], more[w.client], more[w.name], more[w.room] = "ven_41", "cpl_7Qm2x", "Château de Vaux", "Orangerie"
		return more
	}
	return []Webhook{
		{Type: "capacity.changed", Data: with(map[string]any{
			w.capacity: 110, w.previousCapacity: 140, w.reason: "Fire inspection: the <b>west</b> door stays closed",
			w.from: "2026-06-01T00:00:00+02:00",
		})},
		{Type: "availability.changed", Data: with(map[string]any{
			w.date: "2026-06-20", w.available: false, w.reason: "Roof repair",
		})},
		{Type: "setup.changed", Data: with(map[string]any{
			w.layout: "Long tables", w.setup: "2026-06-20T09:00:00+02:00", w.note: "Chairs come at 10",
		})},
		{Type: "event.details", Data: with(map[string]any{
			w.start: "2026-06-20T16:00:00+02:00", w.end: "2026-06-20T23:30:00+02:00", w.guests: 118,
			w.layout: "Long tables", w.setup: "2026-06-20T09:00:00+02:00",
		})},
	}
}
