package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/cluster/journal"
)

// seqs are the sequences of the next n events.
func seqs(t *testing.T, s *journal.Shard, n int) (got []uint64) {
	t.Helper()
	for _, ev := range events(t, s, n) {
		got = append(got, ev.Event.Seq)
	}
	return got
}

// Exactly what was not routed comes again, whatever was routed out of order.
func TestEventsComeAgainUnlessTheyAreRouted(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		const count = 300
		fillChannel(t, j, "a:b", count)
		shard := j.ShardOf("a:b")
		s := mustShard(t, j, shard)
		var want []uint64
		for i, ev := range events(t, s, count) {
			if i == 0 || i%7 == 3 {
				want = append(want, ev.Event.Seq)
				continue
			}
			ev.Ack()
			ev.Ack()
		}
		s.Close()
		if lag := status(t, j).Shards[shard].RouteLag; lag != uint64(len(want)) {
			t.Errorf("%d are to be routed, want %d", lag, len(want))
		}
		if err := j.DeleteEvent(t.Context(), want[2]); err != nil {
			t.Fatal(err)
		}
		want = slices.Delete(want, 2, 3)
		s = mustShard(t, j, shard)
		again := events(t, s, 10)
		for _, ev := range again {
			ev.Ack()
		}
		s.Close()
		s = mustShard(t, j, shard)
		fillChannel(t, j, "a:b", 1)
		if got := seqs(t, s, len(want)-10+1); !slices.Equal(got, append(slices.Clone(want[10:]), count+1)) {
			t.Errorf("%v come again, want %v and a new one", got, want[10:])
		}
		nothing(t, s.NextEvents)
	})
}

// The consumer of a shard's events may go away at any time: nothing comes twice, and nothing is lost.
func TestEventsComeOnWithoutTheirConsumer(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j, way := comrade(t, n, "a")
	s := mustShard(t, j, j.ShardOf("a:b"))
	var next uint64
	expect := func(what string) {
		t.Helper()
		fillChannel(t, j, "a:b", 3)
		for _, seq := range seqs(t, s, 3) {
			if next++; seq != next {
				t.Errorf("%s: event %d comes, want %d", what, seq, next)
			}
		}
	}
	expect("at first")
	deleteConsumers(t, n, "EV")
	expect("without a consumer")
	way.Hold(true, true)
	way.Hold(false, false)
	expect("after the connection was held up")
	n.stop()
	n.start()
	expect("after the server was away")
}

// Who takes a shard over has the word on how far it is routed; the owner before is told when it says more.
func TestRoutedByAnother(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, _ := comrade(t, n, "a")
	shard := a.ShardOf("a:b")
	s := mustShard(t, a, shard)
	fillChannel(t, a, "a:b", 3)
	evs := events(t, s, 3)
	evs[0].Ack()
	waitFor(t, func() bool { return status(t, a).Shards[shard].RouteLag == 2 })
	setMark(t, n, shard, `{"v":1,"epoch":99,"next":3,"open":[2]}`)
	evs[1].Ack()
	if _, err := s.NextEvents(t.Context(), 1); !errors.Is(err, journal.ErrTaken) {
		t.Errorf("the owner before: %v, want ErrTaken", err)
	}
	if got := seqs(t, mustShard(t, a, shard), 2); !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("%v come, want what the other has noted", got)
	}
}

// setMark writes how far a shard is routed.
func setMark(t *testing.T, n *natsServer, shard int, mark string) {
	t.Helper()
	kv, err := n.jetStream().KeyValue(t.Context(), "routed")
	if err == nil {
		_, err = kv.PutString(t.Context(), strconv.Itoa(shard), mark)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMarkThatCannotBeRead(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j, _ := comrade(t, n, "a")
	lease := mustClaim(t, j, journal.ShardLease(0))
	for mark, want := range map[string]error{
		`{`: nil, `{"v":99,"next":1}`: journal.ErrNewer,
		`{"v":1,"next":3,"open":[3]}`: journal.ErrForeign, `{"v":1,"next":3,"open":[2,1]}`: journal.ErrForeign,
	} {
		setMark(t, n, 0, mark)
		if _, err := j.Shard(t.Context(), 0, lease); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", mark, err, want)
		}
	}
}

// An event log that was made anew is routed from its beginning.
func TestRoutedIsOfOneLog(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5)})
	shard := j.ShardOf("a:b")
	fillChannel(t, j, "a:b", 3)
	s := mustShard(t, j, shard)
	for _, ev := range events(t, s, 3) {
		ev.Ack()
	}
	closeJournal(t, j)
	if err := n.jetStream().DeleteStream(t.Context(), "EV"); err != nil {
		t.Fatal(err)
	}
	j = openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5)})
	fillChannel(t, j, "a:b", 2)
	if got := seqs(t, mustShard(t, j, shard), 2); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("%v come, want all", got)
	}
}

// A log of an earlier release, which had consumers say how far events are routed, goes on there.
func TestRoutedBefore(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5)})
	shard := j.ShardOf("a:b")
	c, err := n.jetStream().CreateConsumer(t.Context(), "EV", jetstream.ConsumerConfig{
		Durable: fmt.Sprint("route_", shard), FilterSubject: fmt.Sprint("ev.", shard, ".>"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	fillChannel(t, j, "a:b", 3)
	for range 2 {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := seqs(t, mustShard(t, j, shard), 1); !slices.Equal(got, []uint64{3}) {
		t.Errorf("%v come, want the third", got)
	}
}

// What is noted of how far a shard is routed is one small value, however many events there were.
func TestRoutedIsSmall(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j, _ := comrade(t, n, "a")
	shard := j.ShardOf("a:b")
	const count = 2000
	fillChannel(t, j, "a:b", count)
	s := mustShard(t, j, shard)
	for i, ev := range events(t, s, count) {
		if i != 5 {
			ev.Ack()
		}
	}
	s.Close()
	kv, err := n.jetStream().KeyValue(context.Background(), "routed")
	if err != nil {
		t.Fatal(err)
	}
	v, err := kv.Get(t.Context(), strconv.Itoa(shard))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Next uint64
		Open []uint64
	}
	if err := json.Unmarshal(v.Value(), &m); err != nil || m.Next != count+1 || !slices.Equal(m.Open, []uint64{6}) {
		t.Errorf("%s is noted, %v; want the sixth as open", v.Value(), err)
	}
}
