package delivery_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // http.Server takes no other logger
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// loopback lets the tests' own servers be called.
func loopback() *delivery.Guard {
	return delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
}

func newSender(t *testing.T, cfg delivery.SenderConfig) *delivery.Sender {
	t.Helper()
	if cfg.Guard == nil {
		cfg.Guard = loopback()
	}
	s := delivery.NewSender(cfg)
	t.Cleanup(s.Close)
	return s
}

// vendor is a test server; it counts connections.
type vendor struct {
	*httptest.Server
	conns atomic.Int64
}

func newVendor(t *testing.T, handler http.HandlerFunc) *vendor {
	t.Helper()
	v := &vendor{Server: httptest.NewUnstartedServer(handler)}
	v.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			v.conns.Add(1)
		}
	}
	v.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) start() *vendor { v.Start(); return v }

func post(url, body string) *event.Call {
	return &event.Call{HTTP: &event.HTTPCall{Method: http.MethodPost, URL: url, Body: []byte(body)}}
}

// within gives a call so long; what is not meant to time out gets plenty.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wantReason(t *testing.T, a *event.Answer, want string) {
	t.Helper()
	if got := delivery.Reason(a.Err); got != want {
		t.Errorf("reason %q (status %d, %v), want %q", got, a.Status, a.Err, want)
	}
}

func TestSenderHTTP(t *testing.T) {
	t.Parallel()
	type seen struct {
		method, uri, host, body string
		header                  http.Header
	}
	got := make(chan seen, 1)
	v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.RequestURI, r.Host, string(body), r.Header}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "slow down")
	}).start()
	s := newSender(t, delivery.SenderConfig{UserAgent: "wedsync/1.2"})

	header := http.Header{"Webhook-Id": {"dlv_1"}, "Content-Type": {"application/json"}}
	call := &event.Call{HTTP: &event.HTTPCall{
		Method: http.MethodPut, URL: v.URL + "/hooks/a%2Fb?x=1", Header: header, Body: []byte(`{"a":1}`),
	}}
	a := s.Do(within(t, time.Minute), call)
	if a.Err != nil || a.Status != 429 || string(a.Body) != "slow down" || a.RetryAfter(time.Now()) != 7*time.Second {
		t.Errorf("answer %+v", a)
	}
	r := <-got
	if r.method != "PUT" || r.uri != "/hooks/a%2Fb?x=1" || r.host != v.Listener.Addr().String() || r.body != `{"a":1}` {
		t.Errorf("request %+v", r)
	}
	for name, want := range map[string]string{
		"Webhook-Id": "dlv_1", "Content-Type": "application/json", "User-Agent": "wedsync/1.2", "Content-Length": "7",
		"Accept-Encoding": "", "Authorization": "",
	} {
		if v := r.header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if len(header) != 2 {
		t.Errorf("the call's own header was changed: %v", header)
	}

	header.Set("User-Agent", "adapter/1")
	call.HTTP.URL = strings.Replace(v.URL, "http://", "http://ann:s%3Acret@", 1)
	s.Do(within(t, time.Minute), call)
	r = <-got
	if ua := r.header.Get("User-Agent"); ua != "adapter/1" {
		t.Errorf("user agent %q; the call's own goes first", ua)
	}
	if auth := r.header.Get("Authorization"); auth != "Basic YW5uOnM6Y3JldA==" {
		t.Errorf("authorization %q, want that of the URL", auth)
	}
	header.Set("Authorization", "Bearer x")
	s.Do(within(t, time.Minute), call)
	if auth := (<-got).header.Get("Authorization"); auth != "Bearer x" {
		t.Errorf("authorization %q; the call's own goes first", auth)
	}
}

func TestSenderDoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}).start()
	a := newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), post(v.URL, "x"))
	if a.Err != nil || a.Status != 307 || a.Header.Get("Location") != "/elsewhere" || hits.Load() != 1 {
		t.Errorf("status %d, location %q, %d requests, %v", a.Status, a.Header.Get("Location"), hits.Load(), a.Err)
	}
}

