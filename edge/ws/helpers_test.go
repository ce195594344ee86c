package ws_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
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

// node is an edge on a port of its own, over a log that may outlive it.
type node struct {
	tb      testing.TB
	journal *journal.Journal
	metrics *prometheus.Registry
	server  *ws.Server
	http    *http.Server
	addr    string
	url     string
	once    sync.Once
}

// startNode serves over j; addr "" takes a free port.
func startNode(tb testing.TB, j *journal.Journal, addr string, change ...func(*ws.Config)) *node {
	tb.Helper()
	reg := prometheus.NewRegistry()
	in, err := ingest.New(ingest.Config{Log: j})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := ws.Config{
		Log: j, Publisher: in, TokenKeys: []event.Secret{key},
		Registerer: reg, Logger: zerolog.Nop(),
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := ws.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(ws.Path, s)
	n := &node{
		tb: tb, journal: j, metrics: reg, server: s, addr: ln.Addr().String(),
		http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
	}
	n.url = "ws://" + n.addr + ws.Path
	done := make(chan struct{})
	go func() { defer close(done); _ = n.http.Serve(ln) }()
	tb.Cleanup(func() { n.stop(); <-done })
	return n
}

// stop ends the node as SIGTERM would.
func (n *node) stop() {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = n.http.Shutdown(ctx)
		if err := n.server.Shutdown(ctx); err != nil {
			n.tb.Errorf("shutdown: %v", err)
		}
	})
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
	return grant(tb, "couple-7", 0, []string{"**"}, []string{"**"})
}
