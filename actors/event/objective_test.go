package event_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func TestExcluded(t *testing.T) {
	t.Parallel()
	paused := time.Date(2026, 6, 20, 13, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		record event.DeliveryRecord
		want   event.Exclusion
	}{
		"under way":                     {event.DeliveryRecord{}, event.ExcludedSkipped},
		"delivered":                     {ended(event.Delivered, ""), ""},
		"dead":                          {ended(event.Dead, event.ReasonExhausted), ""},
		"waited too long":               {ended(event.Dead, event.ReasonExpired), ""},
		"the system's own defect":       {ended(event.Dead, event.ReasonPanic), ""},
		"nothing to send":               {ended(event.Skipped, event.ReasonUnsupported), event.ExcludedSkipped},
		"disabled by an admin":          {ended(event.Skipped, event.ReasonDisabled), event.ExcludedSkipped},
		"opted out":                     {ended(event.Dead, event.ReasonOptedOut), event.ExcludedOptOut},
		"replayed":                      {replayed(ended(event.Delivered, "")), event.ExcludedReplay},
		"replayed in vain":              {replayed(ended(event.Dead, "rejected")), event.ExcludedReplay},
		"replayed, but erased":          {replayed(ended(event.Skipped, event.ReasonErased)), event.ExcludedReplay},
		"waited too long, and paused":   {heldUntil(ended(event.Dead, event.ReasonExpired), paused), event.ExcludedPaused},
		"paused, then refused":          {heldUntil(ended(event.Dead, "rejected"), paused), ""},
		"paused, then delivered":        {heldUntil(ended(event.Delivered, ""), paused), ""},
		"delivered with a dead's words": {ended(event.Delivered, event.ReasonOptedOut), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.record.Excluded(); got != c.want {
				t.Errorf("excluded as %q, want %q", got, c.want)
			}
		})
	}
}

func ended(outcome event.Outcome, reason string) event.DeliveryRecord {
	return event.DeliveryRecord{Result: &event.Result{Outcome: outcome, Reason: reason}}
}

func replayed(r event.DeliveryRecord) event.DeliveryRecord {
	r.Replay = 1
	return r
}

func heldUntil(r event.DeliveryRecord, at time.Time) event.DeliveryRecord {
	r.PausedUntil = at
	return r
}
