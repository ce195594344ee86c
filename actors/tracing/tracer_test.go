package tracing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
)

const (
	trace    = "4bf92f3577b34da6a3ce929d0e0e4736"
	sampled  = "00-" + trace + "-00f067aa0ba902b7-01"
	unwanted = "00-" + trace + "-00f067aa0ba902b7-00"
)

// recording returns a tracer and what it recorded.
func recording(tb testing.TB) (*tracing.Tracer, *tracetest.SpanRecorder) {
	tb.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	tb.Cleanup(func() { _ = provider.Shutdown(tb.Context()) })
	return tracing.New(provider), spans
}

func TestNobodyTraces(t *testing.T) {
	t.Parallel()
	var none *tracing.Tracer
	for _, given := range []string{"", sampled, unwanted, "nonsense"} {
		span := none.Start(given, "publish", tracing.Producer)
		span.Name("other")
		span.Set(tracing.EventID.String("e1"))
		span.Fail("why")
		span.End()
		if span.TraceParent() != given || span.Recording() {
			t.Errorf("%q becomes %q, recording %v", given, span.TraceParent(), span.Recording())
		}
	}
	none.Past(sampled, "record", tracing.Consumer, time.Now(), time.Now())
}

func TestSpansHangOnWhatTheyAreGiven(t *testing.T) {
	t.Parallel()
	tracer, spans := recording(t)
	outer := tracer.Start(sampled, "HTTP", tracing.Server)
	outer.Name("GET /x")
	inner := tracer.Start(outer.TraceParent(), "publish", tracing.Producer)
	inner.Set(tracing.EventID.String("e1"))
	inner.Fail("log_full")
	inner.End()
	outer.End()
	from := time.Date(2026, 6, 20, 15, 0, 0, 0, time.UTC)
	tracer.Past(inner.TraceParent(), "record", tracing.Consumer, from, from.Add(time.Second), tracing.Records.Int(7))

	got := tracetest.SpanStubsFromReadOnlySpans(spans.Ended())
	if len(got) != 3 {
		t.Fatalf("%d spans", len(got))
	}
	in, out, past := got[0], got[1], got[2]
	if out.Name != "GET /x" || out.SpanKind != tracing.Server || out.Parent.SpanID().String() != "00f067aa0ba902b7" || !out.Parent.IsRemote() {
		t.Errorf("outer %+v", out)
	}
	if in.Parent.SpanID() != out.SpanContext.SpanID() || in.Status.Code != codes.Error || in.Status.Description != "log_full" || in.Attributes[0].Value.AsString() != "e1" {
		t.Errorf("inner %+v", in)
	}
	if past.Parent.SpanID() != in.SpanContext.SpanID() || !past.StartTime.Equal(from) || past.EndTime.Sub(from) != time.Second || past.Attributes[0].Value.AsInt64() != 7 {
		t.Errorf("past %+v", past)
	}
	for _, s := range got {
		if s.SpanContext.TraceID().String() != trace {
			t.Errorf("%s is of trace %s", s.Name, s.SpanContext.TraceID())
		}
	}
}

func TestWhereTracesBegin(t *testing.T) {
	t.Parallel()
	tracer, spans := recording(t)
	for _, given := range []string{"", "nonsense", strings.ToUpper(sampled)} {
		span := tracer.Start(given, "publish", tracing.Producer)
		span.End()
		if id := event.TraceID(span.TraceParent()); id == "" || id == trace || !tracing.Sampled(span.TraceParent()) {
			t.Errorf("%q leads to %q", given, span.TraceParent())
		}
	}
	for _, s := range spans.Ended() {
		if s.Parent().IsValid() {
			t.Errorf("%+v has a parent", s)
		}
	}
}

// What the sender does not want recorded is not, nor by those who follow.
func TestWhoDoesNotSampleIsHeeded(t *testing.T) {
	t.Parallel()
	tracer, spans := recording(t)
	span := tracer.Start(unwanted, "publish", tracing.Producer)
	span.End()
	if got := span.TraceParent(); span.Recording() || event.TraceID(got) != trace || tracing.Sampled(got) || got == unwanted {
		t.Errorf("recording %v, then %s", span.Recording(), got)
	}
	if n := len(spans.Ended()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

// A provider that was shut down before the node's last event has nothing to add to its trace.
func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	provider := sdktrace.NewTracerProvider()
	tracer := tracing.New(provider)
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	span := tracer.Start(sampled, "deliver", tracing.Consumer)
	span.End()
	if event.TraceID(span.TraceParent()) != trace {
		t.Errorf("the trace goes on as %q", span.TraceParent())
	}
}

func TestLogsNameTheTrace(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{sampled: `{"trace_id":"` + trace + `"}`, "": "{}", "nonsense": "{}"} {
		var b strings.Builder
		log := zerolog.New(&b)
		log.Log().EmbedObject(tracing.Log(given)).Send()
		if got := strings.TrimSpace(b.String()); got != want {
			t.Errorf("%q is logged as %s", given, got)
		}
	}
}

// Whatever is given, what goes on to the next hop is well-formed.
func FuzzStart(f *testing.F) {
	for _, seed := range []string{"", sampled, unwanted, sampled[:54], sampled + "-", strings.Replace(sampled, "00-", "ff-", 1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		tracer, _ := recording(t)
		span := tracer.Start(given, "publish", tracing.Producer)
		defer span.End()
		id := event.TraceID(given)
		if got := event.TraceID(span.TraceParent()); got == "" || id != "" && got != id {
			t.Errorf("%q leads to %q", given, span.TraceParent())
		}
		if tracing.Sampled(given) && id == "" {
			t.Errorf("%q is sampled", given)
		}
	})
}

// BenchmarkHop is what one hop costs: where nobody traces, where this event's trace is not recorded, where it is.
func BenchmarkHop(b *testing.B) {
	on := tracing.New(sdktrace.NewTracerProvider())
	for _, c := range []struct {
		name   string
		tracer *tracing.Tracer
		parent string
	}{
		{"off", nil, sampled},
		{"not sampled", on, unwanted},
		{"sampled", on, sampled},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				span := c.tracer.Start(c.parent, "publish", tracing.Producer)
				if span.Recording() {
					span.Set(tracing.EventID.String("e1"), tracing.Channel.String("supplier:dashboard:42"))
				}
				span.End()
			}
		})
	}
}
