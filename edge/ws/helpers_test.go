package ws_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/ws"
)

const (
	channel = "supplier:dashboard:42"
	key     = "0123456789abcdef0123456789abcdef"
)

// openJournal opens a real log in a directory of its own.
func openJournal(tb testing.TB, change ...func(*journal.Config)) *journal.Journal {
	tb.Helper()
	cfg := journal.Config{Dir: tb.TempDir(), Logger: zerolog.Nop()}
	for _, c := range change {
		c(&cfg)
	}
	j, err := journal.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return j
}

func newEvent(channel, kind, payload string) *event.Event {
	now := time.Now()
	return &event.Event{
		V: event.Version, ID: uuid.Must(uuid.NewV7()).String(), Channel: channel, Type: kind,
		Payload: json.RawMessage(payload), OccurredAt: now, AcceptedAt: now, Source: "api",
	}
}

// door is an address that stays while the node behind it goes and another comes, so that no other
// test gets its port meanwhile.
type door struct {
	http   *http.Server
	addr   string
	behind atomic.Pointer[ws.Server] // nil: connections are dropped

	mu    sync.Mutex
	conns []net.Conn
}

func newDoor(tb testing.TB) *door {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	d := &door{addr: ln.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s := d.behind.Load()
		if s == nil {
			panic(http.ErrAbortHandler)
		}
		inner := http.NewServeMux()
		inner.Handle(ws.Path, s)
		s.Mount(inner)
		inner.ServeHTTP(w, r)
	})
	d.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ReadTimeout: time.Second, WriteTimeout: time.Second, ConnState: func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.conns = append(d.conns, c)
		}
	}}
	done := make(chan struct{})
	go func() { defer close(done); _ = d.http.Serve(ln) }()
	tb.Cleanup(func() { _ = d.http.Close(); <-done })
	return d
}

// cut resets every connection, as a crash or a firewall would.
func (d *door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	d.conns = nil
}

// node is an edge behind a door, over a log that may outlive it.
type node struct {
	tb      testing.TB
	journal *journal.Journal
	metrics *prometheus.Registry
	server  *ws.Server
	door    *door
	addr    string
	url     string
	stop    func() // as SIGTERM would
}

// startNode serves over j behind a door of its own.
func startNode(tb testing.TB, j *journal.Journal, change ...func(*ws.Config)) *node {
	tb.Helper()
	return startBehind(tb, newDoor(tb), j, change...)
}

func startBehind(tb testing.TB, d *door, j *journal.Journal, change ...func(*ws.Config)) *node {
	tb.Helper()
	reg := prometheus.NewRegistry()
	in, err := ingest.New(ingest.Config{Log: j})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := ws.Config{
		Log: j, Publisher: in, TokenKeys: []event.Secret{event.SecretOf(key)},
		PingInterval: time.Hour, PongTimeout: time.Minute, // tests that want pings say so
		Registerer: reg, Logger: zerolog.New(zerolog.NewTestWriter(tb)).Level(zerolog.WarnLevel),
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := ws.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	n := &node{tb: tb, journal: j, metrics: reg, server: s, door: d, addr: d.addr, url: "ws://" + d.addr + ws.Path}
	n.stop = sync.OnceFunc(func() {
		d.behind.CompareAndSwap(s, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			tb.Errorf("shutdown: %v", err)
		}
	})
	d.behind.Store(s)
	tb.Cleanup(n.stop)
	return n
}

// publish appends an event with that payload and returns its sequence.
func (n *node) publish(channel, payload string) uint64 {
	n.tb.Helper()
	a, err := n.journal.Append(context.Background(), newEvent(channel, "timeline.updated", payload))
	if err != nil {
		n.tb.Fatal(err)
	}
	return a.Seq
}

// grant makes a token; lifetime 0 is without expiry.
func grant(tb testing.TB, user string, lifetime time.Duration, channels, publish []string) string {
	tb.Helper()
	c := jwt.MapClaims{"sub": user, "channels": channels, "publish": publish, "info": map[string]string{"name": user}}
	if lifetime != 0 {
		c["exp"] = time.Now().Add(lifetime).Unix()
	}
	return sign(tb, c, key)
}

func sign(tb testing.TB, c jwt.MapClaims, key string) string {
	tb.Helper()
	t, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(key))
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// all is a token that allows everything.
func all(tb testing.TB) string {
	tb.Helper()
	return sign(tb, jwt.MapClaims{
		"sub": "couple-7", "channels": []string{"**"}, "publish": []string{"**"}, "presence": []string{"**"},
	}, key)
}
