package analytics_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// An erased wedding can no longer be found, and the numbers stay as they are.
func TestErase(t *testing.T) {
	t.Parallel()
	store, records := recorded(t, 3, 400)
	const wedding = "couple-7"
	rows, calls, theirs := uint64(0), 0, map[string]bool{}
	for _, r := range records {
		if d := r.Delivery; d != nil && d.WeddingID == wedding {
			rows, calls = rows+uint64(len(d.Attempts)), calls+len(d.Attempts)
			if d.Result != nil {
				rows++
			}
			theirs[d.ID] = true
		}
	}
	before, err := store.SLO(t.Context(), analytics.SLOQuery{Now: time.Now()})
	if err != nil || rows == 0 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if n, err := store.Identified(t.Context(), wedding); n != rows || err != nil {
		t.Fatalf("identified %d, %v; want %d", n, err, rows)
	}
	if n, left, err := store.Erase(t.Context(), wedding); n != rows || left != 0 || err != nil {
		t.Fatalf("erased %d, left %d, %v; want %d", n, left, err, rows)
	}
	if found, _, err := store.Deliveries(t.Context(), analytics.DeliveryQuery{WeddingID: wedding}); len(found) != 0 || err != nil {
		t.Errorf("found %d, %v", len(found), err)
	}
	anonymous := 0
	for id := range theirs { // which, in this season, may be another wedding's too
		attempts, err := store.Attempts(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attempts {
			if a.EventID != event.Erased {
				continue
			}
			anonymous++
			if a.Channel != event.Erased || a.Detail != "" {
				t.Errorf("an attempt still tells %+v", a)
			}
		}
	}
	if anonymous != calls {
		t.Errorf("%d attempts are anonymous, want %d", anonymous, calls)
	}
	after, err := store.SLO(t.Context(), analytics.SLOQuery{Now: before.Now, Since: before.Since})
	if err != nil || len(after.Rows) != 1 || after.Rows[0].Total != before.Rows[0].Total || after.Rows[0].Delivered != before.Rows[0].Delivered {
		t.Errorf("the objective is %+v, was %+v, %v", after.Rows, before.Rows, err)
	}
	if n, _, err := store.Erase(t.Context(), wedding); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
}
