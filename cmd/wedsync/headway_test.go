package main

import (
	"testing"
	"time"
)

// Whoever evaluates the alerts sees that records do not get to ClickHouse, on whatever node they are stuck.
func TestHowLateRecordsAre(t *testing.T) {
	t.Parallel()
	var h headway
	at := time.Unix(1_800_000_000, 0)
	for i, look := range []struct {
		reached, last uint64
		after         time.Duration // the look before
		late          time.Duration
	}{
		{0, 100, 0, 0}, // nothing is known yet
		{40, 120, 15 * time.Second, 15 * time.Second},
		{100, 150, 15 * time.Second, 0}, // a backlog that shrinks
		{150, 150, 15 * time.Second, 0},
		{150, 150, time.Hour, 0}, // nothing to record
		{150, 151, 15 * time.Second, 0},
		{150, 170, 15 * time.Second, 15 * time.Second},
		{150, 180, 20 * time.Second, 35 * time.Second},
		{160, 180, 5 * time.Second, 0},
	} {
		at = at.Add(look.after)
		if late := h.late(look.reached, look.last, at); late != look.late {
			t.Errorf("look %d: %v late, want %v", i, late, look.late)
		}
	}
}
