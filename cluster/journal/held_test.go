package journal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// behind is until when a delivery has to wait for what is held of its lane, an hour before midnight.
func behind(t *testing.T, j *journal.Journal, d *event.Delivery) time.Time {
	t.Helper()
	h, err := j.HeldOn(t.Context(), d.Channel)
	if err != nil {
		t.Fatal(err)
	}
	return h.Behind(d, evening)
}

var evening = time.UnixMilli(1812834000000).UTC()

// Whatever rules hold it, nothing is released before what was held of its lane; a digest is joined while it is
// open and nothing is behind it.
func TestHeldBehindWhatIsHeld(t *testing.T) {
	t.Parallel()
	j := open(t)
	at := func(minutes int) time.Time { return evening.Add(time.Duration(minutes) * time.Minute) }
	digest := func(wedding string, due time.Time) *event.Delivery {
		d := newHeld(99, "crm", "", due)
		d.WeddingID, d.Digest = wedding, []uint64{99}
		return d
	}
	each := func(due time.Time) *event.Delivery { return newHeld(99, "crm", "", due) }
	seq := uint64(0)
	for _, c := range []struct {
		name string
		held []*event.Delivery
		d    *event.Delivery
		want time.Time
	}{
		{"no rules behind quiet hours", []*event.Delivery{each(at(5))}, each(time.Time{}), at(5)},
		{"no rules behind a digest", []*event.Delivery{digest("w", at(5))}, each(time.Time{}), at(5).Add(time.Millisecond)},
		{"no rules behind both", []*event.Delivery{digest("w", at(5)), each(at(9))}, each(time.Time{}), at(9)},
		{"no rules behind what is due", []*event.Delivery{digest("w", at(-5))}, each(time.Time{}), at(-5).Add(time.Millisecond)},
		{"shorter quiet hours", []*event.Delivery{each(at(9))}, each(at(5)), at(9)},
		{"longer quiet hours", []*event.Delivery{each(at(5))}, each(at(9)), at(9)},
		{"a digest behind quiet hours", []*event.Delivery{each(at(9))}, digest("w", at(5)), at(9).Add(time.Millisecond)},
		{"a digest that is open", []*event.Delivery{digest("w", at(5))}, digest("w", at(9)), at(5)},
		{"a digest that is open, with another", []*event.Delivery{digest("w", at(5)), digest("v", at(7))}, digest("w", at(9)), at(5)},
		{"a digest that is over", []*event.Delivery{digest("w", at(-5))}, digest("w", at(9)), at(9)},
		{"a digest with something behind it", []*event.Delivery{digest("w", at(5)), each(at(7))}, digest("w", at(6)), at(7).Add(time.Millisecond)},
		{"another recipient", []*event.Delivery{newHeld(99, "crm", "other", at(5))}, each(time.Time{}), time.Time{}},
		{"another integration", []*event.Delivery{newHeld(99, "mail", "", at(5))}, each(time.Time{}), time.Time{}},
	} {
		for _, d := range append(c.held, c.d) {
			d.Channel = "couple:" + c.name
		}
		for _, d := range c.held {
			seq++
			d.EventSeq = seq
		}
		enqueue(t, j, c.held...)
		if got := behind(t, j, c.d); !got.Equal(c.want) {
			t.Errorf("%s: held until %v, want %v", c.name, got, c.want)
		}
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
		if until := behind(t, j, newHeld(1000, "crm", all[0].Recipient, time.Time{})); !until.Equal(dawn.Add(time.Hour)) {
			t.Errorf("its lane is held until %v", until)
		}
		if until := behind(t, j, newDelivery(1, "crm")); !until.IsZero() {
			t.Errorf("another lane is held until %v", until)
		}
		counts, err := j.HeldFor(t.Context(), "")
		one, err2 := j.HeldFor(t.Context(), "crm")
		want := map[string]journal.HeldCount{"crm": {Count: 600, Next: dawn}}
		if err != nil || err2 != nil || !maps.Equal(counts, want) || !maps.Equal(one, want) {
			t.Errorf("held are %v and %v, want %v; %v, %v", counts, one, want, err, err2)
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
	if _, err := j.HeldOn(t.Context(), "couple:c"); err == nil {
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
	if _, err := j.HeldFor(t.Context(), "a.b"); err == nil {
		t.Error("of an integration that cannot be something is held")
	}
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
