package wsclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	channel = "supplier:dashboard:42"
	key     = "0123456789abcdef0123456789abcdef"
)

func openJournal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return j
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

func newDoor(t *testing.T) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{addr: ln.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc(ws.Path, func(w http.ResponseWriter, r *http.Request) {
		s := d.behind.Load()
		if s == nil {
			panic(http.ErrAbortHandler)
		}
		s.ServeHTTP(w, r)
	})
	d.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ConnState: func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.conns = append(d.conns, c)
		}
	}}
	done := make(chan struct{})
	go func() { defer close(done); _ = d.http.Serve(ln) }()
	t.Cleanup(func() { _ = d.http.Close(); <-done })
	return d
}

// cut breaks every connection.
func (d *door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.conns = nil
}

// node is a real edge over a real log.
type node struct {
	t       *testing.T
	journal *journal.Journal
	door    *door
	url     string
	stop    func()
}

func startNode(t *testing.T, j *journal.Journal, change ...func(*ws.Config)) *node {
	t.Helper()
	return startBehind(t, newDoor(t), j, change...)
}

func startBehind(t *testing.T, d *door, j *journal.Journal, change ...func(*ws.Config)) *node {
	t.Helper()
	in, err := ingest.New(ingest.Config{Log: j})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ws.Config{Log: j, Publisher: in, TokenKeys: []event.Secret{event.SecretOf(key)}}
	for _, c := range change {
		c(&cfg)
	}
	s, err := ws.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, journal: j, door: d, url: "ws://" + d.addr + ws.Path}
	n.stop = sync.OnceFunc(func() {
		d.behind.CompareAndSwap(s, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	d.behind.Store(s)
	t.Cleanup(n.stop)
	return n
}

// publish appends events {"n":from} to {"n":to}.
func (n *node) publish(from, to int) (last uint64) {
	n.t.Helper()
	for i := from; i <= to; i++ {
		now := time.Now()
		a, err := n.journal.Append(context.Background(), &event.Event{
			V: event.Version, ID: uuid.Must(uuid.NewV7()).String(), Channel: channel, Type: "x",
			Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), OccurredAt: now, AcceptedAt: now, Source: "api",
		})
		if err != nil {
			n.t.Fatal(err)
		}
		last = a.Seq
	}
	return last
}

func token(t *testing.T, user string, lifetime time.Duration, channels ...string) string {
	t.Helper()
	c := jwt.MapClaims{"sub": user, "channels": channels, "publish": channels}
	if lifetime != 0 {
		c["exp"] = time.Now().Add(lifetime).Unix()
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(t *testing.T, cfg wsclient.Config) *wsclient.Client {
	t.Helper()
	cfg.MinDelay, cfg.MaxDelay = 5*time.Millisecond, 50*time.Millisecond
	c, err := cfg.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// inbox keeps what a subscription was told.
type inbox struct {
	t          *testing.T
	pubs       chan wsclient.Publication
	subscribed chan wsclient.Subscribed
	lost       chan error
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	return &inbox{
		t: t, pubs: make(chan wsclient.Publication, 10_000),
		subscribed: make(chan wsclient.Subscribed, 100), lost: make(chan error, 10),
	}
}

func (b *inbox) subscribe(c *wsclient.Client, channel string, since *wsclient.Position) *wsclient.Subscription {
	b.t.Helper()
	s, err := c.Subscribe(b.t.Context(), b.request(channel, since))
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *inbox) request(channel string, since *wsclient.Position) wsclient.Subscribe {
	return wsclient.Subscribe{
		Channel: channel, Since: since,
		Publication: func(p wsclient.Publication) { b.pubs <- p },
		Subscribed:  func(s wsclient.Subscribed) { b.subscribed <- s },
		Lost:        func(err error) { b.lost <- err },
	}
}

// want takes the events from to to, in this order and each once.
func (b *inbox) want(from, to int) (last wsclient.Publication) {
	b.t.Helper()
	for i := from; i <= to; i++ {
		last = take(b.t, b.pubs)
		ev, err := last.Event()
		if err != nil {
			b.t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"n":%d}`, i); string(ev.Payload) != want || ev.Seq != last.Offset {
			b.t.Fatalf("got %s at %d, want %s", ev.Payload, ev.Seq, want)
		}
	}
	return last
}

func take[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %T came", *new(T))
	}
	panic("unreachable")
}
