package tracing

import (
	"context"
	"encoding/hex"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/wedsync/wedsync/actors/event"
)

// scope names what makes the spans.
const scope = "github.com/wedsync/wedsync"

// Tracer begins spans. It is safe for concurrent use; a nil one begins none.
type Tracer struct{ tracer trace.Tracer }

// New returns a tracer whose spans go to the provider.
func New(provider trace.TracerProvider) *Tracer {
	return &Tracer{provider.Tracer(scope)}
}

// The sides of a span: who takes a request, makes one, puts something into the log, and takes it out.
const (
	Server   = trace.SpanKindServer
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Start begins a span under the one that traceparent names, or a new trace where that is malformed or "".
// It must be ended.
func (t *Tracer) Start(traceparent, name string, kind trace.SpanKind) Span {
	if t == nil {
		return Span{traceparent: traceparent}
	}
	return t.start(traceparent, name, trace.WithSpanKind(kind))
}

// Past makes a span of what is over.
func (t *Tracer) Past(traceparent, name string, kind trace.SpanKind, from, to time.Time, attrs ...attribute.KeyValue) {
	if t == nil {
		return
	}
	s := t.start(traceparent, name, trace.WithSpanKind(kind), trace.WithTimestamp(from), trace.WithAttributes(attrs...))
	s.span.End(trace.WithTimestamp(to))
}

func (t *Tracer) start(traceparent, name string, options ...trace.SpanStartOption) Span {
	ctx := context.Background()
	if parent, ok := parse(traceparent); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, span := t.tracer.Start(ctx, name, options...)
	if c := span.SpanContext(); c.IsValid() { // else the provider has been shut down
		traceparent = format(c)
	}
	return Span{span: span, traceparent: traceparent}
}

// Span is one hop. The zero one is of nobody's who traces. It may be ended on another goroutine than it
// was begun, and is used by one at a time.
type Span struct {
	span        trace.Span // nil: none
	traceparent string
}

// TraceParent is what the next hop is given: this span or, where nothing is traced, what this one was given.
func (s Span) TraceParent() string { return s.traceparent }

// Recording reports whether the span goes anywhere, so that it is worth saying more of it.
func (s Span) Recording() bool { return s.span != nil && s.span.IsRecording() }

// Name names the span anew, where that is only known by now.
func (s Span) Name(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Set says more of the span. Whoever computes what it says asks Recording first.
func (s Span) Set(attrs ...attribute.KeyValue) {
	if s.span != nil {
		s.span.SetAttributes(attrs...)
	}
}

// Fail says that the hop failed, and why: a code of ours or a vendor's.
func (s Span) Fail(reason string) {
	if s.span != nil {
		s.span.SetStatus(codes.Error, reason)
	}
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Sampled reports whether the traceparent asks those who follow to record their spans.
func Sampled(traceparent string) bool {
	parent, ok := parse(traceparent)
	return ok && parent.IsSampled()
}

// parse reads a traceparent; false where there is none that could be read.
func parse(traceparent string) (trace.SpanContext, bool) {
	if event.TraceID(traceparent) == "" {
		return trace.SpanContext{}, false
	}
	var c trace.SpanContextConfig
	var flags [1]byte
	for _, part := range []struct {
		into []byte
		at   int
	}{{c.TraceID[:], 3}, {c.SpanID[:], 36}, {flags[:], 53}} {
		// They are hex digits: TraceID has said so.
		_, _ = hex.Decode(part.into, []byte(traceparent[part.at:part.at+2*len(part.into)]))
	}
	c.TraceFlags, c.Remote = trace.TraceFlags(flags[0]), true
	return trace.NewSpanContext(c), true
}

// format writes a traceparent of version 00.
func format(c trace.SpanContext) string {
	traceID, spanID := c.TraceID(), c.SpanID()
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, traceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, spanID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, []byte{byte(c.TraceFlags())})
	return string(b)
}
