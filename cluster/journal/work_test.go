package journal_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

func TestEnqueueTwiceStoresOnce(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		d := newDelivery(7, "crm")
		replay := *d
		replay.Replay = 1
		addressed := *newDelivery(7, "slack")
		addressed.Recipient, addressed.ID = "#weddings", event.AddressedID(addressed.ID, "#weddings")
		for range 2 {
			if err := j.Enqueue(t.Context(), d, &replay, newDelivery(7, "slack"), newDelivery(8, "crm"), &addressed); err != nil {
				t.Fatal(err)
			}
		}
		if n := stream(t, j, "DL").Messages; n != 5 {
			t.Errorf("%d deliveries are stored, want 5", n)
		}
		got := deliveries(t, mustShard(t, j, j.ShardOf("crm")), 3)
		for i, want := range []*event.Delivery{d, &replay, newDelivery(8, "crm")} {
			w := got[i].Delivery
			if w.ID != want.ID || w.Replay != want.Replay || string(w.Body) != string(want.Body) || !w.AcceptedAt.Equal(want.AcceptedAt) && i < 2 {
				t.Errorf("delivery %d is %+v, want %+v", i, w, want)
			}
		}
		if err := got[0].Ack(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return stream(t, j, "DL").Messages == 4 })
		if err := j.Enqueue(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if n := stream(t, j, "DL").Messages; n != 4 {
			t.Error("a delivery that was done was enqueued again")
		}
	})
}

