package ws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/ws"
)

func TestMessageTooLarge(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxMessageBytes = 2 << 10 })
	c := dialConnected(t, n, all(t))
	c.send(strings.Repeat("x", 2<<10+1))
	_, err := c.next()
	var closed *closedError
	if !errors.As(err, &closed) || closed.code != uint16(ws.CloseMessageSize) {
		t.Errorf("%v, want close code %d", err, ws.CloseMessageSize)
	}
	waitMetric(t, n, 1, "wedsync_ws_connections_closed_total", "code", "1009")
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ConnectTimeout = 100 * time.Millisecond })
	dialRaw(t, n.addr).wantClose(ws.CloseConnectTimeout)
	waitMetric(t, n, 1, "wedsync_ws_connections_closed_total", "code", "4000")
}

func fastPings(c *ws.Config) { c.PingInterval, c.PongTimeout = time.Second, 200*time.Millisecond }

func TestNoPong(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), fastPings)
	c := dialConnected(t, n, all(t))
	if r := c.mustNext(); r.Id != 0 || r.Push != nil || r.Error != nil {
		t.Fatalf("got %v, want a ping", r)
	}
	c.wantClose(ws.CloseNoPong)
}

func TestPong(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), fastPings)
	c := dialConnected(t, n, all(t))
	for range 3 { // a second without a pong would end it
		c.mustNext()
		c.send(`{}`)
	}
	if _, err := c.conn.Write(frame(9, "are you there")); err != nil { // the WebSocket's own ping
		t.Fatal(err)
	}
	if r := c.mustNext(); string(r.Push.GetMessage().GetData()) != "are you there" {
		t.Errorf("got %v, want a pong", r)
	}
	if _, err := c.conn.Write(frame(10, "unasked")); err != nil {
		t.Fatal(err)
	}
	c.ok(`"history":{"channel":"a"}`)
}

// A pong is not missed while the command before it waits for the log.
func TestPongBehindACommand(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	n := startNode(t, openJournal(t), fastPings, func(c *ws.Config) {
		c.Publisher = publisherFunc(func(context.Context, ingest.Draft) (ingest.Receipt, error) {
			<-goOn
			return ingest.Receipt{}, nil
		})
	})
	c := dialConnected(t, n, all(t))
	c.send(fmt.Sprintf(`{"id":7,"publish":{"channel":%q,"data":{"type":"a.b","payload":{}}}}`, channel))
	c.mustNext() // the ping
	c.send(`{}`)
	watcher := dialConnected(t, n, all(t))
	watcher.mustNext()
	watcher.wantClose(ws.CloseNoPong) // by now the other one's time is over, too
	close(goOn)
	if r := c.mustNext(); r.Id != 7 || r.Error != nil {
		t.Fatalf("got %v, want the answer to the publish command", r)
	}
	c.mustNext() // the next ping
	c.wantClose(ws.CloseNoPong)
}

// A client that does not read is closed once its queue is full; others are not held up.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.QueueBytes, c.CloseTimeout = 64<<10, 200*time.Millisecond
	})
	slow := dialConnected(t, n, all(t))
	slow.subscribe(channel)
	good := dialConnected(t, n, all(t))
	good.subscribe(channel)
	payload := fmt.Sprintf(`{"n":%%d,"x":%q}`, strings.Repeat("x", 16<<10))
	published := 0
	for metric(t, n, "wedsync_ws_connections_closed_total", "code", "3008") == 0 {
		published++
		n.publish(channel, fmt.Sprintf(payload, published))
		if r := good.mustNext(); number(t, r.Push.GetPub().GetData()) != published {
			t.Fatalf("the other client got %v, want publication %d", r, published)
		}
	}
	// What had been written arrives, in order; the connection ended in the midst of something.
	for i := 1; ; i++ {
		r, err := slow.next()
		if err != nil {
			break
		}
		if got := number(t, r.Push.Pub.Data); got != i || got == published {
			t.Fatalf("got publication %d, want %d, and never the last one, %d", got, i, published)
		}
	}
}

// A slow client that reads again in time learns why it was closed.
func TestSlowClientIsToldWhy(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.QueueBytes, c.CloseTimeout = 64<<10, 20*time.Second
	})
	slow := dialConnected(t, n, all(t))
	slow.subscribe(channel)
	watcher := dialConnected(t, n, all(t))
	watcher.subscribe("sentinel")
	payload := fmt.Sprintf(`{"n":1,"x":%q}`, strings.Repeat("x", 200<<10))
	for range 60 { // more than sockets and queue hold
		n.publish(channel, payload)
	}
	n.publish("sentinel", `{}`)
	watcher.mustNext()
	slow.wantClose(ws.CloseSlow)
}

