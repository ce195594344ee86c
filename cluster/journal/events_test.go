package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

func TestAppendAndRead(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		first := newEvent("couple:v1.2:c-1")
		first.Payload = json.RawMessage(`{"note":"<b>\u00e9 & co</b>"}`)
		a := mustAppend(t, j, first)
		if a != (journal.Appended{Seq: 1}) {
			t.Fatalf("the first event is at %+v", a)
		}
		second := newEvent("couple:v1.2:c-1")
		other := newEvent("couple:v1:2:c-1") // must not be taken for the first
		otherAt, secondAt := mustAppend(t, j, other), mustAppend(t, j, second)

		got, err := j.EventAt(t.Context(), a.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if got.Seq != a.Seq || got.ID != first.ID || got.Channel != first.Channel || string(got.Payload) != string(first.Payload) || !got.AcceptedAt.Equal(first.AcceptedAt) {
			t.Errorf("EventAt(%d) = %+v, want %+v", a.Seq, got, first)
		}
		for _, seq := range []uint64{0, 99} {
			if _, err := j.EventAt(t.Context(), seq); !errors.Is(err, journal.ErrNotFound) {
				t.Errorf("EventAt(%d): %v, want ErrNotFound", seq, err)
			}
		}
		for channel, want := range map[string]uint64{first.Channel: secondAt.Seq, other.Channel: otherAt.Seq, "couple:none": 0} {
			if seq, err := j.Last(t.Context(), channel); err != nil || seq != want {
				t.Errorf("Last(%s) = %d, %v; want %d", channel, seq, err, want)
			}
		}
		entries, err := j.History(t.Context(), first.Channel, 0, 10)
		if err != nil || len(entries) != 2 {
			t.Fatalf("History = %d entries, %v; want 2", len(entries), err)
		}
		want := []journal.Entry{{Seq: a.Seq, Channel: first.Channel}, {Seq: secondAt.Seq, Prev: a.Seq, Channel: first.Channel}}
		for i, e := range entries {
			if e.Seq != want[i].Seq || e.Prev != want[i].Prev || e.Channel != want[i].Channel {
				t.Errorf("entry %d is %+v, want %+v", i, e, want[i])
			}
		}
		if !strings.Contains(string(entries[0].Data), string(first.Payload)) {
			t.Errorf("the payload %s was not kept as it is: %s", first.Payload, entries[0].Data)
		}
	})
}

func TestAppendTwiceStoresOnce(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		ev := newEvent("a:b")
		first := mustAppend(t, j, ev)
		mustAppend(t, j, newEvent("a:b"))
		if again := mustAppend(t, j, ev); !again.Duplicate || again.Seq != first.Seq {
			t.Errorf("the second time it is %+v, want a duplicate of %d", again, first.Seq)
		}
		elsewhere := *ev
		elsewhere.Channel = "a:c"
		if other := mustAppend(t, j, &elsewhere); other.Duplicate || other.Seq != 3 {
			t.Errorf("with its id on another channel it is %+v, want an event of its own", other)
		}
		if n := stream(t, j, "EV").Messages; n != 3 {
			t.Errorf("there are %d events, want 3", n)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	j := open(t)
	for name, tc := range map[string]struct {
		change func(*event.Event)
		want   string
	}{
		"a wildcard":            {func(e *event.Event) { e.Channel = "a:*" }, `channel "a:*"`},
		"a separator of NATS":   {func(e *event.Event) { e.Channel = "a:>" }, `channel "a:>"`},
		"no channel":            {func(e *event.Event) { e.Channel = "" }, "the name is empty"},
		"no id":                 {func(e *event.Event) { e.ID = "" }, "must have 1 to 128 bytes"},
		"a long id":             {func(e *event.Event) { e.ID = strings.Repeat("x", 129) }, "must have 1 to 128 bytes"},
		"a line break in an id": {func(e *event.Event) { e.ID = "a\r\nNats-Rollup: all" }, "visible ASCII"},
		"a payload not JSON":    {func(e *event.Event) { e.Payload = []byte("{") }, "JSON"},
	} {
		ev := newEvent("a:b")
		tc.change(ev)
		if _, err := j.Append(t.Context(), ev); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tc.want)
		}
	}
	huge := newEvent("a:b")
	huge.Payload = []byte(`"` + strings.Repeat("x", 5<<20) + `"`)
	if _, err := j.Append(t.Context(), huge); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("five megabytes: %v, want ErrTooLarge", err)
	}
	if n := stream(t, j, "EV").Messages; n != 0 {
		t.Errorf("%d events were stored", n)
	}
}

