package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/edge/problem"
)

func TestTable(t *testing.T) {
	t.Parallel()
	kinds := problem.Kinds()
	if len(kinds) < 40 {
		t.Fatalf("only %d kinds", len(kinds))
	}
	titles := map[string]string{}
	for i, k := range kinds {
		if i > 0 && kinds[i-1].Code >= k.Code {
			t.Errorf("%s is out of order", k.Code)
		}
		if k.Status < 400 || k.Status > 599 || http.StatusText(k.Status) == "" {
			t.Errorf("%s has status %d", k.Code, k.Status)
		}
		if other, dup := titles[k.Title]; dup || k.Title == "" {
			t.Errorf("%s has the title of %q: %q", k.Code, other, k.Title)
		}
		titles[k.Title] = k.Code
		if k.Code != strings.ToLower(k.Code) || strings.ContainsAny(k.Code, " -.") {
			t.Errorf("code %q", k.Code)
		}
		if problem.Lookup(k.Code) != k || k.Type() != "/api/problems#"+k.Code {
			t.Errorf("%s is looked up as %+v", k.Code, problem.Lookup(k.Code))
		}
	}
	for _, code := range []string{
		adapter.CodeSignatureMissing, adapter.CodeSignatureInvalid, adapter.CodeTimestampInvalid, adapter.CodeTimestampOld,
	} {
		if problem.Status(code) != 401 {
			t.Errorf("the adapters' code %s is answered %d", code, problem.Status(code))
		}
	}
	if k := problem.Lookup("nonsense"); k.Status != 500 || k.Code != "nonsense" {
		t.Errorf("unknown code: %+v", k)
	}
}

type observer struct {
	*httptest.ResponseRecorder
	seen []*problem.Problem
}

func (o *observer) Observe(p *problem.Problem) { o.seen = append(o.seen, p) }

func TestWrite(t *testing.T) {
	t.Parallel()
	w := &observer{ResponseRecorder: httptest.NewRecorder()}
	w.Header().Set(problem.RequestIDHeader, "req-1")
	r := httptest.NewRequest(http.MethodPost, "/api/a%20b?secret=1", http.NoBody)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	cause := errors.New("hidden cause")
	problem.Write(w, r, fmt.Errorf("wrapped: %w", problem.New(problem.RateLimited, "%d so far", 7).After(1500*time.Millisecond).Because(cause)))

	if w.Code != 429 || w.Header().Get("Content-Type") != "application/problem+json" ||
		w.Header().Get("Retry-After") != "2" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "/api/problems#rate_limited", "title": "Too many webhooks within an hour", "status": 429., "code": "rate_limited",
		"detail": "7 so far", "instance": "/api/a%20b", "requestId": "req-1", "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "retryAfter": 2.,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if len(w.seen) != 1 || !errors.Is(w.seen[0], cause) || !strings.Contains(w.seen[0].Error(), "hidden cause") {
		t.Errorf("observed %v", w.seen)
	}
}

type known struct{ error }

func (known) Problem() *problem.Problem { return problem.New(problem.Conflict, "known") }

func TestOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		code   string
		detail string
	}{
		{problem.New(problem.NotFound, "x"), problem.NotFound, "x"},
		{fmt.Errorf("y: %w", known{}), problem.Conflict, "known"},
		{&http.MaxBytesError{Limit: 5}, problem.BodyTooLarge, "5 bytes"},
		{errors.New("secret dsn"), problem.Internal, "not your fault"},
	} {
		if p := problem.Of(c.err); p.Code != c.code || !strings.Contains(p.Detail, c.detail) || strings.Contains(p.Detail, "secret") {
			t.Errorf("%v became %+v", c.err, p)
		}
	}
	if p := problem.New(problem.NotFound, "x"); p.Error() != "not_found: x" {
		t.Errorf("error text %q", p.Error())
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	if h := problem.New(problem.KeyMissing, "").GetHeaders(); !strings.HasPrefix(h.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("401 without WWW-Authenticate: %v", h)
	}
	if h := problem.New(problem.SignatureInvalid, "").GetHeaders(); h.Get("WWW-Authenticate") != "" {
		t.Errorf("a webhook is asked for a bearer key: %v", h)
	}
	p := problem.New(problem.MethodNotAllowed, "")
	p.Allow = "GET"
	if p.GetHeaders().Get("Allow") != "GET" || p.GetStatus() != 405 || p.ContentType("application/json") != problem.ContentType {
		t.Errorf("%v", p.GetHeaders())
	}
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodHead, "/", http.NoBody), p)
	if w.Body.Len() != 0 {
		t.Error("HEAD has a body")
	}
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	read := func(body io.Reader, announced int64) ([]byte, error) {
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.ContentLength = announced
		return problem.ReadBody(httptest.NewRecorder(), r, 100_000)
	}
	long := strings.Repeat("x", 100_000)
	for _, announced := range []int64{-1, 3, 100_000} {
		got, err := read(strings.NewReader(long), announced)
		if err != nil || string(got) != long {
			t.Errorf("announced %d: %d bytes, %v", announced, len(got), err)
		}
	}
	for name, c := range map[string]struct {
		body      io.Reader
		announced int64
		code      string
	}{
		"announced too large": {strings.NewReader(""), 100_001, problem.BodyTooLarge},
		"found too large":     {strings.NewReader(long + "x"), -1, problem.BodyTooLarge},
		"broken":              {iotest.ErrReader(io.ErrUnexpectedEOF), 5, problem.BodyUnreadable},
	} {
		if _, err := read(c.body, c.announced); problem.Of(err).Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}
