package journal_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// A full stream refuses what is new and keeps what it has.
func TestFullStreams(t *testing.T) {
	t.Parallel()
	j := open(t, func(c *journal.Config) {
		c.EventBytes, c.WorkBytes, c.RecordBytes, c.DeadBytes = 100_000, 100_000, 100_000, 100_000
	})
	for name, put := range map[string]func(i int) error{
		"EV":  func(i int) error { _, err := j.Append(t.Context(), newEvent(fmt.Sprint("c:", i))); return err },
		"DL":  func(i int) error { return j.Enqueue(t.Context(), newDelivery(uint64(i+1), "crm")) },
		"REC": func(int) error { return j.Record(t.Context(), "", newRecord(strings.Repeat("x", 300))) },
		"DEAD": func(i int) error {
			return j.Bury(t.Context(), &event.DeadLetter{Delivery: *newDelivery(uint64(i+1), "crm"), Event: *newEvent("a:b")})
		},
	} {
		stored := 0
		var err error
		for ; stored < 1000; stored++ {
			if err = put(stored); err != nil {
				break
			}
		}
		s := stream(t, j, name)
		if !errors.Is(err, journal.ErrFull) || stored < 50 {
			t.Errorf("%s: after %d: %v, want ErrFull", name, stored, err)
		}
		if s.Messages != uint64(stored) || s.FirstSeq != 1 || s.Bytes > s.MaxBytes || s.MaxBytes != 100_000 {
			t.Errorf("%s: %d were stored, and it is %+v", name, stored, s)
		}
	}
	if err := park(t, j, newDelivery(1, "crm")); !errors.Is(err, journal.ErrFull) {
		t.Errorf("parking: %v, want ErrFull", err)
	}
	// Room that is made is used.
	rs, err := j.Records(t.Context(), 0, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.PurgeRecords(t.Context(), rs[9].Seq); err != nil {
		t.Fatal(err)
	}
	if err := j.Record(t.Context(), "", newRecord("x")); err != nil {
		t.Errorf("after a purge: %v", err)
	}
	w := deliveries(t, mustShard(t, j, j.ShardOf("crm")), 5)
	for _, w := range w {
		ack2(t, w)
	}
	waitFor(t, func() bool { return park(t, j, newDelivery(1, "crm")) == nil })
}

// What is refused when it is parked lets nothing behind it pass.
func TestParkingInAFullStreamKeepsTheOrder(t *testing.T) {
	t.Parallel()
	j := open(t, func(c *journal.Config) { c.WorkBytes = 100_000 })
	large, small := newDelivery(1, "crm"), newDelivery(2, "crm")
	large.Body = []byte(`"` + strings.Repeat("x", 150_000) + `"`)
	if n, err := j.Park(t.Context(), large, small); n != 0 || !errors.Is(err, journal.ErrFull) {
		t.Errorf("parking: %d, %v, want none and ErrFull", n, err)
	}
	if n, err := j.ParkedCount(t.Context(), "crm"); n != 0 || err != nil {
		t.Errorf("%d were parked behind the one that was refused, %v", n, err)
	}
}

// What there is room for is parked, and Park says how much that is.
func TestParkingUntilTheStreamIsFull(t *testing.T) {
	t.Parallel()
	j := open(t, func(c *journal.Config) { c.WorkBytes = 100_000 })
	var ds []*event.Delivery
	for i := range 1000 {
		ds = append(ds, newDelivery(uint64(i+1), "crm"))
	}
	n, err := j.Park(t.Context(), ds...)
	if !errors.Is(err, journal.ErrFull) || n < 50 || n > 900 {
		t.Fatalf("%d were parked, %v; want some and ErrFull", n, err)
	}
	if parked := parkedSeqs(t, j, "crm"); len(parked) != n || parked[0] != 1 || parked[n-1] != uint64(n) {
		t.Errorf("%d are parked, from %d to %d; want 1 to %d", len(parked), parked[0], parked[len(parked)-1], n)
	}
}

// However little the streams leave, every shard can be held.
func TestLeasesInASmallStore(t *testing.T) {
	t.Parallel()
	j := open(t, func(c *journal.Config) {
		c.MaxStore, c.EventBytes, c.Shards = 20<<20, 16<<20, 64
		c.Node = strings.Repeat("n", event.MaxSegmentBytes)
	})
	for range 5 {
		for shard := range 64 {
			mustClaim(t, j, journal.ShardLease(shard))
		}
	}
}

func ack2(t *testing.T, w *journal.Work) {
	t.Helper()
	if err := w.Ack(); err != nil {
		t.Fatal(err)
	}
}

// All streams together are bounded too, also where they were promised more before.
func TestFullStore(t *testing.T) {
	t.Parallel()
	cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t)}
	closeJournal(t, openWith(t, cfg))
	cfg.MaxStore = 8 << 20
	j := openWith(t, cfg)
	big := newEvent("a:b")
	big.Payload = []byte(`"` + strings.Repeat("x", 200_000) + `"`)
	var stored uint64
	for ; ; stored++ {
		big.ID = fmt.Sprint("e", stored)
		if _, err := j.Append(t.Context(), big); errors.Is(err, journal.ErrFull) {
			break
		} else if err != nil || stored > 100 {
			t.Fatalf("after %d: %v, want ErrFull", stored, err)
		}
	}
	if n := stream(t, j, "EV").Messages; n != stored || stored == 0 {
		t.Errorf("%d events are there, %d were acknowledged", n, stored)
	}
	var promised uint64
	for _, s := range status(t, j).Streams {
		promised += s.MaxBytes
	}
	if promised > 8<<20 {
		t.Errorf("the streams together may grow to %d bytes", promised)
	}
}

