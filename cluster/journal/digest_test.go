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
	if until := behind(t, j, others); !until.Equal(due) {
		t.Errorf("another wedding's digest is open until %v", until)
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

// A digest that a crash broke off, wherever that was, tells the same when it goes on, once and under one id;
// what came meanwhile is told by the next one.
func TestDigestStaysTheSameAfterACrash(t *testing.T) {
	t.Parallel()
	due := time.UnixMilli(1812862800000)
	gathered := func(seq uint64) *event.Delivery {
		d := newHeld(seq, "crm", "", due)
		d.Digest = []uint64{seq}
		return d
	}
	for _, c := range []struct {
		name  string
		first []uint64
		crash func(j *journal.Journal, told *event.Delivery) error
	}{
		{"before its parts are taken away", []uint64{1, 2, 3}, func(*journal.Journal, *event.Delivery) error { return nil }},
		{"before it is taken away", []uint64{1, 2, 3}, func(j *journal.Journal, told *event.Delivery) error { return j.Move(t.Context(), told) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			j := openWith(t, journal.Config{Dir: dir, Logger: logger(t)})
			for _, seq := range c.first {
				enqueue(t, j, gathered(seq))
			}
			if _, err := mustShard(t, j, j.ShardOf("crm")).Release(t.Context(), due, &together{failures: 1}); err == nil {
				t.Fatal("it was not broken off")
			}
			told := gathered(3)
			told.Digest = c.first
			if err := c.crash(j, told); err != nil {
				t.Fatal(err)
			}
			enqueue(t, j, gathered(4), gathered(5))
			closeJournal(t, j)
			j = openWith(t, journal.Config{Dir: dir, Logger: logger(t)})
			s := mustShard(t, j, j.ShardOf("crm"))
			if next, err := s.Release(t.Context(), due, &together{}); err != nil || !next.IsZero() {
				t.Errorf("the second time: %v, %v", next, err)
			}
			var got []string
			for _, w := range deliveries(t, s, 2) {
				got = append(got, fmt.Sprint(w.Delivery.ID == gathered(w.Delivery.EventSeq).ID, w.Delivery.Digest))
			}
			if fmt.Sprint(got) != "[true [1 2 3] true [4 5]]" {
				t.Errorf("told %q", got)
			}
			nothing(t, s.NextDeliveries)
			if n := stream(t, j, "DL").Messages; n != 2 {
				t.Errorf("%d deliveries are stored, want 2", n)
			}
		})
	}
}

// More than one digest may tell is told by several, each event once and in order.
func TestLongDigestsAreSeveral(t *testing.T) {
	t.Parallel()
	j := open(t)
	s := mustShard(t, j, j.ShardOf("crm"))
	due := time.UnixMilli(1812862800000)
	var all []*event.Delivery
	for seq := range uint64(2*journal.MaxJoined + 1) {
		d := newHeld(seq+1, "crm", "", due)
		d.Digest = []uint64{seq + 1}
		all = append(all, d)
	}
	enqueue(t, j, all...)
	if _, err := s.Release(t.Context(), due, &together{}); err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	for i, w := range deliveries(t, s, 3) {
		if n := len(w.Delivery.Digest); n != journal.MaxJoined && i < 2 || i == 2 && n != 1 {
			t.Errorf("digest %d tells %d", i, n)
		}
		for _, seq := range w.Delivery.Digest {
			if seq != next {
				t.Fatalf("%d is told where %d was due", seq, next)
			}
			next++
		}
	}
	nothing(t, s.NextDeliveries)
}
