package journal_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