// Before the disk is full, new events are refused first, then everything.
func TestDiskReserve(t *testing.T) {
	t.Parallel()
	j := open(t)
	var free atomic.Int64
	free.Store(j.DiskReserve())
	j.SetDiskFree(&free)
	mustAppend(t, j, newEvent("a:b"))
	rest := map[string]func() error{
		"Enqueue": func() error { return j.Enqueue(t.Context(), newDelivery(1, "crm")) },
		"Park":    func() error { return park(t, j, newDelivery(1, "crm")) },
		"Record":  func() error { return j.Record(t.Context(), "", newRecord("x")) },
		"Bury":    func() error { return j.Bury(t.Context(), &event.DeadLetter{Delivery: *newDelivery(1, "crm")}) },
	}
	free.Add(-1)
	j.LookAgain()
	if _, err := j.Append(t.Context(), newEvent("a:b")); !errors.Is(err, journal.ErrFull) || !strings.Contains(err.Error(), "free disk space") {
		t.Errorf("Append with less than the reserve: %v, want ErrFull", err)
	}
	for name, put := range rest {
		if err := put(); err != nil {
			t.Errorf("%s with less than the reserve: %v", name, err)
		}
	}
	free.Store(j.DiskReserve()/2 - 1)
	j.LookAgain()
	for name, put := range rest {
		if err := put(); !errors.Is(err, journal.ErrFull) {
			t.Errorf("%s with less than half of the reserve: %v, want ErrFull", name, err)
		}
	}
	if got := status(t, j).DiskFree; got != free.Load() {
		t.Errorf("the status says %d are free", got)
	}
	free.Store(j.DiskReserve())
	waitFor(t, func() bool { _, err := j.Append(t.Context(), newEvent("a:b")); return err == nil })
	if n := stream(t, j, "EV").Messages; n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func TestDiskReserveConcurrently(t *testing.T) {
	t.Parallel()
	j := open(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := j.Append(t.Context(), newEvent("a:b")); err != nil {
				t.Error(err) // nobody may see the disk before the first look
			}
		})
	}
	wg.Wait()
}
