package adapter_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// inside is a target of wedsync's own and its far side: the channels of a real log.
type inside struct {
	vendor string
	conn   adapter.Connection
	log    *journal.Journal
	caller actors.LogCaller
}

// conformInside holds a vendor that has no system outside against the log.
func conformInside(t *testing.T, vendor string, rep *report, sender *delivery.Sender) {
	t.Helper()
	in := &inside{vendor: vendor, conn: connected(t, vendor), log: openLog(t, journal.Config{})}
	in.caller = actors.LogCaller{Log: in.log, Next: sender}
	step := func(operation, result string, f func(t *testing.T)) {
		t.Run(strings.ReplaceAll(operation, " ", "_"), func(t *testing.T) {
			f(t)
			rep.add(t, vendor, "channel", operation, result)
		})
	}
	a, _ := adapter.Lookup(vendor)
	samples := a.Describe().Samples
	for i := range samples {
		ev := &samples[i]
		step("golden "+ev.Type, "same bytes", func(t *testing.T) { t.Helper(); in.golden(t, ev) })
		step("send "+ev.Type, "delivered", func(t *testing.T) { t.Helper(); in.send(t, ev) })
	}
	step("unsupported type", "refused", func(t *testing.T) {
		t.Helper()
		(&conformance{vendor: vendor}).unsupported(t, a, in.conn)
	})
	step("fault too large", "dead", func(t *testing.T) { t.Helper(); in.tooLarge(t) })
	step("fault log full", "retry, vendor's fault", func(t *testing.T) { t.Helper(); in.full(t) })
	step("fault log closed", "retry, vendor's fault", func(t *testing.T) { t.Helper(); in.closed(t) })
}

func openLog(t *testing.T, cfg journal.Config) *journal.Journal {
	t.Helper()
	cfg.Dir, cfg.Shards = t.TempDir(), 1
	log, err := journal.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return log
}

func (in *inside) delivery(t *testing.T, ev *event.Event) *event.Delivery {
	t.Helper()
	d := (&conformance{vendor: in.vendor}).delivery(t, in.conn, ev)
	d.CorrelationID = ev.CorrelationID
	return d
}

func (in *inside) golden(t *testing.T, ev *event.Event) {
	t.Helper()
	d := in.delivery(t, ev)
	call, err := in.conn.Call(d, time.Unix(1773480413, 0))
	if err != nil {
		t.Fatal(err)
	}
	if call.Event == nil || call.HTTP != nil || call.Mail != nil {
		t.Fatalf("call %+v, want an event and nothing else", call)
	}
	text, err := json.MarshalIndent(call.Event, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("testdata", in.vendor, "channel")
	checkGolden(t, filepath.Join(dir, ev.Type+".json"), string(d.Body)+"\n")
	checkGolden(t, filepath.Join(dir, ev.Type+".call.txt"), string(text)+"\n")
}

func (in *inside) try(t *testing.T, caller actors.LogCaller, d *event.Delivery) adapter.Verdict {
	t.Helper()
	call, err := in.conn.Call(d, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return in.conn.Classify(d, caller.Do(t.Context(), call))
}

// send delivers twice, as after an answer that was lost, and reads the channel.
func (in *inside) send(t *testing.T, ev *event.Event) {
	t.Helper()
	const channel = "couple:updates:cpl_7Qm2x"
	before, err := in.log.Last(t.Context(), channel)
	if err != nil {
		t.Fatal(err)
	}
	d := in.delivery(t, ev)
	for range 2 {
		if v := in.try(t, in.caller, d); v.Kind != adapter.KindDelivered || v.Reason != "" {
			t.Fatalf("verdict %+v, want delivered", v)
		}
	}
	entries, err := in.log.History(t.Context(), channel, before, 10)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries, %v; want the event once", len(entries), err)
	}
	var got event.Event
	var payload, want map[string]any
	if err := errors.Join(json.Unmarshal(entries[0].Data, &got), json.Unmarshal(got.Payload, &payload), json.Unmarshal(ev.Payload, &want)); err != nil {
		t.Fatal(err)
	}
	if got.ID != "evt_"+strings.TrimPrefix(d.ID, "dlv_") || got.Type != ev.Type || got.Source != "integration:int_1" ||
		got.CorrelationID != ev.CorrelationID || got.TraceParent != ev.TraceParent || got.WeddingID != ev.WeddingID ||
		!got.OccurredAt.Equal(ev.OccurredAt) || !slices.Equal(got.Via, []string{"int_1"}) {
		t.Errorf("the channel got %+v", got)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(payload)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("payload %s, want %s", got.Payload, ev.Payload)
	}
}

// refused asserts a verdict on a delivery that caller cannot make.
func (in *inside) refused(t *testing.T, caller actors.LogCaller, ev *event.Event, kind adapter.Kind, fault bool, reason string) {
	t.Helper()
	v := in.try(t, caller, in.delivery(t, ev))
	if v.Kind != kind || v.Fault != fault || v.Reason != reason || v.Reason != "" && v.Detail == "" {
		t.Errorf("verdict %+v, want %s, reason %q", v, verdictText(kind, fault, 0), reason)
	}
}

func (in *inside) tooLarge(t *testing.T) {
	t.Helper()
	ev := withPayload(t, sampleOf(t, in.vendor, adapter.TypeTimelineUpdated), map[string]any{"notes": strings.Repeat("x", 4<<20)})
	in.refused(t, in.caller, ev, adapter.KindDead, false, "event_too_large")
}

func (in *inside) full(t *testing.T) {
	t.Helper()
	small := actors.LogCaller{Log: openLog(t, journal.Config{EventBytes: 1 << 18})}
	ev := withPayload(t, sampleOf(t, in.vendor, adapter.TypeTimelineUpdated), map[string]any{"notes": strings.Repeat("x", 200<<10)})
	if v := in.try(t, small, in.delivery(t, ev)); v.Kind != adapter.KindDelivered {
		t.Fatalf("verdict %+v", v)
	}
	ev.ID = "evt_next"
	in.refused(t, small, ev, adapter.KindRetry, true, "log_full")
}

func (in *inside) closed(t *testing.T) {
	t.Helper()
	log := openLog(t, journal.Config{})
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.refused(t, actors.LogCaller{Log: log}, sampleOf(t, in.vendor, adapter.TypeTimelineUpdated), adapter.KindRetry, true, "")
}
