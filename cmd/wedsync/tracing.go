package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/wedsync/wedsync/actors/tracing"
)

// What tracing.endpoint can be besides an address.
const (
	tracingAuto = "auto" // as the variables of OpenTelemetry say; off where they name no endpoint
	tracingOff  = "off"
)

// What OTEL_EXPORTER_OTLP_PROTOCOL can be (opentelemetry.io/docs/specs/otel/protocol/exporter).
const (
	otlpHTTP = "http/protobuf"
	otlpGRPC = "grpc"
)

// maxSpanValue bounds a text in a span, of which senders and vendors choose some. In characters.
const maxSpanValue = 512

// openTracing begins to trace, where that is configured. The collector need not be there.
func (n *node) openTracing(ctx context.Context) error {
	endpoint := n.cfg.Tracing.Endpoint
	if endpoint == tracingAuto && !otelConfigured(os.Getenv) {
		endpoint = tracingOff
	}
	if endpoint == tracingOff {
		return nil
	}
	exporter, err := newSpanExporter(ctx, endpoint, os.Getenv)
	if err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	// What the environment says of the service comes last, so it counts.
	self, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "wedsync"), attribute.String("service.version", readVersion().Version),
		attribute.String("service.instance.id", n.cfg.Node.Name)), resource.WithFromEnv())
	if err != nil {
		return fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	spans := newSpanCounts(n.metrics)
	limits := sdktrace.NewSpanLimits()
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxSpanValue
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(self), sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithSpanProcessor(countedSpans{
			sdktrace.NewBatchSpanProcessor(&spanExporter{SpanExporter: exporter, counts: spans, log: n.part("tracing")}), spans,
		}))
	n.onClose(func(ctx context.Context) { n.warn("tracing", provider.Shutdown(ctx)) })
	n.tracer = tracing.New(provider)
	return nil
}

// otelConfigured tells whether the environment names a collector, and does not switch tracing off.
func otelConfigured(getenv func(string) string) bool {
	return (getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "") &&
		getenv("OTEL_SDK_DISABLED") != "true" && !slices.Contains([]string{"none", "console"}, getenv("OTEL_TRACES_EXPORTER"))
}

// newSpanExporter returns the official exporter of the protocol that the environment names, which reads the
// rest of what that says: headers, certificates, time-out, compression.
func newSpanExporter(ctx context.Context, endpoint string, getenv func(string) string) (sdktrace.SpanExporter, error) {
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "", otlpHTTP:
		var options []otlptracehttp.Option
		if endpoint != tracingAuto {
			options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(endpoint, "/")+"/v1/traces"))
		}
		return otlptracehttp.New(ctx, options...)
	case otlpGRPC:
		var options []otlptracegrpc.Option
		if endpoint != tracingAuto {
			options = append(options, otlptracegrpc.WithEndpointURL(endpoint))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL %q is not spoken here; use %s or %s", protocol, otlpHTTP, otlpGRPC)
}

// spanCounts tells of spans: those that ended and were neither sent nor lost were dropped, since more came than
// could be sent, or wait.
type spanCounts struct {
	ended, sent, lost prometheus.Counter
}

func newSpanCounts(reg prometheus.Registerer) spanCounts {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wedsync_trace_spans_total", Help: "Spans of sampled traces: ended here; sent to the collector; lost, since it did not take them.",
	}, []string{"state"})
	reg.MustRegister(spans)
	return spanCounts{spans.WithLabelValues("ended"), spans.WithLabelValues("sent"), spans.WithLabelValues("lost")}
}

// countedSpans counts what ends.
type countedSpans struct {
	sdktrace.SpanProcessor
	counts spanCounts
}

// OnEnd implements sdktrace.SpanProcessor.
func (p countedSpans) OnEnd(s sdktrace.ReadOnlySpan) {
	p.counts.ended.Inc()
	p.SpanProcessor.OnEnd(s)
}

// spanExporter counts what is sent, and says once that it fails and once that it works again.
type spanExporter struct {
	sdktrace.SpanExporter
	counts spanCounts
	log    zerolog.Logger
	away   atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter. It does not fail: nobody but it has anything to say of that.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil:
		e.counts.lost.Add(float64(len(spans)))
		if !e.away.Swap(true) {
			e.log.Warn().Err(err).Msg("traces cannot be sent; their spans are lost until it works again")
		}
	default:
		e.counts.sent.Add(float64(len(spans)))
		if e.away.Swap(false) {
			e.log.Info().Msg("traces are sent again")
		}
	}
	return nil
}
