package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// ContentType is the media type of every error body (RFC 9457).
const ContentType = "application/problem+json"

// RequestIDHeader carries the request's id. The server sets it on the answer before any handler
// runs; a problem repeats it in its body.
const RequestIDHeader = "X-Request-Id"

// TraceHeader carries the W3C trace context. The server, where it traces, puts its own span there before any
// handler runs.
const TraceHeader = "Traceparent"

// Problem is one occurrence: an error, and the body that tells of it.
type Problem struct { //nolint:errname // RFC 9457 calls it so
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Code      string  `json:"code"`
	Detail    string  `json:"detail,omitempty"`
	Instance  string  `json:"instance,omitempty"` // the path that was asked for
	RequestID string  `json:"requestId,omitempty"`
	TraceID   string  `json:"traceId,omitempty"`
	Retry     int     `json:"retryAfter,omitempty"` // seconds, as in the Retry-After header
	Errors    []Field `json:"errors,omitempty"`
	Allow     string  `json:"-"` // the Allow header of a 405

	cause error
}

// Field is one field or parameter, and what is wrong with it. It never repeats the value, which may be
// a secret, but for the place in an expression.
type Field struct {
	Field  string `json:"field"` // such as "settings.url"
	Reason string `json:"reason"`
	Line   int    `json:"line,omitempty"`   // of an expression, from 1
	Column int    `json:"column,omitempty"` // in characters, from 1
	Text   string `json:"text,omitempty"`   // the piece of it that is at fault
}

// New returns a problem of that code. The detail is for the person who asked: it says what was wrong,
// with which value, and what to do.
func New(code, format string, args ...any) *Problem {
	k := Lookup(code)
	return &Problem{Type: k.Type(), Title: k.Title, Status: k.Status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// After says when it is worth asking again; it is rounded up to a second.
func (p *Problem) After(d time.Duration) *Problem {
	p.Retry = int((d + time.Second - 1) / time.Second)
	return p
}

// Because keeps the cause for the log. It is not shown to who asked.
func (p *Problem) Because(err error) *Problem {
	p.cause = err
	return p
}

func (p *Problem) Error() string {
	if p.cause != nil {
		return p.Code + ": " + p.Detail + ": " + p.cause.Error()
	}
	return p.Code + ": " + p.Detail
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of the body.
func (p *Problem) ContentType(string) string { return ContentType }

// GetHeaders returns the headers that belong to the answer.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	if p.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.Retry))
	}
	switch p.Code {
	case KeyMissing, KeyInvalid, KeyExpired:
		h.Set("WWW-Authenticate", `Bearer realm="wedsync"`)
	}
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	return h
}

// Problematic is an error that knows its problem.
type Problematic interface {
	error
	Problem() *Problem
}

// Of returns the problem that err is or tells of. Anything unexpected is Internal, with err as its
// cause and nothing of it in the detail.
func Of(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var known Problematic
	if errors.As(err, &known) {
		return known.Problem()
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return New(BodyTooLarge, "the body is larger than %d bytes", large.Limit).Because(err)
	}
	return New(Internal, "this is not your fault; the request id leads to the cause in our log").Because(err)
}

// Observer is a ResponseWriter that wants to know the problems written to it: the server logs and
// counts them there.
type Observer interface{ Observe(*Problem) }

// Write answers the request with err's problem. Nothing may have been written before.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	p := Of(err).For(w, r)
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Set("Content-Type", ContentType)
	h.Del("Content-Length")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(p)
	}
}

// For returns the problem with what tells this request from others filled in, and shows it to w if
// that is an Observer.
func (p *Problem) For(w http.ResponseWriter, r *http.Request) *Problem {
	q := *p
	q.Instance = r.URL.EscapedPath()
	q.RequestID = w.Header().Get(RequestIDHeader)
	q.TraceID = event.TraceID(r.Header.Get(TraceHeader))
	if o, ok := w.(Observer); ok {
		o.Observe(&q)
	}
	return &q
}

// ReadBody reads the request's body of at most limit bytes. It fails with a *Problem.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, New(BodyTooLarge, "the body has %d bytes, at most %d are allowed", r.ContentLength, limit)
	}
	body, err := readAll(http.MaxBytesReader(w, r.Body, limit), r.ContentLength)
	if err != nil {
		p := Of(err)
		if p.Code == Internal {
			p = New(BodyUnreadable, "the body ended early or came too slowly").Because(err)
		}
		return nil, p
	}
	return body, nil
}
