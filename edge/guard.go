package edge

import (
	"bufio"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/edge/problem"
)

// guard stands before every handler: it numbers the request, measures it, turns panics into problems
// and the mux's own plain-text refusals into problems too.
type guard struct {
	mux     *http.ServeMux
	log     zerolog.Logger
	refused zerolog.Logger // of refusals that are ours: a few a second tell what thousands would
	metrics metrics
	tracer  *tracing.Tracer
	headers int          // bytes that a request's may have
	last    *atomic.Bool // answers are the last ones of their connections
	prefix  string
	count   atomic.Uint64
}

func newGuard(mux *http.ServeMux, cfg Config, m metrics, last *atomic.Bool) *guard {
	return &guard{
		mux: mux, log: cfg.Logger, metrics: m, tracer: cfg.Tracer, headers: cfg.MaxHeaderBytes, last: last, prefix: rand.Text()[:10] + "-",
		refused: cfg.Logger.Sample(&zerolog.BurstSampler{Burst: 20, Period: time.Second}),
	}
}

func (g *guard) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	start := time.Now()
	w := &writer{ResponseWriter: rw, r: r, g: g}
	h := rw.Header()
	id := r.Header.Get(problem.RequestIDHeader)
	if !validRequestID(id) {
		id = g.prefix + strconv.FormatUint(g.count.Add(1), 36)
	}
	h.Set(problem.RequestIDHeader, id)
	h.Set("X-Content-Type-Options", "nosniff")
	if g.last.Load() {
		h.Set("Connection", "close")
	}
	w.span = g.trace(r)
	defer g.finish(w, r, start)
	if isExcess(r.Context()) {
		h.Set("Connection", "close")
		problem.Write(w, r, problem.New(problem.TooManyConnections, "this node has as many connections as it takes").After(5*time.Second))
		return
	}
	if n := headerBytes(r); n > g.headers {
		h.Set("Connection", "close")
		problem.Write(w, r, problem.New(problem.HeadersTooLarge, "the headers and the address have %d bytes, at most %d are allowed", n, g.headers))
		return
	}
	g.mux.ServeHTTP(w, r)
}

// traced is where requests are traced: the API and webhooks. Probes and scrapes tell nothing, and a
// WebSocket is no request of which the end says anything.
const traced = "/api/"

// trace begins the span of a request, which stands in the request's header from here on.
func (g *guard) trace(r *http.Request) tracing.Span {
	if g.tracer == nil || !strings.HasPrefix(r.URL.Path, traced) {
		return tracing.Span{}
	}
	span := g.tracer.Start(r.Header.Get(problem.TraceHeader), "HTTP", tracing.Server)
	r.Header.Set(problem.TraceHeader, span.TraceParent())
	return span
}

// headerBytes counts a request's headers and address as they were sent, about.
func headerBytes(r *http.Request) int {
	n := len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

func (g *guard) finish(w *writer, r *http.Request, start time.Time) {
	defer w.span.End()
	if broke := recover(); broke != nil {
		if err, ok := broke.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(broke)
		}
		g.log.Error().Interface("panic", broke).Str("method", r.Method).Str("route", r.Pattern).
			Str("request_id", w.Header().Get(problem.RequestIDHeader)).EmbedObject(tracing.Log(r.Header.Get(problem.TraceHeader))).Bytes("stack", debug.Stack()).Msg("a handler panicked")
		g.metrics.panics.Inc()
		if w.status == 0 && !w.hijacked {
			w.quiet = true
			problem.Write(w, r, problem.New(problem.Internal, "this is not your fault; the request id leads to the cause in our log"))
		}
	}
	if w.hijacked {
		return
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	g.metrics.served(r, w.status, time.Since(start))
	if w.span.Recording() {
		w.describe()
	}
}

// describe says in the request's span what became of it.
func (w *writer) describe() {
	if w.r.Pattern != "" {
		w.span.Name(w.r.Pattern)
		_, route, _ := strings.Cut(w.r.Pattern, " ")
		w.span.Set(tracing.Route.String(route))
	}
	w.span.Set(tracing.Method.String(w.r.Method), tracing.Status.Int(w.status), tracing.RequestID.String(w.Header().Get(problem.RequestIDHeader)))
	if w.status >= http.StatusInternalServerError {
		w.span.Fail(strconv.Itoa(w.status))
	}
}

func validRequestID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// writer knows what was answered.
type writer struct {
	http.ResponseWriter
	r        *http.Request
	g        *guard
	span     tracing.Span
	status   int
	hijacked bool
	swallow  bool // the body is the mux's plain text; a problem was written in its place
	quiet    bool // the cause has been logged
}

var (
	_ problem.Observer = (*writer)(nil)
	_ http.Hijacker    = (*writer)(nil)
	_ http.Flusher     = (*writer)(nil)
)

func (w *writer) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.r.Pattern == "" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		w.swallow = true
		problem.Write(w.inner(status), w.r, w.g.refusal(w, status))
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// inner is w once more, for the problem that stands in for what the mux wrote.
func (w *writer) inner(status int) *writer {
	w.status = status
	return &writer{ResponseWriter: w.ResponseWriter, r: w.r, g: w.g, status: -1}
}

// refusal is what the mux, which found no route, would say in plain text.
func (g *guard) refusal(w *writer, status int) *problem.Problem {
	if status == http.StatusMethodNotAllowed {
		p := problem.New(problem.MethodNotAllowed, "%.16q is not taken here; allowed: %s", w.r.Method, w.Header().Get("Allow"))
		p.Allow = w.Header().Get("Allow")
		return p
	}
	return problem.New(problem.NotFound, "there is nothing at %.200q; the addresses are in /api/openapi.json", w.r.URL.Path)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.swallow {
		return len(b), nil
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Observe counts a problem, and logs it where it is ours.
func (w *writer) Observe(p *problem.Problem) {
	w.g.metrics.problems.WithLabelValues(p.Code).Inc()
	if w.quiet {
		return
	}
	log, level := &w.g.log, zerolog.DebugLevel
	known := p.Code == problem.AnalyticsMissing                                             // the node was started so, and said so then
	if p.Status >= http.StatusInternalServerError && !known && w.r.Context().Err() == nil { // else the client has gone
		log, level = &w.g.refused, zerolog.ErrorLevel
	}
	log.WithLevel(level).Str("code", p.Code).Int("status", p.Status).Str("method", w.r.Method).Str("route", w.r.Pattern).
		Str("request_id", p.RequestID).EmbedObject(tracing.Log(w.r.Header.Get(problem.TraceHeader))).AnErr("cause", p.Unwrap()).Msg("refused a request")
}

// Hijack gives the connection to the handler, for WebSockets.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = err == nil
	return c, rw, err
}

// Flush sends what is buffered.
func (w *writer) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