// One frame goes through an empty queue, however large it is.
func TestFrameLargerThanQueue(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.QueueBytes = 4 << 10 })
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	n.publish(channel, fmt.Sprintf(`{"n":5,"x":%q}`, strings.Repeat("x", 100<<10)))
	wantNumbers(t, c, 5, 5)
}

func TestTooManyClients(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxConnections = 2 })
	first := dialConnected(t, n, all(t))
	dialConnected(t, n, all(t))
	resp, p := handshake(t, n, nil)
	if resp.StatusCode != http.StatusServiceUnavailable || p.Code != problem.TooManyClients || resp.Header.Get("Retry-After") == "" {
		t.Errorf("third connection: %s %v", resp.Status, p)
	}
	waitMetric(t, n, 1, "wedsync_ws_handshakes_refused_total", "code", problem.TooManyClients)
	_ = first.conn.Close()
	waitMetric(t, n, 1, "wedsync_ws_connections")
	dialConnected(t, n, all(t))
}

// handshake asks for a WebSocket with these headers and returns the answer and its problem.
func handshake(t *testing.T, n *node, change func(*http.Request)) (*http.Response, problem.Problem) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.addr+ws.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if change != nil {
		change(r)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var p problem.Problem
	if resp.StatusCode != http.StatusSwitchingProtocols && strings.HasPrefix(resp.Header.Get("Content-Type"), problem.ContentType) {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
	}
	return resp, p
}

func TestHandshakeRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
		code   string
	}{
		"POST":        {func(r *http.Request) { r.Method = http.MethodPost }, 405, problem.MethodNotAllowed},
		"no upgrade":  {func(r *http.Request) { r.Header.Del("Upgrade") }, 426, problem.UpgradeRequired},
		"old version": {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 400, ""},
		"foreign":     {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, problem.OriginNotAllowed},
		"none":        {func(*http.Request) {}, 101, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, p := handshake(t, n, tt.change)
			if resp.StatusCode != tt.status || p.Code != tt.code {
				t.Errorf("%s %q, want %d %q", resp.Status, p.Code, tt.status, tt.code)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	for name, tt := range map[string]struct {
		insecure bool
		allowed  []string
		host     string // "": the node's address
		origin   string
		want     bool
	}{
		"none":                       {origin: "", want: true},
		"null":                       {origin: "null"},
		"loopback to loopback":       {origin: "http://localhost:3000", want: true},
		"loopback IPv6":              {origin: "http://[::1]:3000", want: true},
		"loopback to elsewhere":      {host: "app.example.com", origin: "http://localhost:3000"},
		"same host":                  {host: "app.example.com", origin: "https://app.example.com", want: true},
		"same host, another port":    {host: "app.example.com:8443", origin: "https://app.example.com"},
		"another host":               {host: "app.example.com", origin: "https://evil.example"},
		"listed":                     {allowed: []string{"https://a.example"}, origin: "https://A.example", want: true},
		"listed by another scheme":   {allowed: []string{"https://a.example"}, origin: "http://a.example"},
		"not listed but same":        {allowed: []string{"https://a.example"}, host: "b.example", origin: "https://b.example"},
		"all":                        {allowed: []string{"*"}, origin: "https://evil.example", want: true},
		"insecure, rebound name":     {insecure: true, host: "evil.example", origin: "http://evil.example"},
		"insecure, loopback":         {insecure: true, origin: "http://127.0.0.1:5173", want: true},
		"insecure, listed elsewhere": {insecure: true, allowed: []string{"https://a.example"}, origin: "https://a.example", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, j, func(c *ws.Config) {
				c.AllowedOrigins = tt.allowed
				if tt.insecure {
					c.Insecure, c.TokenKeys = true, nil
				}
			})
			resp, _ := handshake(t, n, func(r *http.Request) {
				r.Host = tt.host
				if tt.origin != "" {
					r.Header.Set("Origin", tt.origin)
				}
			})
			if got := resp.StatusCode == http.StatusSwitchingProtocols; got != tt.want {
				t.Errorf("%s, want allowed %v", resp.Status, tt.want)
			}
		})
	}
}

