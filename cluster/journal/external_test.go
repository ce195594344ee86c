package journal_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/cluster/journal"
)

func TestExternalMarker(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	cfg := journal.Config{URL: n.url(), Logger: logger(t)}
	j := openWith(t, cfg)
	s := status(t, j)
	if s.Mode != "external" || s.Store != n.url() || s.Epoch == "" || s.DiskFree != 0 {
		t.Errorf("the status is %+v", s)
	}
	closeJournal(t, j)
	if j = openWith(t, cfg); j.Epoch() != s.Epoch {
		t.Errorf("the epoch is %s, was %s", j.Epoch(), s.Epoch)
	}
	cfg.Shards = 4
	var count *journal.ShardCountError
	if _, err := journal.Open(t.Context(), cfg); !errors.As(err, &count) || count.Stored != 8 || count.Path != n.url() {
		t.Errorf("another shard count: %v, want a *ShardCountError", err)
	}
	cfg.Shards = 8
	js := n.jetStream()
	kv, err := js.KeyValue(t.Context(), "wedsync")
	if err != nil {
		t.Fatal(err)
	}
	for marker, want := range map[string]error{
		`{"format":2}`: journal.ErrNewer, `x`: journal.ErrForeign,
		`{"format":1,"mode":"standalone","shards":8,"epoch":"e"}`: journal.ErrForeign,
	} {
		if _, err := kv.PutString(t.Context(), "marker", marker); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Open(t.Context(), cfg); !errors.Is(err, want) || !strings.Contains(err.Error(), n.url()) {
			t.Errorf("the marker %s: %v, want %v", marker, err, want)
		}
	}
}

func (n *natsServer) jetStream() jetstream.JetStream {
	n.tb.Helper()
	nc, err := nats.Connect(n.url())
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		n.tb.Fatal(err)
	}
	return js
}

func TestExternalLogLost(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	cfg := journal.Config{URL: n.url(), Logger: logger(t)}
	j := openWith(t, cfg)
	epoch := j.Epoch()
	closeJournal(t, j)
	if err := n.jetStream().DeleteStream(t.Context(), "EV"); err != nil {
		t.Fatal(err)
	}
	if j = openWith(t, cfg); j.Epoch() == epoch || j.Epoch() == "" {
		t.Errorf("the epoch is %q, was %q", j.Epoch(), epoch)
	}
}

// Somebody else's stream with our subjects is refused, not taken over.
func TestExternalSubjectsTaken(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	if _, err := n.jetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "THEIRS", Subjects: []string{"ev.>"}}); err != nil {
		t.Fatal(err)
	}
	var store *journal.StoreError
	if _, err := journal.Open(t.Context(), journal.Config{URL: n.url(), Logger: logger(t)}); !errors.As(err, &store) || !strings.Contains(err.Error(), "EV") {
		t.Errorf("%v, want a *StoreError that names the stream", err)
	}
}

func TestExternalWithoutJetStream(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	n.stop()
	n.Options.JetStream = false
	n.start()
	if _, err := journal.Open(t.Context(), journal.Config{URL: n.url(), Logger: logger(t)}); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	url := n.url()
	n.stop()
	if _, err := journal.Open(t.Context(), journal.Config{URL: strings.Replace(url, "://", "://me:secret@", 1)}); !errors.Is(err, journal.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v, want ErrUnavailable without the password", err)
	}
	n.start() // for the cleanup
}

// The server goes away and comes back: calls fail soon and clearly, and everything goes on by itself.
func TestExternalServerRestarts(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5), Patience: 100 * time.Millisecond})
	s := mustShard(t, j, j.ShardOf("crm"))
	nothing(t, s.NextDeliveries) // leaves a request open, which the restart forgets
	heard := make(chan journal.Entry, 100)
	stop, err := j.Live("a:b", func(e journal.Entry) { heard <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	held := mustAppend(t, j, newEvent("a:b"))
	n.stop()

	waiting := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		works, err := s.NextDeliveries(ctx, 10)
		if err == nil {
			err = works[0].Ack()
		}
		waiting <- err
	}()
	begun := time.Now()
	if _, err := j.Append(t.Context(), newEvent("a:b")); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("Append: %v, want ErrUnavailable", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if err := j.Enqueue(t.Context(), newDelivery(1, "crm")); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("Enqueue: %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := j.History(ctx, "a:b", 0, 1); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("History: %v, want ErrUnavailable", err)
	}
	n.start()
	var next journal.Appended
	waitFor(t, func() bool { next, err = j.Append(t.Context(), newEvent("a:b")); return err == nil })
	begun = time.Now()
	if err := j.Enqueue(t.Context(), newDelivery(1, "crm")); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, waiting); err != nil {
		t.Errorf("waiting over the restart: %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("work came %v later; the request made before the restart must not be waited for", took)
	}
	// Live comes back too; what was missed shows in Prev, and the history has it.
	if e := receive(t, heard); e.Seq != held.Seq {
		t.Fatalf("the first entry is %d, want %d", e.Seq, held.Seq)
	}
	last := next
	waitFor(t, func() bool {
		if len(heard) > 0 {
			return true
		}
		last = mustAppend(t, j, newEvent("a:b"))
		return false
	})
	e := receive(t, heard)
	var all []journal.Entry
	waitFor(t, func() bool { all, err = j.History(t.Context(), "a:b", 0, 1000); return err == nil })
	i := slices.IndexFunc(all, func(h journal.Entry) bool { return h.Seq == e.Seq })
	if i < 1 || all[0].Seq != held.Seq || all[1].Seq != next.Seq || e.Prev != all[i-1].Seq || e.Seq > last.Seq {
		t.Errorf("after the restart the first entry is %d after %d; want what the history has before it", e.Seq, e.Prev)
	}
}

// What is no republished event is passed over.
func TestExternalNoiseOnLive(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5)})
	heard := make(chan journal.Entry, 10)
	stop, err := j.Live("a:b", func(e journal.Entry) { heard <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	nc := connect(t, n)
	for _, h := range []nats.Header{nil, {"Nats-Sequence": {"x"}}, {"Nats-Sequence": {"1"}}} {
		if err := nc.PublishMsg(&nats.Msg{Subject: "live.a.b", Data: []byte("{}"), Header: h}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	at := mustAppend(t, j, newEvent("a:b"))
	if e := receive(t, heard); e.Seq != at.Seq || len(e.Data) < 10 {
		t.Errorf("the first entry is %+v, want %d", e, at.Seq)
	}
}

// What is acknowledged while the server is away is acknowledged when it is back, and does not come again.
func TestAcknowledgementsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5)})
	for i := range 3 {
		if err := j.Enqueue(t.Context(), newDelivery(uint64(i+1), "crm")); err != nil {
			t.Fatal(err)
		}
	}
	works := deliveries(t, mustShard(t, j, j.ShardOf("crm")), 3)
	n.stop()
	for _, w := range works {
		if err := w.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	n.start()
	waitFor(t, func() bool {
		s, err := j.Status(t.Context())
		return err == nil && s.Shards[j.ShardOf("crm")].DeliveryLag == 0
	})
}
