package edge_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/problem"
)

const (
	trace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	caller = "00-" + trace + "-00f067aa0ba902b7-01"
)

// mountTraced has handlers that tell the traceparent they are given, refuse, fail and panic.
func mountTraced(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/told/{name}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header.Get(problem.TraceHeader))
	})
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header.Get(problem.TraceHeader))
	})
	mux.HandleFunc("GET /api/full", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.New(problem.LogFull, "full"))
	})
	mux.HandleFunc("GET /api/broken", func(http.ResponseWriter, *http.Request) { panic("broken") })
}

func TestRequestsAreTraced(t *testing.T) {
	t.Parallel()
	spans, lines := tracetest.NewSpanRecorder(), &logs{}
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	server, url := start(t, edge.Config{Mounts: []edge.Mount{mountTraced}, Tracer: tracer, Logger: zerolog.New(lines)})
	c := client(t)
	get := func(path string) string {
		t.Helper()
		return ask(t, c, http.MethodGet, url+path, http.Header{"Traceparent": {caller}}).body
	}
	told := get("/api/told/anna")
	var full, broken, nowhere problem.Problem
	for path, into := range map[string]*problem.Problem{"/api/full": &full, "/api/broken": &broken, "/api/nowhere": &nowhere} {
		if err := json.Unmarshal([]byte(get(path)), into); err != nil || into.TraceID != trace {
			t.Errorf("%s: %v, of trace %q", path, err, into.TraceID)
		}
	}
	if got := get("/page"); got != caller {
		t.Errorf("what is no part of an event's way is told %s", got)
	}
	if err := server.Shutdown(t.Context()); err != nil { // a span ends after its answer
		t.Fatal(err)
	}
	got := map[string]tracetest.SpanStub{}
	for _, s := range tracetest.SpanStubsFromReadOnlySpans(spans.Ended()) {
		got[s.Name] = s
		if s.Parent.SpanID().String() != "00f067aa0ba902b7" {
			t.Errorf("%s hangs on %s", s.Name, s.Parent.SpanID())
		}
	}
	for name, failed := range map[string]bool{"GET /api/told/{name}": false, "GET /api/full": true, "GET /api/broken": true, "HTTP": false} {
		if s, ok := got[name]; !ok || (s.Status.Code == codes.Error) != failed {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if want := "00-" + trace + "-" + got["GET /api/told/{name}"].SpanContext.SpanID().String() + "-01"; len(got) != 4 || told != want {
		t.Errorf("%d spans; the handler is told %s, want %s", len(got), told, want)
	}
	if n := strings.Count(lines.String(), `"trace_id":"`+trace+`"`); n != 3 { // the two refusals that are logged, and the panic
		t.Errorf("%d lines name the trace:\n%s", n, lines)
	}
}

func TestWithoutTracesTheCallersIsPassedOn(t *testing.T) {
	t.Parallel()
	_, url := start(t, edge.Config{Mounts: []edge.Mount{mountTraced}})
	c := client(t)
	if told := ask(t, c, http.MethodGet, url+"/api/told/anna", http.Header{"Traceparent": {caller}}).body; told != caller {
		t.Errorf("the handler is told %q", told)
	}
	if told := ask(t, c, http.MethodGet, url+"/api/told/anna", nil).body; told != "" {
		t.Errorf("the handler is told %q", told)
	}
}