func TestEnqueueManyKeepsOrder(t *testing.T) {
	t.Parallel()
	j := open(t)
	const total = 2000
	ds := make([]*event.Delivery, total)
	for i := range ds {
		ds[i] = newDelivery(uint64(i+1), "crm")
	}
	if err := j.Enqueue(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	for i, w := range deliveries(t, mustShard(t, j, j.ShardOf("crm")), total) {
		if w.Delivery.EventSeq != uint64(i+1) {
			t.Fatalf("delivery %d comes as number %d", w.Delivery.EventSeq, i+1)
		}
	}
	if err := j.Enqueue(t.Context()); err != nil {
		t.Errorf("enqueueing nothing: %v", err)
	}
}

// More at once than may be under way: callers must not wait for each other's places for ever.
func TestManyEnqueueMany(t *testing.T) {
	t.Parallel()
	j := open(t)
	const callers, each = 40, 100
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			ds := make([]*event.Delivery, each)
			for i := range ds {
				ds[i] = newDelivery(uint64(caller*each+i+1), fmt.Sprint("crm-", caller))
			}
			if err := j.Enqueue(t.Context(), ds...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := stream(t, j, "DL").Messages; n != callers*each {
		t.Errorf("%d deliveries are stored, want %d", n, callers*each)
	}
}

func TestWorkRefusesBadIDs(t *testing.T) {
	t.Parallel()
	j := open(t)
	for _, id := range []string{"", "*", "a.b", ">", strings.Repeat("x", 65)} {
		if err := j.Enqueue(t.Context(), newDelivery(1, "ok"), newDelivery(1, id)); err == nil {
			t.Errorf("Enqueue takes integration %q", id)
		}
		if err := park(t, j, newDelivery(1, id)); err == nil {
			t.Errorf("Park takes integration %q", id)
		}
		if err := j.Bury(t.Context(), &event.DeadLetter{Delivery: *newDelivery(1, id)}); err == nil {
			t.Errorf("Bury takes integration %q", id)
		}
		if _, err := j.ParkedCount(t.Context(), id); err == nil {
			t.Errorf("ParkedCount takes integration %q", id)
		}
		if _, err := j.ParkedNext(t.Context(), id, 0, 1); err == nil {
			t.Errorf("ParkedNext takes integration %q", id)
		}
		if _, err := j.DeadLetters(t.Context(), journal.DeadQuery{Integration: id}); err == nil && id != "" {
			t.Errorf("DeadLetters takes integration %q", id)
		}
	}
	bad := newDelivery(1, "crm")
	bad.Body = []byte("{")
	if err := j.Enqueue(t.Context(), bad); err == nil || !strings.Contains(err.Error(), bad.ID) {
		t.Errorf("a body that is not JSON: %v, want an error that names the delivery", err)
	}
}

func park(t *testing.T, j *journal.Journal, ds ...*event.Delivery) error {
	t.Helper()
	_, err := j.Park(t.Context(), ds...)
	return err
}

// parkedSeqs returns the event sequences of what is parked, in order.
func parkedSeqs(t *testing.T, j *journal.Journal, integration string) []uint64 {
	t.Helper()
	var seqs []uint64
	for after := uint64(0); ; {
		items, err := j.ParkedNext(t.Context(), integration, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 0 {
			return seqs
		}
		for _, p := range items {
			seqs = append(seqs, p.Delivery.EventSeq)
			after = p.Seq
		}
	}
}

// What is parked once more, after a crash between parking and its acknowledgement, keeps its place;
// what is larger than a batch is parked in several.
func TestParkingAgain(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		var ds []*event.Delivery
		var want []uint64
		for i := range 40 {
			d := newDelivery(uint64(100-i), "crm")
			d.Body = []byte(`"` + strings.Repeat("x", 200_000) + `"`)
			ds, want = append(ds, d), append(want, d.EventSeq)
		}
		for _, some := range [][]*event.Delivery{ds[:5], ds[:30], ds} {
			if n, err := j.Park(t.Context(), some...); n != len(some) || err != nil {
				t.Fatalf("%d of %d were parked, %v", n, len(some), err)
			}
		}
		if got := parkedSeqs(t, j, "crm"); !slices.Equal(got, want) {
			t.Errorf("parked are %v, want %v", got, want)
		}
	})
}

func TestParkedWorkWaitsInOrder(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		var want []uint64
		for i := range 30 {
			crm := newDelivery(uint64(100-i), "crm")
			if err := park(t, j, crm, newDelivery(uint64(i+1), "slack"), crm); err != nil {
				t.Fatal(err)
			}
			want = append(want, crm.EventSeq)
		}
		if err := j.Enqueue(t.Context(), newDelivery(1, "crm")); err != nil {
			t.Fatal(err)
		}
		if n, err := j.ParkedCount(t.Context(), "crm"); err != nil || n != 30 {
			t.Fatalf("%d are parked, %v; want 30", n, err)
		}
		if n, err := j.ParkedCount(t.Context(), "none"); err != nil || n != 0 {
			t.Errorf("%d are parked for nobody, %v", n, err)
		}
		// Parked ones are not given out, only what was enqueued.
		s := mustShard(t, j, j.ShardOf("crm"))
		if w := deliveries(t, s, 1)[0]; w.Delivery.EventSeq != 1 {
			t.Errorf("delivery %d is given out, want 1", w.Delivery.EventSeq)
		}
		nothing(t, s.NextDeliveries)

		var got []uint64
		for after := uint64(0); ; {
			parked, err := j.ParkedNext(t.Context(), "crm", after, 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(parked) == 0 {
				break
			}
			for _, p := range parked {
				got = append(got, p.Delivery.EventSeq)
				after = p.Seq
				for range 2 { // the second time it is gone already
					if err := j.Unpark(t.Context(), p.Seq); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("parked deliveries come as %v, want %v", got, want)
		}
		if n, err := j.ParkedCount(t.Context(), "crm"); err != nil || n != 0 {
			t.Errorf("%d are parked, %v; want none", n, err)
		}
		if n, err := j.ParkedCount(t.Context(), "slack"); err != nil || n != 30 {
			t.Errorf("%d are parked for the other, %v; want 30", n, err)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		for i := range 250 {
			d := newDelivery(uint64(i+1), []string{"crm", "slack"}[i%2])
			l := &event.DeadLetter{V: event.Version, Delivery: *d, Event: *newEvent("a:b"), Reason: fmt.Sprint(i)}
			for range 2 {
				if err := j.Bury(t.Context(), l); err != nil {
					t.Fatal(err)
				}
			}
		}
		all, err := j.DeadLetters(t.Context(), journal.DeadQuery{})
		if err != nil || len(all) != 100 || all[0].Letter.Reason != "0" || all[99].Letter.Reason != "99" {
			t.Fatalf("%d dead letters, %v; want the first hundred", len(all), err)
		}
		rest, err := j.DeadLetters(t.Context(), journal.DeadQuery{Integration: "slack", After: all[99].Seq, Limit: 5000})
		if err != nil || len(rest) != 75 || rest[0].Letter.Reason != "101" || rest[74].Letter.Reason != "249" {
			t.Fatalf("%d dead letters of slack after the hundredth, %v; want 75", len(rest), err)
		}
		one, err := j.DeadLetter(t.Context(), rest[3].Seq)
		if err != nil || one.Seq != rest[3].Seq || one.Letter.Reason != rest[3].Letter.Reason || one.Letter.Delivery.Integration != "slack" {
			t.Errorf("DeadLetter(%d) = %+v, %v", rest[3].Seq, one, err)
		}
		for range 2 {
			if err := j.Exhume(t.Context(), one.Seq); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.DeadLetter(t.Context(), one.Seq); !isNotFound(err) {
			t.Errorf("an exhumed letter: %v, want ErrNotFound", err)
		}
		if n := stream(t, j, "DEAD").Messages; n != 249 {
			t.Errorf("%d letters are left, want 249", n)
		}
	})
}