func TestLargestDeadLetterFits(t *testing.T) {
	t.Parallel()
	j := open(t)
	payload := []byte(`{"a":"` + strings.Repeat("<", event.MaxPayloadBytes-8) + `"}`)
	ev := newEvent("a:b")
	ev.Payload = payload
	mustAppend(t, j, ev)
	d := newDelivery(1, "crm")
	d.Body = payload
	if err := j.Bury(t.Context(), &event.DeadLetter{Delivery: *d, Event: *ev}); err != nil {
		t.Error(err)
	}
}

func TestConcurrentAppends(t *testing.T) {
	t.Parallel()
	j := open(t)
	const callers, each = 3000, 3 // more callers than there are places under way
	var wg sync.WaitGroup
	var mu sync.Mutex
	seqs := map[uint64]string{}
	for caller := range callers {
		wg.Go(func() {
			channel := fmt.Sprintf("c:%d", caller)
			var last uint64
			for range each {
				a, err := j.Append(t.Context(), newEvent(channel))
				if err != nil {
					t.Error(err)
					return
				}
				if a.Seq <= last {
					t.Errorf("%s: %d came after %d", channel, a.Seq, last)
				}
				last = a.Seq
				mu.Lock()
				seqs[a.Seq] = channel
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seqs) != callers*each {
		t.Fatalf("%d sequences, want %d", len(seqs), callers*each)
	}
	for seq := uint64(1); seq <= callers*each; seq += 53 {
		if ev, err := j.EventAt(t.Context(), seq); err != nil || ev.Channel != seqs[seq] {
			t.Errorf("event %d: %v, %v; its caller was told it is of %s", seq, ev, err, seqs[seq])
		}
	}
}

func TestHistoryPages(t *testing.T) {
	t.Parallel()
	j := open(t)
	const total = 2500 // more than JetStream is asked for at once
	fill(t, j, 2*total, 2)
	var all []journal.Entry
	for after := uint64(0); ; {
		page, err := j.History(t.Context(), "supplier:dashboard:1", after, 700)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		if page[0].Prev != 0 {
			t.Errorf("a page's first entry has Prev %d", page[0].Prev)
		}
		all = append(all, page...)
		after = page[len(page)-1].Seq
	}
	once, err := j.History(t.Context(), "supplier:dashboard:1", 0, total+1)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != total || len(once) != total {
		t.Fatalf("%d events in pages, %d at once; want %d", len(all), len(once), total)
	}
	for i := range all {
		if all[i].Seq != once[i].Seq || i > 0 && (once[i].Seq <= once[i-1].Seq || once[i].Prev != once[i-1].Seq) {
			t.Fatalf("entry %d: %d in pages, %d (after %d) at once", i, all[i].Seq, once[i].Seq, once[i].Prev)
		}
	}
	if none, err := j.History(t.Context(), "supplier:dashboard:1", 0, 0); err != nil || len(none) != 0 {
		t.Errorf("a limit of 0 gives %d entries, %v", len(none), err)
	}
	if _, err := j.History(t.Context(), "supplier:*", 0, 1); err == nil {
		t.Error("a pattern has a history")
	}
}

// Each channel of this log is spread in another way, so that the search for its end begins at good
// and at bad guesses.
func TestHistoryLast(t *testing.T) {
	t.Parallel()
	j := open(t)
	want := map[string][]uint64{}
	const total = 3000
	var mu sync.Mutex
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < total; i = int(next.Add(1)) - 1 {
				channel := "even:" + fmt.Sprint(i%50)
				switch {
				case i < 700:
					channel = "at:first"
				case i%900 == 0:
					channel = "now:and:then"
				case i > total-400 && i < total-100:
					channel = "at:last"
				}
				a, err := j.Append(t.Context(), newEvent(channel))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				want[channel] = append(want[channel], a.Seq)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for channel, seqs := range want {
		slices.Sort(seqs)
		for _, limit := range []int{1, 10, 100, 3000} {
			entries, err := j.HistoryLast(t.Context(), channel, limit)
			if err != nil {
				t.Fatal(err)
			}
			seqs := seqs[max(0, len(seqs)-limit):]
			if len(entries) != len(seqs) {
				t.Fatalf("%s: %d entries of %d, want %d", channel, len(entries), limit, len(seqs))
			}
			for i, e := range entries {
				prev := uint64(0)
				if i > 0 {
					prev = seqs[i-1]
				}
				if e.Seq != seqs[i] || e.Prev != prev {
					t.Fatalf("%s, %d: entry %d is %d after %d, want %d after %d", channel, limit, i, e.Seq, e.Prev, seqs[i], prev)
				}
			}
		}
	}
	for _, limit := range []int{0, -1} {
		if entries, err := j.HistoryLast(t.Context(), "at:last", limit); err != nil || len(entries) != 0 {
			t.Errorf("a limit of %d gives %d entries, %v", limit, len(entries), err)
		}
	}
	if entries, err := j.HistoryLast(t.Context(), "none", 5); err != nil || len(entries) != 0 {
		t.Errorf("an empty channel has %d entries, %v", len(entries), err)
	}

	// Over all channels that a pattern selects.
	for pattern, prefix := range map[string]string{"even:*": "even:", "even:{n}": "even:", "**": "", "at:**": "at:", "now:and:then": "now:and:then", "*:and:*": "now:", "none:*": "none"} {
		var all []uint64
		for channel, seqs := range want {
			if strings.HasPrefix(channel, prefix) {
				all = append(all, seqs...)
			}
		}
		slices.Sort(all)
		for _, limit := range []int{0, 1, 100, 1000} {
			entries, err := j.HistoryOf(t.Context(), pattern, limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, e := range entries {
				if got = append(got, e.Seq); e.Prev != 0 || !strings.HasPrefix(e.Channel, prefix) {
					t.Fatalf("%s: %+v", pattern, e)
				}
			}
			if want := all[max(0, len(all)-limit):]; !slices.Equal(got, want) {
				t.Errorf("%s, %d: %d entries, want %d", pattern, limit, len(got), len(want))
			}
		}
	}
	if _, err := j.HistoryOf(t.Context(), "a:**:b", 1); err == nil {
		t.Error("what is no pattern has a history")
	}
}

func TestCancelledContexts(t *testing.T) {
	t.Parallel()
	j := open(t)
	s, lease := mustShard(t, j, 1), mustClaim(t, j, journal.ShardLease(0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	kv, err := j.KV(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Append":         func() error { _, err := j.Append(ctx, newEvent("a:b")); return err },
		"Enqueue":        func() error { return j.Enqueue(ctx, newDelivery(1, "crm")) },
		"Park":           func() error { _, err := j.Park(ctx, newDelivery(1, "crm")); return err },
		"Unpark":         func() error { return j.Unpark(ctx, 1) },
		"ParkedCount":    func() error { _, err := j.ParkedCount(ctx, "crm"); return err },
		"ParkedNext":     func() error { _, err := j.ParkedNext(ctx, "crm", 0, 1); return err },
		"Record":         func() error { return j.Record(ctx, "", newRecord("x")) },
		"Records":        func() error { _, err := j.Records(ctx, 0, 1, time.Hour); return err },
		"PurgeRecords":   func() error { return j.PurgeRecords(ctx, 1) },
		"Bury":           func() error { return j.Bury(ctx, &event.DeadLetter{Delivery: *newDelivery(1, "crm")}) },
		"DeadLetters":    func() error { _, err := j.DeadLetters(ctx, journal.DeadQuery{}); return err },
		"DeadLetter":     func() error { _, err := j.DeadLetter(ctx, 1); return err },
		"History":        func() error { _, err := j.History(ctx, "a:b", 0, 1); return err },
		"HistoryLast":    func() error { _, err := j.HistoryLast(ctx, "a:b", 1); return err },
		"HistoryOf":      func() error { _, err := j.HistoryOf(ctx, "a:*", 1); return err },
		"Last":           func() error { _, err := j.Last(ctx, "a:b"); return err },
		"EventAt":        func() error { _, err := j.EventAt(ctx, 1); return err },
		"NextEvents":     func() error { _, err := s.NextEvents(ctx, 1); return err },
		"NextDeliveries": func() error { _, err := s.NextDeliveries(ctx, 1); return err },
		"Shard":          func() error { _, err := j.Shard(ctx, 0, lease); return err },
		"Claim":          func() error { _, err := j.Leases().Claim(ctx, "1"); return err },
		"Status":         func() error { _, err := j.Status(ctx); return err },
		"Get":            func() error { _, err := kv.Get(ctx, "k"); return err },
		"Put":            func() error { _, err := kv.Put(ctx, "k", nil); return err },
		"Watch":          func() error { return kv.Watch(ctx, func(journal.Change) {}, func() {}) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	if n := stream(t, j, "EV").Messages; n != 0 {
		t.Errorf("%d events were stored", n)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	j := open(t)
	lease := mustClaim(t, j, journal.ShardLease(0))
	s, err := j.Shard(t.Context(), 0, lease)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := j.KV(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 4)
	ready := make(chan struct{})
	go func() { _, err := s.NextEvents(t.Context(), 1); waiting <- err }()
	go func() { _, err := s.NextDeliveries(t.Context(), 1); waiting <- err }()
	go func() { _, err := j.Records(t.Context(), 0, 1, time.Hour); waiting <- err }()
	go func() { waiting <- kv.Watch(t.Context(), func(journal.Change) {}, func() { close(ready) }) }()
	receive(t, ready)
	closeJournal(t, j)
	closeJournal(t, j)
	for range cap(waiting) {
		if err := receive(t, waiting); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("a call under way ends with %v, want ErrClosed", err)
		}
	}
	s.Close()
	for name, call := range map[string]func() error{
		"Append":      func() error { _, err := j.Append(t.Context(), newEvent("a:b")); return err },
		"Enqueue":     func() error { return j.Enqueue(t.Context(), newDelivery(1, "crm")) },
		"Unpark":      func() error { return j.Unpark(t.Context(), 1) },
		"Records":     func() error { _, err := j.Records(t.Context(), 0, 1, time.Hour); return err },
		"DeadLetters": func() error { _, err := j.DeadLetters(t.Context(), journal.DeadQuery{}); return err },
		"Last":        func() error { _, err := j.Last(t.Context(), "a:b"); return err },
		"Live":        func() error { _, err := j.Live("a:b", func(journal.Entry) {}); return err },
		"NextEvents":  func() error { _, err := s.NextEvents(t.Context(), 1); return err },
		"Shard":       func() error { _, err := j.Shard(t.Context(), 0, lease); return err },
		"KV":          func() error { _, err := j.KV(t.Context(), "config"); return err },
		"Get":         func() error { _, err := kv.Get(t.Context(), "k"); return err },
		"Claim":       func() error { _, err := j.Leases().Claim(t.Context(), "1"); return err },
		"Status":      func() error { _, err := j.Status(t.Context()); return err },
	} {
		if err := call(); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

// HistoryFrom gives the events of all the channels that a pattern selects, in the log's order.
func TestHistoryFrom(t *testing.T) {
	t.Parallel()
	j := open(t)
	for _, channel := range []string{"a:1", "b:1", "a:2", "a:1:x", "a:1", "a:2.5"} {
		if _, err := j.Append(t.Context(), newEvent(channel)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		pattern string
		after   uint64
		limit   int
		want    string
	}{
		{"a:*", 0, 10, "[1 a:1 3 a:2 5 a:1 6 a:2.5]"},
		{"a:{id}", 1, 2, "[3 a:2 5 a:1]"},
		{"a:**", 3, 10, "[4 a:1:x 5 a:1 6 a:2.5]"},
		{"**", 0, 3, "[1 a:1 2 b:1 3 a:2]"},
		{"a:2.5", 0, 10, "[6 a:2.5]"},
		{"a:*", 6, 10, "[]"},
		{"c:*", 0, 10, "[]"},
	} {
		entries, err := j.HistoryFrom(t.Context(), c.pattern, c.after, c.limit)
		got := []string{}
		for _, e := range entries {
			got = append(got, fmt.Sprint(e.Seq, " ", e.Channel))
		}
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s after %d: %v, %v, want %s", c.pattern, c.after, got, err, c.want)
		}
	}
	var bad *event.ChannelError
	if _, err := j.HistoryFrom(t.Context(), "a:**:b", 0, 10); !errors.As(err, &bad) {
		t.Errorf("a wrong pattern: %v", err)
	}
}

// One of several copies may be on a node that is stopped and answers nobody: the question is put again.
func TestEventIsAskedForAgain(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, way := comrade(t, n, "a")
	at := mustAppend(t, a, newEvent("a:b"))
	asked := silent(t, connect(t, n), "$JS.API.DIRECT.GET.EV")
	way.Suppress("Nats-Stream: EV")
	read := make(chan error, 1)
	go func() {
		_, err := a.EventAt(t.Context(), at.Seq)
		read <- err
	}()
	receive(t, asked)
	receive(t, asked)
	way.Suppress("")
	if err := receive(t, read); err != nil {
		t.Error(err)
	}
}
