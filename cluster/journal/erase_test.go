package journal_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// holds reports in which file of a folder a text stands.
func holds(t *testing.T, dir, text string) (where string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			where = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// What is erased is gone from the log and from the bytes on disk; the rest stays where it was.
func TestErase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, func(c *journal.Config) { c.Dir = dir })
	const mark = "Amelie-and-Jonas"
	theirs, other := newEvent("couple:updates:c1"), newEvent("couple:updates:c1")
	theirs.WeddingID, theirs.Payload = "c1", []byte(`{"note":"`+mark+`"}`)
	var seqs []uint64
	for range 3 {
		first := *theirs
		first.ID += string(rune('a' + len(seqs)))
		seqs = append(seqs, mustAppend(t, j, &first).Seq, mustAppend(t, j, newEvent("couple:updates:c1")).Seq)
	}
	waits, parked, stays := newDelivery(1, "crm"), newDelivery(2, "crm"), newDelivery(3, "crm")
	held := newHeld(5, "crm", "", time.UnixMilli(1))
	for _, d := range []*event.Delivery{waits, parked, held} {
		d.WeddingID, d.Body = "c1", []byte(`{"text":"`+mark+`"}`)
	}
	if err := j.Enqueue(t.Context(), waits, stays, held); err != nil {
		t.Fatal(err)
	}
	if err := park(t, j, parked, newDelivery(4, "crm")); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*event.DeadLetter{
		{Delivery: *waits, Event: *other}, {Delivery: *stays, Event: *theirs}, {Delivery: *newDelivery(9, "crm"), Event: *other},
	} {
		if err := j.Bury(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}

	c1 := journal.Selection{
		Event:    func(ev *event.Event) bool { return ev.WeddingID == "c1" },
		Delivery: func(d *event.Delivery) bool { return d.WeddingID == "c1" },
	}
	want := journal.Erased{Events: 3, Deliveries: 3, DeadLetters: 2}
	for _, only := range []bool{true, false} {
		if got, err := j.Erase(t.Context(), c1, only); got != want || err != nil {
			t.Fatalf("Erase(only %v): %+v, %v; want %+v", only, got, err, want)
		}
	}
	if got, err := j.Erase(t.Context(), c1, false); got.Sum() != 0 || err != nil {
		t.Errorf("once more: %+v, %v", got, err)
	}
	entries, err := j.History(t.Context(), "couple:updates:c1", 0, 100)
	if err != nil || len(entries) != 3 || entries[0].Seq != seqs[1] || entries[2].Seq != seqs[5] {
		t.Errorf("left of the channel are %+v, %v", entries, err)
	}
	for i, seq := range seqs {
		if there, err := j.HasEvent(t.Context(), seq); there != (i%2 == 1) || err != nil {
			t.Errorf("HasEvent(%d): %v, %v", seq, there, err)
		}
	}
	// History goes on over the holes, also from what is gone.
	if entries, err = j.History(t.Context(), "couple:updates:c1", seqs[2], 100); err != nil || len(entries) != 2 {
		t.Errorf("behind an erased event are %d, %v; want 2", len(entries), err)
	}
	if got := parkedSeqs(t, j, "crm"); len(got) != 1 || got[0] != 4 {
		t.Errorf("parked are %v, want 4", got)
	}
	s := mustShard(t, j, j.ShardOf("crm"))
	if w := deliveries(t, s, 1)[0]; w.Delivery.EventSeq != 3 {
		t.Errorf("given out is %d, want 3", w.Delivery.EventSeq)
	}
	nothing(t, s.NextDeliveries)
	if err := j.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if there, err := j.HasEvent(t.Context(), seqs[1]); there || !errors.Is(err, journal.ErrClosed) {
		t.Errorf("HasEvent of a closed log: %v, %v", there, err)
	}
	if where := holds(t, dir, mark); where != "" {
		t.Errorf("%s still holds what was erased", where)
	}
	if holds(t, dir, "16:00") == "" {
		t.Error("nothing of the others can be found: the test looks in the wrong place")
	}
}

// dying is a context that ends when it was asked for its deadline so often, once it is armed.
type dying struct {
	context.Context
	die   context.CancelFunc
	armed atomic.Bool
	left  atomic.Int32
}

func (d *dying) Deadline() (time.Time, bool) {
	if d.armed.Load() && d.left.Add(-1) == 0 {
		d.die()
	}
	return d.Context.Deadline()
}

// dies returns a context that ends, once it is armed, after so many requests.
func dies(t *testing.T, after int) *dying {
	t.Helper()
	d := &dying{}
	d.Context, d.die = context.WithCancel(t.Context())
	t.Cleanup(d.die)
	d.left.Store(int32(after + 1))
	return d
}

// Wherever an erasure of records is broken off, no record is there twice, and the next one finds the rest: what a
// vendor said goes before the delivery that tells whose it is.
func TestErasingRecordsIsBrokenOff(t *testing.T) {
	t.Parallel()
	of := func(id, wedding string) *event.Record {
		return &event.Record{V: event.Version, Delivery: &event.DeliveryRecord{ID: id, WeddingID: wedding}}
	}
	said := func(id string) *event.Record {
		return &event.Record{V: event.Version, Receipt: &event.Receipt{DeliveryID: id}}
	}
	all := []*event.Record{of("d1", "c1"), of("d2", "c2"), of("d1", "c1"), said("d2"), said("d1"), of("d3", "c1"), of("d4", "c2"), said("d1")}
	const theirs, others = 5, 3
	for after := range theirs + 1 {
		dir := t.TempDir()
		j := open(t, func(c *journal.Config) { c.Dir = dir })
		for _, r := range all {
			if err := j.Record(t.Context(), "", r); err != nil {
				t.Fatal(err)
			}
		}
		ctx := dies(t, after)
		c1 := func() journal.Selection {
			ids, seen := map[string]bool{}, 0
			return journal.Selection{
				Event: func(*event.Event) bool { return false }, Delivery: func(*event.Delivery) bool { return false },
				Record: func(r *event.Record) bool {
					seen++
					ctx.armed.Store(seen == len(all))
					if d := r.Delivery; d != nil && d.WeddingID == "c1" {
						ids[d.ID] = true
						return true
					}
					return r.Receipt != nil && ids[r.Receipt.DeliveryID]
				},
			}
		}
		e, err := j.Erase(ctx, c1(), false)
		if (err == nil) != (after == theirs) || e.Records != after && e.Records != after+1 { // the last request may have been heard
			t.Fatalf("broken off after %d: %+v, %v", after, e, err)
		}
		if err := j.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		j = open(t, func(c *journal.Config) { c.Dir = dir })
		left, err := j.Erase(t.Context(), c1(), true)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := j.Records(t.Context(), 0, 100, time.Second)
		if err != nil || len(entries) != others+left.Records || left.Records > theirs-e.Records {
			t.Errorf("broken off after %d: %d records are there, of which %d theirs, %v", after, len(entries), left.Records, err)
		}
		if e, err := j.Erase(t.Context(), c1(), false); e != left || err != nil {
			t.Errorf("broken off after %d, and again: %+v, %v; want %+v", after, e, err, left)
		}
		entries, err = j.Records(t.Context(), 0, 100, time.Second)
		if err != nil || len(entries) != others || entries[0].Seq != 2 || entries[1].Seq != 4 || entries[2].Seq != 7 {
			t.Errorf("broken off after %d, left are %+v, %v", after, entries, err)
		}
	}
}
