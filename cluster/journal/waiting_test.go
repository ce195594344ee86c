package journal_test

import (
	"slices"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

func TestBounds(t *testing.T) {
	t.Parallel()
	j := open(t)
	if first, last, err := j.Bounds(t.Context()); err != nil || first != last+1 {
		t.Errorf("an empty log holds %d to %d, %v", first, last, err)
	}
	for range 3 {
		mustAppend(t, j, newEvent("a:b"))
	}
	if first, last, err := j.Bounds(t.Context()); err != nil || first != 1 || last != 3 {
		t.Errorf("it holds %d to %d, %v; want 1 to 3", first, last, err)
	}
	if first, last, err := j.RecordBounds(t.Context()); err != nil || first != last+1 {
		t.Errorf("an empty record log holds %d to %d, %v", first, last, err)
	}
	for range 2 {
		if err := j.Record(t.Context(), "", &event.Record{V: event.Version, Node: "n1"}); err != nil {
			t.Fatal(err)
		}
	}
	if first, last, err := j.RecordBounds(t.Context()); err != nil || first != 1 || last != 2 {
		t.Errorf("the record log holds %d to %d, %v; want 1 to 2", first, last, err)
	}
	if err := j.PurgeRecords(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if first, last, err := j.RecordBounds(t.Context()); err != nil || first != 3 || last != 2 {
		t.Errorf("the emptied record log holds %d to %d, %v; want 3 to 2", first, last, err)
	}
	closeJournal(t, j)
	if _, _, err := j.Bounds(t.Context()); err == nil {
		t.Error("a closed log has bounds")
	}
}

func TestWhatIsWaiting(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		shard := j.ShardOf("crm")
		want := []string{"crm"}
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
			if err := park(t, j, newDelivery(1, id)); err != nil {
				t.Fatal(err)
			}
			if j.ShardOf(id) == shard {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		if len(want) == 1 || len(want) == 10 {
			t.Fatalf("all in one shard: %v", want)
		}
		if err := park(t, j, newDelivery(1, "crm"), newDelivery(2, "crm")); err != nil {
			t.Fatal(err)
		}
		if got, err := j.ParkedIntegrations(t.Context(), shard); err != nil || !slices.Equal(got, want) {
			t.Errorf("work is parked for %v, %v; want %v", got, err, want)
		}
		if seq, err := j.LastWork(t.Context(), "crm"); err != nil || seq != 0 {
			t.Errorf("the newest work is %d, %v; want none", seq, err)
		}
		if err := j.Enqueue(t.Context(), newDelivery(1, "crm"), newDelivery(2, "crm"), newDelivery(1, "slack")); err != nil {
			t.Fatal(err)
		}
		works := deliveries(t, mustShard(t, j, shard), 2)
		if seq, err := j.LastWork(t.Context(), "crm"); err != nil || seq != works[1].Seq || works[0].Seq >= works[1].Seq {
			t.Errorf("the newest work is %d, %v; want %d", seq, err, works[1].Seq)
		}
	})
}
