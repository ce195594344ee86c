package ws_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/ws"
)

// listener reads a stream.
type listener struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
	sse  bool
	id   string // of the last event that had one
}

// ask sends a request for a stream; a POST request where the path is PathStream.
func ask(t *testing.T, n *node, path, connect string, header ...string) *http.Response {
	t.Helper()
	method, target, body := http.MethodGet, "http://"+n.addr+path+"?cf_connect="+url.QueryEscape(connect), ""
	if path == ws.PathStream {
		method, target, body = http.MethodPost, "http://"+n.addr+path, connect
	}
	r := must(http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body)))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func listen(t *testing.T, n *node, path, connect string, header ...string) *listener {
	t.Helper()
	resp := ask(t, n, path, connect, header...)
	kind := map[string]string{ws.PathSSE: "text/event-stream", ws.PathStream: "application/x-ndjson"}[path]
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != kind || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	return &listener{t: t, body: resp.Body, in: bufio.NewReader(resp.Body), sse: path == ws.PathSSE}
}

// next returns the next push, or an error at the end.
func (l *listener) next() (*protocol.Push, error) {
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\n")
		if l.sse {
			field, value, _ := strings.Cut(line, ": ")
			switch field {
			case "id":
				l.id = value
				continue
			case "":
				continue
			case "data":
				line = value
			default:
				return nil, fmt.Errorf("line %q", line)
			}
		}
		p := new(protocol.Push)
		if err := json.Unmarshal([]byte(line), p); err != nil {
			return nil, fmt.Errorf("push %q: %w", line, err)
		}
		return p, nil
	}
}

func (l *listener) mustNext() *protocol.Push {
	l.t.Helper()
	p, err := l.next()
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func (l *listener) wantNumbers(from, to int) {
	l.t.Helper()
	for want := from; want <= to; want++ {
		if p := l.mustNext(); number(l.t, p.GetPub().GetData()) != want {
			l.t.Fatalf("got %v, want %d", p, want)
		}
	}
}

func connectTo(token string, subs ...string) string {
	return fmt.Sprintf(`{"token":%q,"subs":{%s}}`, token, strings.Join(subs, ","))
}

func TestStreams(t *testing.T) {
	t.Parallel()
	for _, path := range []string{ws.PathSSE, ws.PathStream} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, openJournal(t))
			// Two channels, one of them the server's idea.
			token := sign(t, jwt.MapClaims{"sub": "u", "channels": []string{"supplier:**"}, "subs": map[string]any{"couple:updates:7": nil}}, key)
			l := listen(t, n, path, connectTo(token, fmt.Sprintf(`%q:{}`, channel)))
			c := l.mustNext().GetConnect()
			if c == nil || c.Client == "" || c.Pong || c.Ping == 0 || len(c.Subs) != 2 || !c.Subs[channel].GetRecoverable() {
				t.Fatalf("connected %v", c)
			}
			publishN(n, channel, 1, 300) // more than the times that the server gives to other answers would allow
			l.wantNumbers(1, 300)
			n.publish("couple:updates:7", `{"n":301}`)
			if p := l.mustNext(); p.Channel != "couple:updates:7" || number(t, p.Pub.Data) != 301 {
				t.Errorf("got %v", p)
			}
			if l.id != "" {
				t.Errorf("the id %q tells where one of two channels is", l.id)
			}
			waitMetric(t, n, 1, "wedsync_ws_connections")
			_ = l.body.Close()
			waitMetric(t, n, 0, "wedsync_ws_connections")
			waitMetric(t, n, 0, "wedsync_ws_subscriptions")

			// Back, with the position.
			seq := n.publish(channel, `{"n":302}`)
			l = listen(t, n, path, connectTo(token, fmt.Sprintf(`%q:{"recover":true,"offset":%d,"epoch":%q}`, channel, seq-1, n.journal.Epoch())))
			s := l.mustNext().GetConnect().GetSubs()[channel]
			if !s.GetRecovered() || len(s.GetPublications()) != 1 || number(t, s.Publications[0].Data) != 302 {
				t.Errorf("recovered %v", s)
			}
			l = listen(t, n, path, connectTo(token, fmt.Sprintf(`%q:{"recover":true,"offset":1,"epoch":"another"}`, channel)))
			if s := l.mustNext().GetConnect().GetSubs()[channel]; s.GetRecovered() || !s.GetWasRecovering() {
				t.Errorf("another log's position: %v", s)
			}

			// The node stops, and says so.
			go n.stop()
			if p := l.mustNext(); p.GetDisconnect().GetCode() != uint32(ws.CloseShutdown) {
				t.Errorf("got %v", p)
			}
			if _, err := l.next(); !errors.Is(err, io.EOF) {
				t.Errorf("then %v, want the end", err)
			}
		})
	}
}

