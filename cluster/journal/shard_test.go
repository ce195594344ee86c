package journal_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

func TestShardOfIsFixed(t *testing.T) {
	t.Parallel()
	j := open(t)
	for id, want := range map[string]int{"": 1, "supplier:dashboard:42": 4, "crm": 3} {
		if got := j.ShardOf(id); got != want {
			t.Errorf("ShardOf(%q) = %d, want %d: what is stored would be looked for elsewhere", id, got, want)
		}
	}
	if j.Shards() != 8 {
		t.Errorf("there are %d shards, want 8", j.Shards())
	}
	lease := mustClaim(t, j, journal.ShardLease(3))
	for _, n := range []int{-1, 2, 8} {
		if _, err := j.Shard(t.Context(), n, lease); err == nil {
			t.Errorf("shard %d was taken over with the lease of shard 3", n)
		}
	}
}

func TestEventsAreRoutedByTheirShard(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		want := map[int][]uint64{}
		for i := range 200 {
			channel := "c:" + strconv.Itoa(i%20)
			want[j.ShardOf(channel)] = append(want[j.ShardOf(channel)], mustAppend(t, j, newEvent(channel)).Seq)
		}
		for shard, seqs := range want {
			s := mustShard(t, j, shard)
			for i, ev := range events(t, s, len(seqs)) {
				if ev.Event.Seq != seqs[i] || j.ShardOf(ev.Event.Channel) != shard {
					t.Fatalf("shard %d: event %d of %s, want %d", shard, ev.Event.Seq, ev.Event.Channel, seqs[i])
				}
				ev.Ack()
			}
			nothing(t, s.NextEvents)
		}
	})
}

// What an owner held when it went away comes to the next one at once and in order, and nothing that
// was done comes with it.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		const total = 50
		shard := j.ShardOf("crm")
		s := mustShard(t, j, shard)
		for i := range total {
			if err := j.Enqueue(t.Context(), newDelivery(uint64(i+1), "crm")); err != nil {
				t.Fatal(err)
			}
		}
		var want []uint64
		for i, w := range deliveries(t, s, 30) {
			if i%3 == 0 {
				if err := w.Ack(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want = append(want, w.Delivery.EventSeq)
		}
		for i := 31; i <= total; i++ {
			want = append(want, uint64(i))
		}
		// Acknowledgements are not waited for; the reset must not overtake these.
		waitFor(t, func() bool { return stream(t, j, "DL").Messages == uint64(len(want)) })

		blocked := make(chan error, 1)
		go func() { _, err := s.NextEvents(t.Context(), 1); blocked <- err }()
		begun := time.Now()
		next := mustShard(t, j, shard)
		var got []uint64
		for _, w := range deliveries(t, next, len(want)) {
			got = append(got, w.Delivery.EventSeq)
			if err := w.Ack(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("it took %v; waiting for the acknowledgement's time-out would be the wrong way", took)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the next owner gets %v, want %v", got, want)
		}
		over := func(err error) bool { return errors.Is(err, journal.ErrLost) || errors.Is(err, journal.ErrClosed) }
		if err := receive(t, blocked); !over(err) {
			t.Errorf("the owner before is told %v, want ErrLost or ErrClosed", err)
		}
		if _, err := s.NextDeliveries(t.Context(), 1); !over(err) {
			t.Errorf("the owner before still gets work: %v", err)
		}
		nothing(t, next.NextDeliveries)
	})
}

// What was acknowledged before a shard was given up does not come again.
func TestTakeOverAfterAcks(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		const count = 2000
		shard := j.ShardOf("crm")
		s := mustShard(t, j, shard)
		for i := range count {
			if err := j.Enqueue(t.Context(), newDelivery(uint64(i+1), "crm")); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range deliveries(t, s, count) {
			ack2(t, w)
		}
		s.Close()
		nothing(t, mustShard(t, j, shard).NextDeliveries)
	})
}

func TestTakeOverOfEvents(t *testing.T) {
	t.Parallel()
	j := open(t)
	shard := j.ShardOf("a:b")
	s := mustShard(t, j, shard)
	var seqs []uint64
	for range 10 {
		seqs = append(seqs, mustAppend(t, j, newEvent("a:b")).Seq)
	}
	for _, ev := range events(t, s, 10)[:4] {
		ev.Ack()
	}
	waitFor(t, func() bool { return status(t, j).Shards[shard].RouteLag == 6 })
	s.Close()
	s.Close()
	for i, ev := range events(t, mustShard(t, j, shard), 6) {
		if ev.Event.Seq != seqs[i+4] {
			t.Errorf("event %d comes, want %d", ev.Event.Seq, seqs[i+4])
		}
	}
}

