package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// newHeld is a delivery that is not to be sent before its time.
func newHeld(seq uint64, integration, recipient string, due time.Time) *event.Delivery {
	d := newDelivery(seq, integration)
	d.Recipient, d.ID, d.NotBefore = recipient, event.AddressedID(d.ID, recipient), due
	return d
}

// apart joins nothing.
type apart struct{}

func (apart) Join(context.Context, []*event.Delivery) (*event.Delivery, error) { return nil, nil }
func (apart) Joined(context.Context, []*event.Delivery) error                  { return nil }

func release(t *testing.T, s *journal.Shard, now time.Time) time.Time {
	t.Helper()
	next, err := s.Release(t.Context(), now, apart{})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func enqueue(t *testing.T, j *journal.Journal, ds ...*event.Delivery) {
	t.Helper()
	if err := j.Enqueue(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
}

// What is held is neither given out nor parked until it is due, and then comes in order, once.
func TestHeldUntilItIsDue(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		s := mustShard(t, j, j.ShardOf("crm"))
		dawn := time.UnixMilli(1812862800000).UTC()
		if next := release(t, s, dawn); !next.IsZero() {
			t.Errorf("with nothing held the next is due at %v", next)
		}
		var all []*event.Delivery
		for i := range uint64(600) {
			all = append(all, newHeld(i+1, "crm", fmt.Sprint("+3360000000", i%2), dawn.Add(time.Duration(i/400)*time.Hour)))
		}
		for range 2 { // routed twice
			enqueue(t, j, all...)
		}
		receive(t, s.Earlier())
		if until, err := j.HeldUntil(t.Context(), all[0]); err != nil || !until.Equal(dawn.Add(time.Hour)) {
			t.Errorf("its lane is held until %v, %v", until, err)
		}
		if until, err := j.HeldUntil(t.Context(), newDelivery(1, "crm")); err != nil || !until.IsZero() {
			t.Errorf("another lane is held until %v, %v", until, err)
		}
		if next := release(t, s, dawn.Add(-time.Millisecond)); !next.Equal(dawn) {
			t.Errorf("the next is due at %v, want %v", next, dawn)
		}
		nothing(t, s.NextDeliveries)
		if n, err := j.ParkedCount(t.Context(), "crm"); err != nil || n != 0 {
			t.Errorf("%d are parked, %v", n, err)
		}
		// Broken off after some were moved: they are there, and not yet gone from where they were held.
		if err := j.Move(t.Context(), all[0], all[2], all[4]); err != nil {
			t.Fatal(err)
		}
		if next := release(t, s, dawn); !next.Equal(dawn.Add(time.Hour)) {
			t.Errorf("the next is due at %v, want an hour later", next)
		}
		next := map[string]uint64{"+33600000000": 1, "+33600000001": 2}
		for _, w := range deliveries(t, s, 400) {
			if d := w.Delivery; d.EventSeq != next[d.Recipient] {
				t.Fatalf("%s is given %d, want %d", d.Recipient, d.EventSeq, next[d.Recipient])
			}
			next[w.Delivery.Recipient] += 2
		}
		nothing(t, s.NextDeliveries)
		if n := stream(t, j, "DL").Messages; n != 600 {
			t.Errorf("%d deliveries are stored, want 600", n)
		}
		// Something that is due sooner is noticed.
		enqueue(t, j, newHeld(1000, "crm", "", dawn.Add(time.Minute)))
		receive(t, s.Earlier())
		if next := release(t, s, dawn.Add(2*time.Hour)); !next.IsZero() {
			t.Errorf("all are released, but the next is due at %v", next)
		}
		deliveries(t, s, 201)
	})
}

