package journal_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/cluster/journal"
)

// line puts numbered deliveries before an integration.
func line(t *testing.T, j *journal.Journal, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := j.Enqueue(t.Context(), newDelivery(uint64(i), "crm")); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers are those of the next n deliveries.
func numbers(t *testing.T, s *journal.Shard, n int) (got []uint64) {
	t.Helper()
	for _, w := range deliveries(t, s, n) {
		got = append(got, w.Delivery.EventSeq)
	}
	return got
}

func upTo(n int) (all []uint64) {
	for i := range n {
		all = append(all, uint64(i+1))
	}
	return all
}

// What is done leaves the log, also behind something that is not; exactly the rest comes again.
func TestDeliveriesLeaveTheLog(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		const count = 300
		line(t, j, 1, count)
		s := mustShard(t, j, j.ShardOf("crm"))
		var want []uint64
		for i, w := range deliveries(t, s, count) {
			if i == 100 || i == 200 {
				want = append(want, w.Delivery.EventSeq)
				continue
			}
			ack2(t, w)
			ack2(t, w)
		}
		waitFor(t, func() bool { return stream(t, j, "DL").Messages == uint64(len(want)) })
		line(t, j, count+1, count+1)
		if got := numbers(t, s, 1); got[0] != count+1 {
			t.Errorf("then comes %v", got)
		}
		want = append(want, count+1)
		next := mustShard(t, j, j.ShardOf("crm"))
		if got := numbers(t, next, len(want)); !slices.Equal(got, want) {
			t.Errorf("the next owner gets %v, want %v", got, want)
		}
		nothing(t, next.NextDeliveries)
	})
}

// More than one feed sends ahead comes all the same, in order and once, to a reader that takes it as it comes.
func TestBacklog(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		const count, size = 160, 32 << 10 // 5 MiB
		body := []byte(`"` + strings.Repeat("x", size) + `"`)
		for i := range count {
			d := newDelivery(uint64(i+1), "crm")
			d.Body = body
			must(t, j.Enqueue(t.Context(), d))
		}
		if got := numbers(t, mustShard(t, j, j.ShardOf("crm")), count); !slices.Equal(got, upTo(count)) {
			t.Errorf("%d come: %v", len(got), got)
		}
	})
}

// What is done when a shard is given up does not come again, whatever it was behind.
func TestClosingTakesOutWhatIsDone(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		line(t, j, 1, 200)
		s := mustShard(t, j, j.ShardOf("crm"))
		for i, w := range deliveries(t, s, 200) {
			if i > 0 {
				ack2(t, w)
			}
		}
		s.Close()
		if n := stream(t, j, "DL").Messages; n != 1 {
			t.Errorf("%d are in the log, want the one that is not done", n)
		}
	})
}

// The consumer of a shard's deliveries may go away at any time: nothing comes twice, and nothing is lost.
func TestDeliveriesComeOnWithoutTheirConsumer(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j, way := comrade(t, n, "a")
	s := mustShard(t, j, j.ShardOf("crm"))
	sent := 0
	expect := func(what string) {
		t.Helper()
		waitFor(t, func() bool { return j.Enqueue(t.Context(), newDelivery(uint64(sent+1), "crm")) == nil })
		line(t, j, sent+2, sent+3)
		if got := numbers(t, s, 3); !slices.Equal(got, upTo(sent + 3)[sent:]) {
			t.Errorf("%s: %v come after %d", what, got, sent)
		}
		sent += 3
	}
	expect("at first")
	deleteConsumers(t, n, "DL")
	expect("without a consumer")
	way.Hold(true, true)
	way.Hold(false, false)
	expect("after the connection was held up")
	n.stop()
	n.start()
	expect("after the server was away")
	waitFor(t, func() bool { // the connection that asks may be the last to come back
		_, err := j.Status(t.Context())
		return err == nil
	})
	if n := stream(t, j, "DL").Messages; n != uint64(sent) {
		t.Errorf("%d are in the log, want %d", n, sent)
	}
}