// One request stands for many calls: what it still owes must come to later ones.
func TestSmallCallsGetEverything(t *testing.T) {
	t.Parallel()
	j := open(t)
	s := mustShard(t, j, j.ShardOf("a:b"))
	nothing(t, s.NextEvents) // leaves a request open
	const total = 1500       // more than one request asks for
	fillChannel(t, j, "a:b", total)
	var last uint64
	for i := range total {
		ev := events(t, s, 1)[0]
		if ev.Event.Seq <= last {
			t.Fatalf("event %d comes after %d", ev.Event.Seq, last)
		}
		last = ev.Event.Seq
		if i%2 == 0 {
			ev.Ack()
		}
	}
	nothing(t, s.NextEvents)
	ctx := t.Context()
	fillChannel(t, j, "a:b", 700)
	for n := 0; n < 700; {
		evs, err := s.NextEvents(ctx, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		n += len(evs)
	}
}

func fillChannel(t *testing.T, j *journal.Journal, channel string, n int) {
	t.Helper()
	for range n {
		mustAppend(t, j, newEvent(channel))
	}
}

// waitFor waits until something that the log does on its own is done.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	cfg := journal.Config{Dir: t.TempDir(), Logger: logger(t), SyncAlways: true}
	j := openWith(t, cfg)
	epoch := j.Epoch()
	ev := newEvent("a:b")
	at := mustAppend(t, j, ev)
	shard := j.ShardOf("crm")
	for i := range 6 {
		if err := j.Enqueue(t.Context(), newDelivery(uint64(i+1), "crm")); err != nil {
			t.Fatal(err)
		}
	}
	works := deliveries(t, mustShard(t, j, shard), 4)
	for _, w := range works[:2] {
		if err := w.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := park(t, j, newDelivery(9, "crm")); err != nil {
		t.Fatal(err)
	}
	if err := j.Record(t.Context(), "r:1", newRecord("kept")); err != nil {
		t.Fatal(err)
	}
	kv, err := j.KV(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)

	j = openWith(t, cfg)
	if j.Epoch() != epoch {
		t.Errorf("the epoch is %s, was %s", j.Epoch(), epoch)
	}
	if got, err := j.EventAt(t.Context(), at.Seq); err != nil || got.ID != ev.ID {
		t.Errorf("event %d is %v, %v", at.Seq, got, err)
	}
	if again := mustAppend(t, j, ev); !again.Duplicate {
		t.Error("an event that was there before the restart is stored again")
	}
	var got []uint64
	for _, w := range deliveries(t, mustShard(t, j, shard), 4) {
		got = append(got, w.Delivery.EventSeq)
	}
	if want := []uint64{3, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("deliveries %v come after the restart, want %v", got, want)
	}
	if n, err := j.ParkedCount(t.Context(), "crm"); err != nil || n != 1 {
		t.Errorf("%d are parked, %v; want 1", n, err)
	}
	if err := j.Record(t.Context(), "r:1", newRecord("again")); err != nil {
		t.Fatal(err)
	}
	if rs, err := j.Records(t.Context(), 0, 10, 0); err != nil || len(rs) != 1 || rs[0].Record.Audit.Target != "kept" {
		t.Errorf("the records are %v, %v; want the first one only", rs, err)
	}
	kv, err = j.KV(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := kv.Get(t.Context(), "k"); err != nil || string(v.Data) != "v" {
		t.Errorf("k is %q, %v", v.Data, err)
	}
}

func TestUnreadableWorkIsPassedOver(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5)})
	shard := j.ShardOf("crm")
	for _, garbage := range []string{"{", `{"v":1}`, `[]`, "\xff"} {
		n.put(fmt.Sprintf("dl.%d.crm", shard), garbage)
		n.put(fmt.Sprintf("park.%d.crm", shard), garbage)
		n.put(fmt.Sprintf("ev.%d.a.b", shard), garbage)
		n.put("dead.crm", garbage)
		n.put("rec", garbage)
	}
	for _, err := range []error{
		j.Enqueue(t.Context(), newDelivery(1, "crm")),
		park(t, j, newDelivery(2, "crm")),
		j.Record(t.Context(), "", newRecord("x")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := mustShard(t, j, shard)
	if w := deliveries(t, s, 1)[0]; w.Delivery.EventSeq != 1 {
		t.Errorf("delivery %d comes, want 1", w.Delivery.EventSeq)
	}
	nothing(t, s.NextEvents)
	if p, err := j.ParkedNext(t.Context(), "crm", 0, 2); err != nil || len(p) != 1 || p[0].Delivery.EventSeq != 2 {
		t.Errorf("parked are %v, %v; want delivery 2", p, err)
	}
	if n, err := j.ParkedCount(t.Context(), "crm"); err != nil || n != 1 {
		t.Errorf("%d are parked, %v; want what can be read", n, err)
	}
	if r, err := j.Records(t.Context(), 0, 9, within); err != nil || len(r) != 5 || r[0].Record != nil || string(r[0].Data) != "{" || r[4].Record == nil {
		t.Errorf("%d records, %v; want one, behind four that their reader tells of", len(r), err)
	}
	if d, err := j.DeadLetters(t.Context(), journal.DeadQuery{Limit: 1}); err != nil || len(d) != 0 {
		t.Errorf("%d dead letters, %v; want none", len(d), err)
	}
	if _, err := j.DeadLetter(t.Context(), 1); err == nil {
		t.Error("a dead letter that cannot be read is read")
	}
	if _, err := j.EventAt(t.Context(), 1); err == nil {
		t.Error("an event that cannot be read is read")
	}
	waitFor(t, func() bool { return status(t, j).Shards[shard].RouteLag == 0 }) // they were not given back
	if got := status(t, j).Undecodable; got != 18 {
		t.Errorf("%d unreadable records were counted, want 18", got)
	}
}