// A closed shard moves nothing any more, and its next owner all of it.
func TestHeldGoesToTheNextOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openWith(t, journal.Config{Dir: dir, Logger: logger(t)})
	dawn := time.UnixMilli(1812862800000)
	old := mustShard(t, j, j.ShardOf("crm"))
	enqueue(t, j, newHeld(1, "crm", "", dawn), newHeld(2, "crm", "", dawn))
	s := mustShard(t, j, j.ShardOf("crm"))
	if _, err := old.Release(t.Context(), dawn, apart{}); err == nil {
		t.Error("a shard that was taken over releases what is held")
	}
	closeJournal(t, j)
	if _, err := s.Release(t.Context(), dawn, apart{}); err == nil {
		t.Error("a closed log releases what is held")
	}
	if _, err := j.HeldUntil(t.Context(), newDelivery(1, "crm")); err == nil {
		t.Error("a closed log tells what is held")
	}
	j = openWith(t, journal.Config{Dir: dir, Logger: logger(t)})
	s = mustShard(t, j, j.ShardOf("crm"))
	release(t, s, dawn)
	var got []uint64
	for _, w := range deliveries(t, s, 2) {
		got = append(got, w.Delivery.EventSeq)
	}
	if !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("given out %v", got)
	}
	if _, err := j.HeldUntil(t.Context(), newDelivery(1, "a.b")); err == nil {
		t.Error("an integration that cannot be is held")
	}
}

// together joins all, and fails to take note of it as often as it is told.
type together struct {
	failures int
	joined   [][]uint64
}

func (g *together) Join(_ context.Context, ds []*event.Delivery) (*event.Delivery, error) {
	one := *ds[len(ds)-1]
	one.Digest = nil
	for _, d := range ds {
		one.Digest = append(one.Digest, d.EventSeq)
	}
	return &one, nil
}

func (g *together) Joined(_ context.Context, ds []*event.Delivery) error {
	var seqs []uint64
	for _, d := range ds {
		seqs = append(seqs, d.EventSeq)
	}
	if g.joined = append(g.joined, seqs); g.failures > 0 {
		g.failures--
		return errors.New("a crash")
	}
	return nil
}

// A digest is stored once, also where it was broken off after that; what is no digest is moved as it is.
func TestDigestIsStoredOnce(t *testing.T) {
	t.Parallel()
	j := open(t)
	s := mustShard(t, j, j.ShardOf("crm"))
	due := time.UnixMilli(1812862800000)
	for seq := range uint64(3) {
		d := newHeld(seq+1, "crm", "", due)
		d.Digest = []uint64{seq + 1}
		enqueue(t, j, d, newHeld(seq+1, "crm", "apart", due))
	}
	others := newHeld(9, "crm", "", due)
	others.WeddingID, others.Digest = "another", []uint64{9}
	if until, err := j.HeldUntil(t.Context(), others); err != nil || !until.IsZero() {
		t.Errorf("another wedding's digest is open until %v, %v", until, err)
	}
	g := &together{failures: 1}
	if _, err := s.Release(t.Context(), due, g); err == nil {
		t.Error("what failed is not told")
	}
	if next, err := s.Release(t.Context(), due, g); err != nil || !next.IsZero() {
		t.Errorf("the second time: %v, %v", next, err)
	}
	if fmt.Sprint(g.joined) != "[[1 2] [1 2]]" {
		t.Errorf("joined %v", g.joined)
	}
	var got []string
	for _, w := range deliveries(t, s, 4) {
		got = append(got, fmt.Sprint(w.Delivery.Recipient, w.Delivery.EventSeq, w.Delivery.Digest))
	}
	slices.Sort(got)
	if fmt.Sprint(got) != "[3 [1 2 3] apart1 [] apart2 [] apart3 []]" {
		t.Errorf("given out %q", got)
	}
	nothing(t, s.NextDeliveries)
}

// What is held leaves room in the log to be released.
func TestHeldLeavesRoom(t *testing.T) {
	t.Parallel()
	const size = 100_000
	j := openWith(t, journal.Config{Dir: t.TempDir(), WorkBytes: size, Logger: logger(t)})
	dawn := time.UnixMilli(1812862800000)
	var err error
	seq := uint64(0)
	for ; err == nil; seq++ {
		err = j.Enqueue(t.Context(), newHeld(seq+1, "crm", "", dawn))
	}
	if bytes := stream(t, j, "DL").Bytes; !errors.Is(err, journal.ErrFull) || bytes < size/8*7 || bytes > size/8*7+2000 {
		t.Fatalf("after %d deliveries of %d bytes: %v", seq, bytes, err)
	}
	enqueue(t, j, newDelivery(1000, "crm")) // what is to be made at once still goes in
	s := mustShard(t, j, j.ShardOf("crm"))
	deliveries(t, s, 1)
	for made := uint64(0); made < seq-1; {
		_, _ = s.Release(t.Context(), dawn, apart{}) // as far as there is room
		for _, w := range deliveries(t, s, 1) {
			made++
			if err := w.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