// A server behind a ResponseWriter that cannot be taken over says so.
func TestNoHijack(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	n := startNode(t, j)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.server.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		}),
		ReadHeaderTimeout: time.Second,
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	resp, p := handshake(t, &node{addr: ln.Addr().String()}, nil)
	if resp.StatusCode != http.StatusInternalServerError || p.Code != problem.Internal {
		t.Errorf("%s %q", resp.Status, p.Code)
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	early := dialRaw(t, n.addr) // not connected yet
	// What was published before is written before the close frame.
	publishN(n, channel, 1, 1)
	wantNumbers(t, c, 1, 1)
	done := make(chan error, 1)
	go func() { done <- n.server.Shutdown(context.Background()) }()
	c.wantClose(ws.CloseShutdown)
	early.wantClose(ws.CloseShutdown)
	_, _ = c.conn.Write(frame(8, "\x0b\xb9"))
	_ = early.conn.Close()
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if resp, p := handshake(t, n, nil); resp.StatusCode != http.StatusServiceUnavailable || p.Code != problem.ShuttingDown {
		t.Errorf("afterwards: %s %q", resp.Status, p.Code)
	}
	if err := n.server.Shutdown(context.Background()); err != nil {
		t.Errorf("second shutdown: %v", err)
	}
	if got := metric(t, n, "wedsync_ws_connections") + metric(t, n, "wedsync_ws_subscriptions") + metric(t, n, "wedsync_ws_feeds"); got != 0 {
		t.Errorf("connections, subscriptions and feeds are left: %v", got)
	}
}

// Who does not close its side is cut off when the time is over.
func TestShutdownDeadline(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.CloseTimeout = time.Hour })
	dialConnected(t, n, all(t))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := n.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v, want the context's error", err)
	}
}

// The peer's own close is answered, and counted as the peer's.
func TestPeerCloses(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	if _, err := c.conn.Write(frame(8, "\x03\xe8")); err != nil {
		t.Fatal(err)
	}
	_, err := c.next()
	var closed *closedError
	if !errors.As(err, &closed) || closed.code != 1000 {
		t.Errorf("%v, want close code 1000", err)
	}
	waitMetric(t, n, 1, "wedsync_ws_connections_closed_total", "code", "peer")
	lost := dialConnected(t, n, all(t))
	_ = lost.conn.Close()
	waitMetric(t, n, 1, "wedsync_ws_connections_closed_total", "code", "lost")
	waitMetric(t, n, 0, "wedsync_ws_subscriptions")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	good := func() ws.Config {
		return ws.Config{Log: j, Publisher: publisherFunc(nil), TokenKeys: []event.Secret{event.SecretOf(key)}}
	}
	s, err := ws.New(good())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*ws.Config){
		"Log":                            func(c *ws.Config) { c.Log = nil },
		"Publisher":                      func(c *ws.Config) { c.Publisher = nil },
		"exclude":                        func(c *ws.Config) { c.Insecure = true },
		"TokenKeys, PublicKeys and JWKS": func(c *ws.Config) { c.TokenKeys = nil },
		"TokenKeys[1]":                   func(c *ws.Config) { c.TokenKeys = append(c.TokenKeys, event.SecretOf("short")) },
		"PublicKeys[0]":                  func(c *ws.Config) { c.PublicKeys = []string{"x"} },
		"RPC is":                         func(c *ws.Config) { c.RPC = "app.example.com" },
		"JWKS is":                        func(c *ws.Config) { c.JWKS = "http://login.example.com/keys" },
		"whole seconds":                  func(c *ws.Config) { c.PingInterval = 1500 * time.Millisecond },
		"PongTimeout":                    func(c *ws.Config) { c.PongTimeout = time.Minute },
		"ConnectTimeout":                 func(c *ws.Config) { c.ConnectTimeout = -1 },
		"MaxConnections":                 func(c *ws.Config) { c.MaxConnections = -1 },
		"QueueBytes":                     func(c *ws.Config) { c.QueueBytes = 1 },
		"MaxMessageBytes":                func(c *ws.Config) { c.MaxMessageBytes = 1 },
		"AllowedOrigins[0":               func(c *ws.Config) { c.AllowedOrigins = []string{"app.example.com"} },
	} {
		c := good()
		change(&c)
		if _, err := ws.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
	n := startNode(t, j)
	c := good()
	c.Registerer = n.metrics
	if _, err := ws.New(c); err == nil || !strings.Contains(err.Error(), "metrics") {
		t.Errorf("registered twice: %v", err)
	}
}
