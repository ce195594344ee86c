package adapter

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// samples gives one realistic event of each type; the same text every time, for golden files.
func samples(types ...string) []event.Event {
	all := make([]event.Event, len(types))
	for i, t := range types {
		text, ok := samplePayloads()[t]
		if !ok {
			panic(fmt.Sprintf("adapter: there is no sample of %s", t))
		}
		at := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
		all[i] = event.Event{
			V:             event.Version,
			ID:            fmt.Sprintf("019ce0b5-6ac8-7d3e-9a41-5f0c2b7e%04d", i+1),
			Channel:       "supplier:dashboard:42",
			Type:          t,
			Payload:       json.RawMessage(text),
			OccurredAt:    at,
			AcceptedAt:    at.Add(120 * time.Millisecond),
			Source:        "client:usr_amelie",
			CorrelationID: "cor_5b21f0",
			TraceParent:   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			WeddingID:     "cpl_7Qm2x",
			Seq:           uint64(4711 + i),
		}
	}
	return all
}

// sampleTypes are the types that an adapter which takes all of them has samples of.
func sampleTypes() []string {
	return []string{
		TypeTimelineUpdated, TypeWeddingDateChanged, TypeGuestCountChanged, TypeCapacityChanged,
		TypeBookingConfirmed, TypeWeddingCancelled,
	}
}

func samplePayloads() map[string]string {
	return map[string]string{
		TypeTimelineUpdated: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venueId": "ven_41", "venue": "Château de Vaux, Orangerie",
			"ceremonyTime": "2026-06-20T16:00:00+02:00", "previousCeremonyTime": "2026-06-20T15:00:00+02:00",
			"schedule": [
				{"time": "14:30", "title": "First look in the garden"},
				{"time": "16:00", "title": "Ceremony"},
				{"time": "17:15", "title": "Champagne & group photos"},
				{"time": "19:00", "title": "Dinner"}
			],
			"notes": "Grandmother Odile needs step-free access; no drone before 17:00."
		}`,
		TypeWeddingDateChanged: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venueId": "ven_41", "venue": "Château de Vaux, Orangerie",
			"ceremonyTime": "2026-09-05T15:30:00+02:00", "previousCeremonyTime": "2026-06-20T16:00:00+02:00",
			"notes": "The registry office could not keep the June slot."
		}`,
		TypeGuestCountChanged: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venueId": "ven_41", "venue": "Château de Vaux, Orangerie",
			"guestCount": 118, "previousGuestCount": 124,
			"notes": "Three vegetarian plates fewer."
		}`,
		TypeCapacityChanged: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venueId": "ven_41", "venue": "Château de Vaux, Orangerie", "room": "Orangerie",
			"capacity": 110, "previousCapacity": 140,
			"reason": "Fire inspection: the west door stays closed"
		}`,
		TypeBookingConfirmed: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas", "bookingId": "bkg_9931",
			"venue": "Château de Vaux, Orangerie",
			"ceremonyTime": "2026-06-20T16:00:00+02:00", "endTime": "2026-06-20T23:30:00+02:00",
			"schedule": "Full day, from getting ready to the first dance",
			"notes": "Second photographer from 15:00."
		}`,
		TypeWeddingCancelled: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venueId": "ven_41", "venue": "Château de Vaux, Orangerie",
			"ceremonyTime": "2026-06-20T16:00:00+02:00",
			"reason": "Postponed without a new date"
		}`,
		TypeClientMessage: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venue": "Château de Vaux, Orangerie", "ceremonyTime": "2026-06-20T16:00:00+02:00",
			"from": "Amélie", "text": "Could we do the group photos before the champagne?\nGrandmother Odile tires early."
		}`,
		TypeSetupChanged: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venueId": "ven_41", "venue": "Château de Vaux, Orangerie", "room": "Orangerie",
			"layout": "Twelve round tables of ten, dance floor by the east door", "setupTime": "2026-06-20T09:00:00+02:00",
			"notes": "Step-free access to table 1."
		}`,
		TypeEventDetails: `{
			"coupleId": "cpl_7Qm2x", "coupleName": "Amélie & Jonas",
			"venueId": "ven_41", "venue": "Château de Vaux, Orangerie", "room": "Orangerie",
			"ceremonyTime": "2026-06-20T16:00:00+02:00", "endTime": "2026-06-20T23:30:00+02:00",
			"guestCount": 118, "layout": "Twelve round tables of ten", "setupTime": "2026-06-20T09:00:00+02:00",
			"schedule": [{"time": "16:00", "title": "Ceremony"}, {"time": "19:00", "title": "Dinner"}],
			"notes": "Confetti is allowed in the garden only."
		}`,
	}
}