// TestSenderGuards calls a server that listens, by each of its names; none may reach it.
func TestSenderGuards(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(http.ResponseWriter, *http.Request) { t.Error("it was called") }).start()
	s := delivery.NewSender(delivery.SenderConfig{})
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(v.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"} {
		a := s.Do(within(t, time.Minute), post("http://"+host+":"+port, "x"))
		wantReason(t, a, event.ReasonBlocked)
		var blocked *delivery.BlockedError
		if !errors.As(a.Err, &blocked) || a.Status != 0 {
			t.Errorf("%s: status %d, %v", host, a.Status, a.Err)
		}
	}
	// Some resolvers take these for 127.0.0.1, others do not know them; either will do.
	for _, host := range []string{"127.1", "2130706433", "0x7f.1"} {
		if a := s.Do(within(t, time.Minute), post("http://"+host+":"+port, "x")); a.Err == nil {
			t.Errorf("%s: status %d", host, a.Status)
		}
	}
	if n := v.conns.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestSenderBodies(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	for name, c := range map[string]struct {
		size    int
		chunked bool
		status  int
		reused  bool
	}{
		"none":               {0, false, 200, true},
		"none, no content":   {0, false, 204, true},
		"short":              {5, false, 200, true},
		"short, chunked":     {5, true, 200, true},
		"just fits":          {most, false, 200, true},
		"just fits, chunked": {most, true, 200, true},
		"a little too long":  {most + 1000, false, 200, true},
		"the same, chunked":  {most + 1000, true, 200, true},
		"far too long":       {20 * most, true, 500, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := strings.Repeat("0123456789abcdef", c.size/16+1)[:c.size]
			v := newVendor(t, func(w http.ResponseWriter, _ *http.Request) {
				if !c.chunked {
					w.Header().Set("Content-Length", fmt.Sprint(c.size))
				}
				w.WriteHeader(c.status)
				if c.chunked {
					w.(http.Flusher).Flush()
				}
				_, _ = io.WriteString(w, content)
			}).start()
			s := newSender(t, delivery.SenderConfig{})
			for range 3 {
				a := s.Do(within(t, time.Minute), post(v.URL, "x"))
				if a.Err != nil || a.Status != c.status {
					t.Fatalf("status %d, %v", a.Status, a.Err)
				}
				if got := string(a.Body); got != content[:min(c.size, most)] {
					t.Fatalf("%d bytes of body, or other ones, want %d", len(got), min(c.size, most))
				}
			}
			if reused := v.conns.Load() == 1; reused != c.reused {
				t.Errorf("%d connections for 3 calls", v.conns.Load())
			}
		})
	}
}

// TestSenderKeepsConnections makes 100 calls at once, twice; the second hundred need no new connection.
func TestSenderKeepsConnections(t *testing.T) {
	t.Parallel()
	const n = 100
	var inside sync.WaitGroup // all of a round's calls are there at the same time
	v := newVendor(t, func(w http.ResponseWriter, _ *http.Request) {
		inside.Done()
		inside.Wait()
		w.WriteHeader(http.StatusAccepted)
	}).start()
	s := newSender(t, delivery.SenderConfig{})
	for range 3 {
		inside.Add(n)
		var calls sync.WaitGroup
		for range n {
			calls.Go(func() {
				if a := s.Do(within(t, time.Minute), post(v.URL, "x")); a.Status != 202 {
					t.Errorf("status %d, %v", a.Status, a.Err)
				}
			})
		}
		calls.Wait()
	}
	// A call that finds a connection just being given back may open another one.
	if got := v.conns.Load(); got < n || got > n+10 {
		t.Errorf("%d connections for three times %d calls", got, n)
	}
}

func TestSenderHead(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000") }).start()
	call := &event.Call{HTTP: &event.HTTPCall{Method: http.MethodHead, URL: v.URL}}
	a := newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), call)
	if a.Err != nil || a.Status != 200 || len(a.Body) != 0 {
		t.Errorf("status %d, %d bytes, %v", a.Status, len(a.Body), a.Err)
	}
}

func TestSenderTLS(t *testing.T) {
	t.Parallel()
	proto := make(chan string, 1)
	v := newVendor(t, func(_ http.ResponseWriter, r *http.Request) { proto <- r.Proto })
	v.EnableHTTP2 = true
	v.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(v.Certificate())

	s := newSender(t, delivery.SenderConfig{RootCAs: roots})
	if a := s.Do(within(t, time.Minute), post(v.URL, "x")); a.Status != 200 || <-proto != "HTTP/2.0" {
		t.Errorf("status %d, %v", a.Status, a.Err)
	}
	wantReason(t, newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), post(v.URL, "x")), delivery.ReasonTLS)
	other := strings.Replace(v.URL, "127.0.0.1", "localhost", 1) // not in the certificate
	wantReason(t, s.Do(within(t, time.Minute), post(other, "x")), delivery.ReasonTLS)

	old := newVendor(t, func(http.ResponseWriter, *http.Request) {})
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	wantReason(t, s.Do(within(t, time.Minute), post(old.URL, "x")), delivery.ReasonTLS)

	plain := newVendor(t, func(http.ResponseWriter, *http.Request) {}).start()
	wantReason(t, s.Do(within(t, time.Minute), post(strings.Replace(plain.URL, "http:", "https:", 1), "x")), delivery.ReasonTLS)
}

func TestSenderConfigValidate(t *testing.T) {
	t.Parallel()
	if err := (delivery.SenderConfig{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	for want, cfg := range map[string]delivery.SenderConfig{
		"maxIdlePerHost is -1": {MaxIdlePerHost: -1},
		"idleTimeout is -1s":   {IdleTimeout: -time.Second},
		"dialTimeout is -1s":   {DialTimeout: -time.Second},
		"callTimeout is -1s":   {CallTimeout: -time.Second},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}
