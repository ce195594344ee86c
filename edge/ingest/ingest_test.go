package ingest_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

var noon = time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)

func newIngest(tb testing.TB, cfg ingest.Config) *ingest.Ingest {
	tb.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	in, err := ingest.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

func draft(payload string) ingest.Draft {
	return ingest.Draft{Channel: "couple:updates:7", Type: "timeline.updated", Source: "api", Payload: json.RawMessage(payload)}
}

func TestWhatIsLeftOutIsFilledIn(t *testing.T) {
	t.Parallel()
	log := &memoryLog{}
	in := newIngest(t, ingest.Config{Log: log})
	got, err := in.Publish(t.Context(), draft(`{"coupleId":"c7"}`))
	if err != nil {
		t.Fatal(err)
	}
	ev := log.all()[0]
	id, err := uuid.Parse(ev.ID)
	if err != nil || id.Version() != 7 {
		t.Errorf("id %q is no UUIDv7", ev.ID)
	}
	want := event.Event{
		V: event.Version, ID: ev.ID, Channel: "couple:updates:7", Type: "timeline.updated", Source: "api",
		Payload: json.RawMessage(`{"coupleId":"c7"}`), OccurredAt: noon, AcceptedAt: noon, CorrelationID: ev.ID, WeddingID: "c7",
	}
	if !reflect.DeepEqual(ev, want) {
		t.Errorf("got %+v\nwant %+v", ev, want)
	}
	if got != (ingest.Receipt{ID: ev.ID, Seq: 1}) {
		t.Errorf("receipt %+v", got)
	}
}

func TestWhatIsGivenIsKept(t *testing.T) {
	t.Parallel()
	log := &memoryLog{}
	in := newIngest(t, ingest.Config{Log: log})
	d := draft(`{"weddingId":"w1"}`)
	d.ID, d.CorrelationID, d.WeddingID = "whk_1:a.b-c", "corr/1", "w2"
	d.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	d.OccurredAt = time.Date(2026, 6, 20, 10, 0, 0, 0, time.FixedZone("", 7200))
	first, err := in.Publish(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	ev := log.all()[0]
	if ev.ID != d.ID || ev.CorrelationID != d.CorrelationID || ev.WeddingID != "w2" || ev.TraceParent != d.TraceParent ||
		!ev.OccurredAt.Equal(d.OccurredAt) || ev.OccurredAt.Location() != time.UTC {
		t.Errorf("got %+v", ev)
	}
	second, err := in.Publish(t.Context(), d)
	if err != nil || second != (ingest.Receipt{ID: d.ID, Seq: first.Seq, Duplicate: true}) || len(log.all()) != 1 {
		t.Errorf("published again: %+v, %v; %d events", second, err, len(log.all()))
	}
}

func TestWedding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ payload, want string }{
		{`{"weddingId":"w","coupleId":"c"}`, "w"},
		{`{"coupleId":"c","weddingId":"w"}`, "w"},
		{`{"coupleId":4711}`, "4711"},
		{`{"coupleId":"\u0063\u0031","notes":"\u0064\u0064\u0064"}`, "c1"},
		{`{"weddingId":null,"coupleId":"c"}`, "c"},
		{`{"weddingId":{"id":"w"}}`, ""},
		{`{"a":{"weddingId":"w"}}`, ""},
		{`{"weddingId":"` + strings.Repeat("w", 129) + `","coupleId":"c"}`, "c"},
		{`{"weddingId":"a b"}`, ""},
		{`{}`, ""},
	} {
		log := &memoryLog{}
		if _, err := newIngest(t, ingest.Config{Log: log}).Publish(t.Context(), draft(c.payload)); err != nil {
			t.Fatal(err)
		}
		if got := log.all()[0].WeddingID; got != c.want {
			t.Errorf("%s is about %q, want %q", c.payload, got, c.want)
		}
	}
}

func TestTraceParent(t *testing.T) {
	t.Parallel()
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for trace, kept := range map[string]bool{
		good:                                    true,
		"":                                      false,
		"01" + good[2:]:                         false,
		strings.ToUpper(good):                   false,
		good + "-x":                             false,
		strings.Replace(good, "4", "0", 1)[:54]: false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736x00f067aa0ba902b7-01": false,
	} {
		log := &memoryLog{}
		d := draft(`{}`)
		d.TraceParent = trace
		if _, err := newIngest(t, ingest.Config{Log: log}).Publish(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if got := log.all()[0].TraceParent; (got != "") != kept {
			t.Errorf("%q: kept %q", trace, got)
		}
	}
}

// What is appended hangs on the span of the publish, and that on the sender's; a refusal is a span too.
func TestPublishIsTraced(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	log := &memoryLog{}
	in := newIngest(t, ingest.Config{Log: log, Tracer: tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))})
	d := draft(`{}`)
	d.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if _, err := in.Publish(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	d.Type = "no type"
	if _, err := in.Publish(t.Context(), d); err == nil {
		t.Error("it was taken")
	}
	got := tracetest.SpanStubsFromReadOnlySpans(spans.Ended())
	if len(got) != 2 || got[0].Parent.SpanID().String() != "00f067aa0ba902b7" || got[0].Status.Code != codes.Unset || got[1].Status.Description != problem.TypeInvalid {
		t.Fatalf("spans %+v", got)
	}
	if want := "00-4bf92f3577b34da6a3ce929d0e0e4736-" + got[0].SpanContext.SpanID().String() + "-01"; log.all()[0].TraceParent != want {
		t.Errorf("the event has %s, want %s", log.all()[0].TraceParent, want)
	}
}

// TestConcurrentUse is for the race detector: scanners are reused.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	log := &memoryLog{}
	in := newIngest(t, ingest.Config{Log: log})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("%d-%d", i, j)
				d := draft(`{ "weddingId":"` + want + `", "n":"<b>\u0061` + want + `</b>" }`)
				d.ID = want
				if _, err := in.Publish(t.Context(), d); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, ev := range log.all() {
		if want := `{"weddingId":"` + ev.ID + `","n":"a` + ev.ID + `"}`; string(ev.Payload) != want || ev.WeddingID != ev.ID {
			t.Fatalf("%s became %s about %s", want, ev.Payload, ev.WeddingID)
		}
	}
}