func deleteConsumers(t *testing.T, n *natsServer, stream string) {
	t.Helper()
	feeds := n.Feeds(stream)
	if len(feeds) == 0 {
		t.Fatal("nothing reads ", stream)
	}
	for name := range feeds {
		if err := n.jetStream().DeleteConsumer(t.Context(), stream, name); err != nil {
			t.Fatal(err)
		}
	}
}

// An owner that was stopped while it asked for work gets some when it goes on: it hands out nothing of that, and the
// next owner lacks nothing.
func TestLateRequest(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, way := comrade(t, n, "a")
	b, _ := comrade(t, n, "b")
	shard := a.ShardOf("crm")
	paused := mustShard(t, a, shard)
	nothing(t, paused.NextDeliveries) // leaves a request open
	way.Hold(true, true)
	next := mustShard(t, b, shard)
	line(t, b, 1, 4)
	way.Hold(false, false)
	if got, err := paused.NextDeliveries(t.Context(), 10); !errors.Is(err, journal.ErrLost) {
		t.Errorf("the one who was stopped gets %v, %v; want ErrLost", got, err)
	}
	if got := numbers(t, next, 4); !slices.Equal(got, upTo(4)) {
		t.Errorf("the next owner gets %v, want all", got)
	}
}

// What a deposed owner has done is done, whether or not the next one has it in hand.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, _ := comrade(t, n, "a")
	b, _ := comrade(t, n, "b")
	shard := a.ShardOf("crm")
	s := mustShard(t, a, shard)
	line(t, a, 1, 4)
	old := deliveries(t, s, 4)
	if err := mustClaim(t, a, journal.ShardLease(shard)).Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	ack2(t, old[0]) // before it is given out again
	next := mustShard(t, b, shard)
	works := deliveries(t, next, 3)
	ack2(t, old[1]) // afterwards
	if n := stream(t, b, "DL").Messages; n != 2 {
		t.Errorf("%d are in the log, want those that nobody has done", n)
	}
	for _, w := range append(works, old...) {
		ack2(t, w)
	}
	waitFor(t, func() bool { return stream(t, b, "DL").Messages == 0 })
	line(t, a, 5, 6)
	if got := numbers(t, next, 2); !slices.Equal(got, []uint64{5, 6}) {
		t.Errorf("then come %v", got)
	}
}

// The work queue of an earlier release is replaced, unless there is something in it.
func TestWorkOfAnEarlierRelease(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	cfg := journal.Config{URL: n.url(), Logger: logger(t).Level(5)}
	closeJournal(t, openWith(t, cfg))
	js := n.jetStream()
	old := jetstream.StreamConfig{Name: "DL", Subjects: []string{"dl.*.*"}, Retention: jetstream.WorkQueuePolicy}
	err := js.DeleteStream(t.Context(), "DL")
	if err == nil {
		_, err = js.CreateStream(t.Context(), old)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.put("dl.1.crm", "{}")
	if _, err := journal.Open(t.Context(), cfg); !errors.Is(err, journal.ErrForeign) {
		t.Errorf("with something in it: %v, want ErrForeign", err)
	}
	if s, err := js.Stream(t.Context(), "DL"); err != nil || s.Purge(t.Context()) != nil {
		t.Fatal(err)
	}
	j := openWith(t, cfg)
	line(t, j, 1, 1)
	if got := numbers(t, mustShard(t, j, j.ShardOf("crm")), 1); got[0] != 1 {
		t.Errorf("%v comes", got)
	}
}

// A log that does not answer when a shard is given up holds nobody up for long.
func TestClosingWithoutTheLog(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, way := comrade(t, n, "a", func(c *journal.Config) { c.LeaseTTL = time.Hour })
	s := mustShard(t, a, a.ShardOf("crm"))
	line(t, a, 1, 2)
	works := deliveries(t, s, 2)
	way.Hold(true, true)
	ack2(t, works[1])
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	receive(t, closed)
	way.Hold(false, false)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if _, err := s.NextDeliveries(ctx, 1); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("after it was closed: %v", err)
	}
}
