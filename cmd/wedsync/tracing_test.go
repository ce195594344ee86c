package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// otlp is a collector that takes traces over HTTP and keeps them.
type otlp struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	spans    map[string]*trace.Span // by id, in hex
	services map[string]bool        // names and instances of who sent them
	refuse   bool
}

func newOTLP(t *testing.T) *otlp {
	t.Helper()
	o := &otlp{t: t, spans: map[string]*trace.Span{}, services: map[string]bool{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

// ServeHTTP takes one export request (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP").
func (o *otlp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refuse {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		o.t.Errorf("%s: %v", r.URL, err)
	}
	for _, rs := range request.ResourceSpans {
		o.services[text(rs.Resource.Attributes, "service.name")+"/"+text(rs.Resource.Attributes, "service.instance.id")] = true
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				o.spans[hex.EncodeToString(s.SpanId)] = s
			}
		}
	}
	answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
	if err != nil {
		o.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func text(attrs []*common.KeyValue, key string) string {
	for _, a := range attrs {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func number(s *trace.Span, key string) int64 {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetIntValue()
		}
	}
	return 0
}

// of returns the spans of a trace, and fails where one hangs on none of them and not on the sender's span.
func (o *otlp) of(id, sender string) []*trace.Span {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*trace.Span
	for _, s := range o.spans {
		if hex.EncodeToString(s.TraceId) != id {
			continue
		}
		all = append(all, s)
		parent := hex.EncodeToString(s.ParentSpanId)
		if o.spans[parent] == nil && parent != sender {
			o.t.Errorf("%s hangs on %q, which is nowhere", s.Name, parent)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			o.t.Errorf("%s ends before it begins", s.Name)
		}
	}
	slices.SortFunc(all, func(a, b *trace.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	return all
}

// under returns the spans of that name whose parent is id, in order of time.
func under(all []*trace.Span, id, name string) (found []*trace.Span) {
	for _, s := range all {
		if hex.EncodeToString(s.ParentSpanId) == id && s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// only returns the one span of that name whose parent is id.
func only(t *testing.T, all []*trace.Span, id, name string) *trace.Span {
	t.Helper()
	found := under(all, id, name)
	if len(found) != 1 {
		t.Fatalf("%d spans %q under %s among %v", len(found), name, id, all)
	}
	return found[0]
}

// The trace context of a sender.
const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	sender  = "00f067aa0ba902b7"
)

// One event is one trace, from its sender's to what is recorded, though the node is started anew between two tries.
func TestOneEventIsOneTrace(t *testing.T) {
	t.Parallel()
	sink := newOTLP(t)
	d := newDesk(t, func(c *Config) {
		c.Tracing.Endpoint = sink.URL
		c.Delivery.RetryWaits = []time.Duration{time.Hour} // within which the node is started anew
	})
	mend := d.sims.StudioCloud.Faults().Add(vendors.Fault{Status: 503})
	body := `{"id":"traced","type":"timeline.updated","payload":` + timeline + `}`
	if err := d.post("supplier:dashboard:42", body, http.Header{"Traceparent": {"00-" + traceID + "-" + sender + "-01"}}); err != nil {
		t.Fatal(err)
	}
	d.eventually("a first try", func() bool { return d.sims.StudioCloud.Counts().Calls == 1 && d.node.system.InFlight() == 0 })

	if err := d.node.Stop(); err != nil {
		t.Fatal(err)
	}
	mend()
	c := d.node.cfg
	c.ClickHouse.DSN = clickhouseEmbedded
	d.node = startNode(t, c)
	var attempts []analytics.AttemptRow
	delivery := event.DeliveryID("supplier:dashboard:42", "traced", "sim-studiocloud")
	d.eventually("two attempts in ClickHouse", func() bool {
		if store := d.node.records.current(); store != nil {
			attempts, _ = store.Attempts(t.Context(), delivery) // before the tables are there it fails
		}
		return len(attempts) == 2
	})
	for _, a := range attempts {
		if a.TraceID != traceID {
			t.Errorf("attempt %d is of trace %q", a.Number, a.TraceID)
		}
	}
	_, last, err := d.node.journal.RecordBounds(t.Context())
	if err == nil {
		err = d.node.records.books().recorder.CaughtUp(t.Context(), last)
	}
	if err == nil {
		err = d.node.Stop()
	}
	if err != nil {
		t.Fatal(err)
	}

	all := sink.of(traceID, sender)
	request := only(t, all, sender, "POST /api/channels/{name}/publish")
	publish := only(t, all, hex.EncodeToString(request.SpanId), "publish")
	route := only(t, all, hex.EncodeToString(publish.SpanId), "route")
	if text(publish.Attributes, "wedsync.channel") != "supplier:dashboard:42" || number(request, "http.response.status_code") != 202 ||
		number(route, "wedsync.deliveries") < 2 || request.Kind != trace.Span_SPAN_KIND_SERVER || publish.Kind != trace.Span_SPAN_KIND_PRODUCER {
		t.Errorf("the spans say %v, %v, %v", request, publish, route)
	}
	var calls []string
	for _, deliver := range under(all, hex.EncodeToString(route.SpanId), "deliver") {
		id := hex.EncodeToString(deliver.SpanId)
		attempt := only(t, all, id, "attempt")
		only(t, all, id, "record")
		if text(deliver.Attributes, "wedsync.integration") != "sim-studiocloud" {
			continue
		}
		if text(deliver.Attributes, "wedsync.delivery_id") != delivery || attempt.Kind != trace.Span_SPAN_KIND_CLIENT {
			t.Errorf("the try says %v, its call %v", deliver, attempt)
		}
		status := trace.Status_STATUS_CODE_UNSET
		if len(calls) == 0 {
			status = trace.Status_STATUS_CODE_ERROR
		}
		if deliver.Status.GetCode() != status || attempt.Status.GetCode() != status {
			t.Errorf("try %d ended %v, its call %v", len(calls)+1, deliver.Status, attempt.Status)
		}
		calls = append(calls, "00-"+traceID+"-"+hex.EncodeToString(attempt.SpanId)+"-01")
	}
	var received []string
	for _, r := range d.sims.StudioCloud.Received() {
		received = append(received, r.Header.Get("Traceparent"))
	}
	if !slices.Equal(calls, received) || len(calls) != 2 {
		t.Errorf("the vendor was called with %q, the spans are %q", received, calls)
	}
	if !sink.services["wedsync/test"] || len(sink.services) != 1 {
		t.Errorf("spans came of %v", sink.services)
	}
}

// A webhook's event is in the webhook's trace, and a refusal names the one that it is in.
func TestWebhooksAndProblemsAreTraced(t *testing.T) {
	t.Parallel()
	sink := newOTLP(t)
	d := newDesk(t, func(c *Config) { c.Tracing.Endpoint = sink.URL + "/" })
	w := d.sims.StudioCloud.Webhooks()[0]
	sent, err := d.sims.StudioCloud.Send(t.Context(), d.node.URL()+"/api/webhooks/studiocloud/sim-studiocloud", w)
	if err != nil || sent[0].Status/100 != 2 {
		t.Fatalf("%v: %+v", err, sent)
	}
	status, body := get(t, d.node.URL()+"/api/integrations")
	var refused problem.Problem
	if err := json.Unmarshal([]byte(body), &refused); err != nil || status != http.StatusUnauthorized || refused.TraceID == "" {
		t.Errorf("%d %s: %v", status, body, err)
	}
	if err := d.node.Stop(); err != nil {
		t.Fatal(err)
	}
	root := only(t, sink.of(refused.TraceID, ""), "", "GET /api/integrations")
	if text(root.Attributes, "wedsync.request_id") != refused.RequestID || number(root, "http.response.status_code") != 401 {
		t.Errorf("the refusal is told as %v", root)
	}
	for _, s := range sink.spans {
		if s.Name == "POST /api/webhooks/{vendor}/{integrationId}" {
			all := sink.of(hex.EncodeToString(s.TraceId), "")
			publish := only(t, all, hex.EncodeToString(s.SpanId), "publish")
			only(t, all, hex.EncodeToString(publish.SpanId), "route")
			return
		}
	}
	t.Error("the webhook is in no trace")
}

// A collector that takes nothing costs the spans and nothing else; the node says so once, and counts.
func TestCollectorThatIsAway(t *testing.T) {
	t.Parallel()
	sink := newOTLP(t)
	sink.refuse = true
	c := testConfig(t)
	c.Tracing.Endpoint = sink.URL
	var lines strings.Builder
	n := newNode(c, zerolog.New(zerolog.SyncWriter(&lines)))
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		get(t, n.URL()+"/api/integrations")
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "wedsync_trace_spans_total" {
				counts[m.Label[0].GetValue()] = m.Counter.GetValue()
			}
		}
	}
	if want := map[string]float64{"ended": 2, "sent": 0, "lost": 2}; !maps.Equal(counts, want) {
		t.Errorf("spans %v, want %v", counts, want)
	}
	if strings.Count(lines.String(), "traces cannot be sent") != 1 {
		t.Errorf("the node said\n%s", lines.String())
	}
}

// grpcCollector takes traces over gRPC.
type grpcCollector struct {
	collector.UnimplementedTraceServiceServer
	got chan *collector.ExportTraceServiceRequest
}

func (g grpcCollector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	g.got <- r
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansGoByTheProtocolThatTheEnvironmentNames(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpcCollector{got: make(chan *collector.ExportTraceServiceRequest, 1)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, g)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	environment := func(protocol string) func(string) string {
		return func(name string) string { return map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": protocol}[name] }
	}
	exporter, err := newSpanExporter(t.Context(), "http://"+listener.Addr().String(), environment("grpc"))
	if err != nil {
		t.Fatal(err)
	}
	if err := exporter.ExportSpans(t.Context(), tracetest.SpanStubs{{Name: "by grpc"}}.Snapshots()); err != nil {
		t.Fatal(err)
	}
	if r := <-g.got; r.ResourceSpans[0].ScopeSpans[0].Spans[0].Name != "by grpc" {
		t.Errorf("got %v", r)
	}
	if err := exporter.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := newSpanExporter(t.Context(), tracingAuto, environment("http/json")); err == nil || !strings.Contains(err.Error(), `"http/json"`) {
		t.Errorf("http/json: %v", err)
	}
	for _, protocol := range []string{"", otlpHTTP, otlpGRPC} { // nobody is there yet
		exporter, err := newSpanExporter(t.Context(), tracingAuto, environment(protocol))
		if err != nil {
			t.Fatal(err)
		}
		if err := exporter.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestTracingIsOffUnlessTheEnvironmentNamesACollector(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]bool{
		"": false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318":                                   true,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/v1/traces":                  true,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318 OTEL_SDK_DISABLED=true":            false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318 OTEL_TRACES_EXPORTER=none":         false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318 OTEL_TRACES_EXPORTER=otlp":         true,
		"OTEL_SERVICE_NAME=wedsync OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318": false,
	} {
		values := map[string]string{}
		for _, pair := range strings.Fields(set) {
			name, value, _ := strings.Cut(pair, "=")
			values[name] = value
		}
		if got := otelConfigured(func(name string) string { return values[name] }); got != want {
			t.Errorf("with %q tracing is on: %v", set, got)
		}
	}
}