// A browser comes back by itself with the id of the last event.
func TestSSEIDs(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	connect := connectTo(all(t), fmt.Sprintf(`%q:null`, channel))
	l := listen(t, n, ws.PathSSE, connect)
	l.mustNext()
	first := l.id // before any event
	publishN(n, channel, 1, 3)
	l.wantNumbers(1, 1)
	second := l.id
	for id, missed := range map[string]int{first: 3, second: 2} {
		back := listen(t, n, ws.PathSSE, connect, "Last-Event-ID", id)
		s := back.mustNext().GetConnect().GetSubs()[channel]
		if !s.GetRecovered() || len(s.GetPublications()) != missed || back.id != fmt.Sprintf("%d:%s", s.Publications[missed-1].Offset, n.journal.Epoch()) {
			t.Errorf("from %q: %v, then %q; want %d missed", id, s, back.id, missed)
		}
	}
}

func TestStreamRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxSubscriptions = 2 })
	good := grant(t, "u", 0, []string{"a", "b", "c"}, nil)
	refused := map[string]float64{}
	for name, tt := range map[string]struct {
		connect string
		header  []string
		status  int
		code    string
	}{
		"no token":     {`{}`, nil, 401, problem.TokenInvalid},
		"expired":      {connectTo(grant(t, "u", -time.Hour, nil, nil)), nil, 401, problem.TokenExpired},
		"not granted":  {connectTo(good, `"a":{}`, `"d":{}`), nil, 403, problem.ChannelNotGranted},
		"no channel":   {connectTo(good, `"a b":{}`), nil, 422, problem.ChannelInvalid},
		"too many":     {connectTo(good, `"a":{}`, `"b":{}`, `"c":{}`), nil, 422, problem.FieldInvalid},
		"no JSON":      {`{`, nil, 400, problem.JSONMalformed},
		"not the JSON": {`{"subs":7}`, nil, 422, problem.FieldInvalid},
		"no id":        {connectTo(good, `"a":{}`), []string{"Last-Event-ID", "x:y"}, 422, problem.FieldInvalid},
		"foreign":      {connectTo(good), []string{"Origin", "https://evil.example"}, 403, problem.OriginNotAllowed},
	} {
		for _, path := range []string{ws.PathSSE, ws.PathStream} {
			resp := ask(t, n, path, tt.connect, tt.header...)
			var p problem.Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != tt.status || p.Code != tt.code {
				t.Errorf("%s at %s: %s %v, %v; want %d %s", name, path, resp.Status, p, err, tt.status, tt.code)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: readable from another origin", name)
			}
		}
		refused[tt.code] += 2
	}
	for code, times := range refused {
		waitMetric(t, n, times, "wedsync_ws_handshakes_refused_total", "code", code)
	}
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+n.addr+ws.PathSSE, nil))
	resp := must(http.DefaultTransport.RoundTrip(r))
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
		t.Errorf("PUT: %s %v", resp.Status, resp.Header)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// Pages of an allowed origin may listen.
func TestStreamsAcrossOrigins(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.AllowedOrigins = []string{app} })
	l := ask(t, n, ws.PathSSE, connectTo(all(t), `"a":{}`), "Origin", app)
	if l.StatusCode != http.StatusOK || l.Header.Get("Access-Control-Allow-Origin") != app || l.Header.Get("Vary") != "Origin" {
		t.Errorf("%s %v", l.Status, l.Header)
	}
	r := must(http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+n.addr+ws.PathStream, nil))
	r.Header.Set("Origin", app)
	transport := &http.Transport{DisableKeepAlives: true}
	resp := must(transport.RoundTrip(r))
	_ = resp.Body.Close()
	if h := resp.Header; resp.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != app || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("preflight: %s %v", resp.Status, h)
	}
}

