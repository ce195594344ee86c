package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/problem"
)

// logs collects log lines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a server on a free port until the test ends and returns its URL.
func start(t *testing.T, cfg edge.Config) (*edge.Server, string) {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	s, err := edge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
	})
	return s, "http://" + addr.String()
}

// client returns a client of its own, so that no connection outlives the test.
func client(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(t *testing.T) problem.Problem {
	t.Helper()
	var p problem.Problem
	if ct := a.header.Get("Content-Type"); ct != problem.ContentType {
		t.Errorf("content type %q", ct)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if p.Status != a.status || p.RequestID == "" || p.RequestID != a.header.Get(problem.RequestIDHeader) {
		t.Errorf("answered %d with %+v", a.status, p)
	}
	return p
}

func ask(t *testing.T, c *http.Client, method, url string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	_, url := start(t, edge.Config{Metrics: reg, Gatherer: reg, Mounts: []edge.Mount{func(mux *http.ServeMux) {
		mux.HandleFunc("GET /here", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the handler's own 404", http.StatusNotFound)
		})
	}}})
	c := client(t)

	p := ask(t, c, "GET", url+"/nowhere", nil).problem(t)
	if p.Code != problem.NotFound || p.Status != 404 || p.Instance != "/nowhere" {
		t.Errorf("got %+v", p)
	}
	a := ask(t, c, "DELETE", url+"/here", nil)
	if p := a.problem(t); p.Code != problem.MethodNotAllowed || !strings.Contains(p.Detail, `"DELETE"`) {
		t.Errorf("got %+v", p)
	}
	if allow := a.header.Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("allowed are %q", allow)
	}
	if a := ask(t, c, "GET", url+"/here", nil); a.body != "the handler's own 404\n" {
		t.Errorf("a handler's own answer became %q", a.body)
	}
	metrics := ask(t, c, "GET", url+"/metrics", nil).body
	for _, want := range []string{
		`wedsync_http_problems_total{code="not_found"} 1`,
		`wedsync_http_problems_total{code="method_not_allowed"} 1`,
		`wedsync_http_requests_total{route="none",status="404"} 1`,
		`wedsync_http_requests_total{route="GET /here",status="404"} 1`,
		`wedsync_http_connections 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	_, url := start(t, edge.Config{})
	c := client(t)
	seen := map[string]bool{}
	for range 3 {
		a := ask(t, c, "GET", url+"/healthz", nil)
		if a.status != 200 || a.body != "ok\n" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("got %+v", a)
		}
		seen[a.header.Get(problem.RequestIDHeader)] = true
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("request ids %v", seen)
	}
	for given, kept := range map[string]bool{"abc-1.2_3": true, "a b": false, strings.Repeat("x", 65): false, "<b>": false} {
		a := ask(t, c, "GET", url+"/nowhere", http.Header{problem.RequestIDHeader: {given}})
		if (a.header.Get(problem.RequestIDHeader) == given) != kept {
			t.Errorf("given %q, answered %q", given, a.header.Get(problem.RequestIDHeader))
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	out := &logs{}
	reg := prometheus.NewRegistry()
	_, url := start(t, edge.Config{Logger: zerolog.New(out), Metrics: reg, Gatherer: reg, Mounts: []edge.Mount{func(mux *http.ServeMux) {
		mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("the cake fell") })
		mux.HandleFunc("GET /late", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "begun")
			panic("too late")
		})
		mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}}})
	c := client(t)
	a := ask(t, c, "GET", url+"/panic", nil)
	if p := a.problem(t); p.Code != problem.Internal || strings.Contains(a.body, "cake") {
		t.Errorf("got %s", a.body)
	}
	if n := strings.Count(out.String(), "the cake fell"); n != 1 || !strings.Contains(out.String(), "server_test.go") {
		t.Errorf("logged %d times: %s", n, out)
	}
	if a := ask(t, c, "GET", url+"/late", nil); a.status != 200 || a.body != "begun" {
		t.Errorf("got %+v", a)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/abort", http.NoBody)
	if resp, err := c.Do(req); err == nil {
		resp.Body.Close()
		t.Error("an aborted request was answered")
	}
	if m := ask(t, c, "GET", url+"/metrics", nil).body; !strings.Contains(m, "wedsync_http_panics_total 2") {
		t.Error("panics are not counted")
	}
}

func TestProblemsOfOursAreLogged(t *testing.T) {
	t.Parallel()
	out := &logs{}
	_, url := start(t, edge.Config{Logger: zerolog.New(out).Level(zerolog.InfoLevel), Mounts: []edge.Mount{func(mux *http.ServeMux) {
		mux.HandleFunc("GET /ours", func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, errors.New("disk on fire"))
		})
		mux.HandleFunc("GET /theirs", func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, problem.New(problem.TypeInvalid, "no"))
		})
		mux.HandleFunc("GET /known", func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, problem.New(problem.AnalyticsMissing, "none"))
		})
	}}})
	c := client(t)
	p := ask(t, c, "GET", url+"/ours", nil).problem(t)
	if log := out.String(); strings.Count(log, "disk on fire") != 1 || !strings.Contains(log, p.RequestID) {
		t.Errorf("log: %s", log)
	}
	ask(t, c, "GET", url+"/theirs", nil)
	if strings.Contains(out.String(), problem.TypeInvalid) {
		t.Errorf("a client's mistake is logged: %s", out)
	}
	if a := ask(t, c, "GET", url+"/known", nil); a.status != 503 || strings.Contains(out.String(), problem.AnalyticsMissing) {
		t.Errorf("%d, and a node without ClickHouse logs who asks for it: %s", a.status, out)
	}
	for range 100 {
		ask(t, c, "GET", url+"/ours", nil)
	}
	if n := strings.Count(out.String(), "disk on fire"); n < 10 || n > 80 {
		t.Errorf("a hundred times the same is logged %d times", n)
	}
}

func TestReadyz(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	states := map[string]string{}
	check := func(name string, vital bool) edge.Check {
		return edge.Check{Name: name, Vital: vital, State: func(ctx context.Context) string {
			if _, bounded := ctx.Deadline(); !bounded {
				return "no deadline"
			}
			mu.Lock()
			defer mu.Unlock()
			return states[name]
		}}
	}
	s, url := start(t, edge.Config{Checks: []edge.Check{check("log", true), check("analytics", false)}})
	c := client(t)
	for _, want := range []struct {
		log, analytics string
		drain          bool
		status         int
		body           string
	}{
		{"", "", false, 200, `{"status":"ready","components":{"analytics":{"status":"ok"},"log":{"status":"ok"}}}`},
		{"", "none configured", false, 200, `{"status":"degraded","components":{"analytics":{"status":"degraded","detail":"none configured"},"log":{"status":"ok"}}}`},
		{"full", "gone", false, 503, `{"status":"unready","components":{"analytics":{"status":"degraded","detail":"gone"},"log":{"status":"down","detail":"full"}}}`},
		{"", "", true, 503, `{"status":"draining","components":{"analytics":{"status":"ok"},"log":{"status":"ok"}}}`},
	} {
		mu.Lock()
		states["log"], states["analytics"] = want.log, want.analytics
		mu.Unlock()
		if want.drain {
			s.Drain()
		}
		if a := ask(t, c, "GET", url+"/readyz", nil); a.status != want.status || strings.TrimSpace(a.body) != want.body {
			t.Errorf("got %d %s\nwant %d %s", a.status, a.body, want.status, want.body)
		}
	}
}

func TestWebSocketHandlerTakesTheConnection(t *testing.T) {
	t.Parallel()
	_, url := start(t, edge.Config{WebSocket: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
		_ = conn.Close()
	})})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /connection/websocket HTTP/1.1\r\nHost: x\r\n\r\n")
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(got), "hello") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStreaming(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{})
	_, url := start(t, edge.Config{Mounts: []edge.Mount{func(mux *http.ServeMux) {
		mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "first")
			w.(http.Flusher).Flush()
			<-sent
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, "second")
		})
	}}})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/stream", http.NoBody)
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q, %v", first, err)
	}
	close(sent)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	_, url := start(t, edge.Config{MaxConns: 1, Metrics: reg, Gatherer: reg})
	c := client(t)
	ask(t, c, "GET", url+"/healthz", nil) // holds the one connection
	a := ask(t, client(t), "GET", url+"/healthz", nil)
	if p := a.problem(t); p.Code != problem.TooManyConnections || a.status != 503 || a.header.Get("Retry-After") != "5" {
		t.Errorf("got %+v", a)
	}
	for range 16 { // held open, until there is no room for an answer either
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("far too many connections, and still an answer")
	}
	if m := ask(t, c, "GET", url+"/metrics", nil).body; !strings.Contains(m, `{code="too_many_connections"}`) || strings.Contains(m, `{code="too_many_connections"} 1`+"\n") {
		t.Error("both ways to turn away are not counted")
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	_, url := start(t, edge.Config{MaxHeaderBytes: 1024, Metrics: reg, Gatherer: reg})
	for _, c := range []struct{ path, header string }{{"/healthz", strings.Repeat("x", 2<<10)}, {"/healthz?" + strings.Repeat("x", 2<<10), ""}} {
		a := ask(t, client(t), "GET", url+c.path, http.Header{"X-Long": {c.header}})
		if p := a.problem(t); p.Code != problem.HeadersTooLarge || a.status != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(p.Detail, "at most 1024") {
			t.Errorf("got %+v", a)
		}
	}
	if m := ask(t, client(t), "GET", url+"/metrics", nil).body; !strings.Contains(m, `{code="headers_too_large"} 2`) {
		t.Error("they are not counted")
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", http.NoBody)
	req.Header.Set("X-Long", strings.Repeat("x", 32<<10)) // too much to be read at all
	resp, err := client(t).Do(req)
	if err != nil {
		return // the server hung up before all was sent
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  edge.Config
		says string
	}{
		{edge.Config{}, ""},
		{edge.Config{Addr: "localhost:0"}, ""},
		{edge.Config{Addr: "[::1]:0"}, ""},
		{edge.Config{Addr: "0.0.0.0:0", AllowPublic: true}, ""},
		{edge.Config{Addr: ":8080"}, "reachable from other machines"},
		{edge.Config{Addr: "0.0.0.0:8080"}, "reachable from other machines"},
		{edge.Config{Addr: "192.0.2.1:8080"}, "192.0.2.1:8080"},
		{edge.Config{Addr: "wedsync.example:8080"}, "reachable from other machines"},
		{edge.Config{Addr: "8080"}, "127.0.0.1:8080"},
		{edge.Config{MaxConns: -1}, "MaxConns"},
		{edge.Config{Checks: []edge.Check{{Name: "x"}}}, "Checks[0]"},
	} {
		_, err := edge.New(c.cfg)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
	if _, err := edge.New(edge.Config{Addr: ":1"}); !errors.Is(err, edge.ErrPublic) {
		t.Errorf("got %v", err)
	}
	reg := prometheus.NewRegistry()
	if _, err := edge.New(edge.Config{Metrics: reg}); err != nil {
		t.Fatal(err)
	}
	if _, err := edge.New(edge.Config{Metrics: reg}); err == nil {
		t.Error("metrics registered twice")
	}
}
