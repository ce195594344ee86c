package analytics_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	minutes, hours := map[time.Time]bool{}, map[time.Time]bool{}
	for _, r := range records {
		if d := r.Delivery; d != nil && d.WeddingID == wedding {
			rows, calls = rows+uint64(len(d.Attempts)), calls+len(d.Attempts)
			if d.Result != nil {
				rows++
				if d.Replay == 0 { // else in those of its first end
					minutes[d.Result.FinishedAt.Truncate(time.Minute)] = true
					hours[d.Result.FinishedAt.Truncate(time.Hour)] = true
				}
			}
			theirs[d.ID] = true
		}
	}
	rows += uint64(len(minutes) + len(hours))
	for _, r := range records {
		if r.Receipt != nil && theirs[r.Receipt.DeliveryID] {
			rows++
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
			if a.Channel != event.Erased || a.Detail != "" || a.TraceID != "" {
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
	byWedding, err := store.SLO(t.Context(), analytics.SLOQuery{By: analytics.ByWedding, Now: before.Now})
	if err != nil || len(byWedding.Rows) != 19 || slices.ContainsFunc(byWedding.Rows, func(r analytics.SLORow) bool { return r.Key == wedding || r.Key == event.Erased }) {
		t.Errorf("by wedding there are %d, %v", len(byWedding.Rows), err)
	}
	if n, _, err := store.Erase(t.Context(), wedding); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
}

// holds reports in which file of a folder a text stands, other than below some paths. Files may go while
// it looks.
func holds(t *testing.T, dir, text string, except ...string) (where string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		if slices.ContainsFunc(except, func(old string) bool { return strings.HasPrefix(path, old) }) {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
			where = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// Nothing that ClickHouse stores tells the wedding any more, its notes on the erasure included; nor does
// what vendors say of deliveries that have not ended.
func TestErasedFromClickHouseFiles(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store, conn, log := openStore(t, dsn), connect(t, dsn), newLog()
	wedding, words := "couple-"+name(), "no such guest "+name()
	now := time.Now()
	of := func(id, wedding string) *event.Record {
		return &event.Record{Delivery: &event.DeliveryRecord{
			ID: id, EventID: "event-" + wedding, Channel: "couple:updates:" + wedding, WeddingID: wedding, AcceptedAt: now, RoutedAt: now,
			Attempts: []event.Attempt{{Number: 1, StartedAt: now, Verdict: "retry", Detail: words}}, // it goes on
		}}
	}
	said := func(id string) *event.Record {
		return &event.Record{Receipt: &event.Receipt{DeliveryID: id, EventID: "whk_" + id, Status: event.ReceiptFailed, At: now, Detail: words}}
	}
	dead := of("dlv_0", wedding)
	dead.Delivery.Result = &event.Result{Outcome: event.Dead, FinishedAt: now, Reason: "rejected"}
	other := of("dlv_2", "other")
	other.Delivery.Attempts[0].Detail = ""
	log.append(of("dlv_1", wedding), other, said("dlv_1"), dead, &event.Record{Receipt: &event.Receipt{
		DeliveryID: "dlv_2", EventID: "whk_2", Status: event.ReceiptFailed, At: now, Detail: "theirs",
	}})
	r := run(t, store, log, analytics.RecorderConfig{BatchWait: time.Millisecond})
	r.reaches(t, 5, time.Minute)
	for _, text := range []string{wedding, words} {
		if holds(t, engine.dir, text) == "" {
			t.Fatalf("%q cannot be found: the test looks in the wrong place", text)
		}
	}
	if n, left, err := store.Erase(t.Context(), wedding); n != 6 || left != 0 || err != nil {
		t.Fatalf("erased %d, left %d, %v; want two calls, an end and its numbers, and the receipt", n, left, err)
	}
	log.append(said("dlv_1")) // it comes late: the delivery is nobody's already
	r.reaches(t, 6, time.Minute)
	report, err := store.SLO(t.Context(), analytics.SLOQuery{Now: now})
	if b := report.Burnt; err != nil || len(b.Weddings) != 1 || b.Weddings[0].Key != event.Erased || b.Weddings[0].Dead != 1 {
		t.Errorf("what burnt the budget: %+v, %v", b, err)
	}
	if n, left, err := store.Erase(t.Context(), wedding); n != 1 || left != 0 || err != nil {
		t.Fatalf("once more: erased %d, left %d, %v; want the late receipt", n, left, err)
	}
	if got, err := store.Receipts(t.Context(), "dlv_2"); err != nil || len(got) != 1 || got[0].Detail != "theirs" {
		t.Errorf("another wedding's receipt is %+v, %v", got, err)
	}
	var old []string // ClickHouse removes them after some minutes; see Erase
	if err := conn.QueryRow(t.Context(), "SELECT groupArray(path) FROM system.parts WHERE database = currentDatabase() AND NOT active").Scan(&old); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{wedding, words} {
		if where := holds(t, engine.dir, text, old...); where != "" {
			t.Errorf("%s still holds %s", where, text)
		}
	}
}