// Who only listens is pinged, and needs no pong; the stream ends with its token.
func TestStreamTimes(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), fastPings, func(c *ws.Config) { c.ExpiryGrace = time.Millisecond })
	l := listen(t, n, ws.PathStream, connectTo(grant(t, "u", 4*time.Second, nil, nil)))
	l.mustNext()
	for range 2 {
		if p := l.mustNext(); p.Channel != "" || p.Pub != nil || p.Disconnect != nil {
			t.Errorf("got %v, want a ping", p)
		}
	}
	for {
		p := l.mustNext()
		if p.Disconnect == nil {
			continue
		}
		if p.Disconnect.Code != uint32(ws.CloseExpired) {
			t.Errorf("got %v", p)
		}
		break
	}
	waitMetric(t, n, 1, "wedsync_ws_connections_closed_total", "code", "3005")
}

// A listener that does not read is cut off, and the server can stop all the same.
func TestSlowListener(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.QueueBytes, c.CloseTimeout = 64<<10, 200*time.Millisecond
	})
	listen(t, n, ws.PathSSE, connectTo(all(t), fmt.Sprintf(`%q:{}`, channel)))
	payload := fmt.Sprintf(`{"n":1,"x":%q}`, strings.Repeat("x", 100<<10))
	for metric(t, n, "wedsync_ws_connections_closed_total", "code", "3008") == 0 {
		n.publish(channel, payload)
	}
	waitMetric(t, n, 0, "wedsync_ws_connections")
}

func TestConnectionsOfOneAddressAndUser(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.MaxPerAddress, c.MaxPerUser = 3, 2
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	first := dialConnected(t, n, all(t))
	dialConnected(t, n, all(t))
	c := dialRaw(t, n.addr)
	c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, all(t)))
	c.wantClose(ws.CloseUserLimit)
	_ = c.conn.Close()
	waitMetric(t, n, 1, "wedsync_ws_connections_closed_total", "code", "3504")
	waitMetric(t, n, 2, "wedsync_ws_connections")
	resp := ask(t, n, ws.PathSSE, connectTo(all(t)))
	var told problem.Problem
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || resp.StatusCode != http.StatusTooManyRequests || told.Code != problem.TooManyOfUser {
		t.Errorf("a stream of the user: %s %v, %v", resp.Status, told, err)
	}
	_ = resp.Body.Close()
	waitMetric(t, n, 2, "wedsync_ws_connections")

	dialConnected(t, n, grant(t, "another", 0, nil, nil))
	refused, p := handshake(t, n, nil)
	if refused.StatusCode != http.StatusTooManyRequests || p.Code != problem.TooManyOfAddress || refused.Header.Get("Retry-After") == "" {
		t.Errorf("a fourth connection: %s %v", refused.Status, p)
	}
	waitMetric(t, n, 1, "wedsync_ws_handshakes_refused_total", "code", problem.TooManyOfAddress)
	// A trusted proxy says who it is for; whatever that one claims of others does not count.
	for forwarded, status := range map[string]int{"10.1.1.1": 101, "9.9.9.9, 10.1.1.1": 101, "10.1.1.1, 127.0.0.1": 101, "nonsense": 429} {
		resp, _ := handshake(t, n, func(r *http.Request) { r.Header.Set("X-Forwarded-For", forwarded) })
		if resp.StatusCode != status {
			t.Errorf("for %s: %s, want %d", forwarded, resp.Status, status)
		}
	}
	_ = first.conn.Close() // gives its places back
	waitMetric(t, n, 2, "wedsync_ws_connections")
	dialConnected(t, n, all(t))
}

// Clients are told to go elsewhere one after the other.
func TestDrainTime(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.DrainTime = time.Second })
	const clients = 20
	ended := make(chan time.Time, clients)
	for range clients {
		c := dialConnected(t, n, all(t))
		go func() {
			for {
				if _, err := c.next(); err != nil {
					ended <- time.Now()
					_ = c.conn.Close()
					return
				}
			}
		}()
	}
	go n.stop()
	var first, last time.Time
	for i := range clients {
		last = <-ended
		if i == 0 {
			first = last
		}
	}
	if took := last.Sub(first); took < 200*time.Millisecond {
		t.Errorf("all were told within %v, want about a second", took)
	}
}
