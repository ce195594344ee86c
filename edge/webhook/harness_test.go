package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/webhook"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestMain(m *testing.M) {
	// net/http's ends by itself, half a second after a body was refused.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// node is a server with the webhook addresses before a real log and a real registry.
type node struct {
	url      string
	journal  *journal.Journal
	registry *registry.Registry
	metrics  *prometheus.Registry
	client   *http.Client
	clock    *clock
	publish  func(context.Context, ingest.Draft) (ingest.Receipt, error) // stands before ingest, if set
	seen     *memory

	mu     sync.Mutex
	audits []event.Audit
}

// clock is real time, moved on by hand.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func (n *node) Audit(a event.Audit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.audits = append(n.audits, a)
}

// audited returns the audit records since the last call.
func (n *node) audited() []event.Audit {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.audits
	n.audits = nil
	return all
}

func (n *node) Publish(ctx context.Context, d ingest.Draft) (ingest.Receipt, error) {
	return n.publish(ctx, d)
}

// memory is the bucket "seen", which can be made to fail.
type memory struct {
	webhook.Seen
	mu          sync.Mutex
	get, create error
	last        string // key that was asked for
}

func (m *memory) asked() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

func (m *memory) fail(get, create error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.get, m.create = get, create
}

func (m *memory) Get(ctx context.Context, key string) (journal.Value, error) {
	m.mu.Lock()
	err := m.get
	m.last = key
	m.mu.Unlock()
	if err != nil {
		return journal.Value{}, err
	}
	return m.Seen.Get(ctx, key)
}

func (m *memory) Create(ctx context.Context, key string, data []byte) (uint64, error) {
	m.mu.Lock()
	err := m.create
	m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return m.Seen.Create(ctx, key, data)
}

func start(tb testing.TB, change func(*webhook.Config)) *node {
	tb.Helper()
	j, err := journal.Open(tb.Context(), journal.Config{Dir: tb.TempDir(), Shards: 1, Logger: zerolog.Nop()})
	must(tb, err)
	tb.Cleanup(func() { must(tb, j.Close(context.Background())) })
	n := &node{journal: j, metrics: prometheus.NewRegistry(), clock: &clock{}, seen: &memory{}}
	n.openRegistry(tb)
	in, err := ingest.New(ingest.Config{Log: j, Now: n.clock.now})
	must(tb, err)
	n.publish = in.Publish
	n.seen.Seen, err = j.KV(tb.Context(), "seen")
	must(tb, err)
	cfg := webhook.Config{
		Directory: webhook.Registry{From: n.registry}, Publisher: n, Seen: n.seen, Auditor: n,
		Now: n.clock.now, Metrics: n.metrics,
	}
	if change != nil {
		change(&cfg)
	}
	h, err := webhook.New(cfg)
	must(tb, err)
	srv, err := edge.New(edge.Config{Addr: "127.0.0.1:0", Mounts: []edge.Mount{h.Mount}})
	must(tb, err)
	addr, err := srv.Start(tb.Context())
	must(tb, err)
	tb.Cleanup(func() { must(tb, srv.Shutdown(context.Background())) })
	n.url = "http://" + addr.String()
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	tb.Cleanup(tr.CloseIdleConnections)
	n.client = &http.Client{Transport: tr, Timeout: 20 * time.Second}
	return n
}

func (n *node) openRegistry(tb testing.TB) {
	tb.Helper()
	key, err := registry.GenerateKey()
	must(tb, err)
	sealer, err := registry.NewSealer(key)
	must(tb, err)
	config, err := n.journal.KV(tb.Context(), "config")
	must(tb, err)
	secrets, err := n.journal.KV(tb.Context(), "secrets")
	must(tb, err)
	n.registry, err = registry.Open(tb.Context(), registry.Config{Store: registry.Store{Config: config, Secrets: secrets}, Sealer: sealer, Logger: zerolog.Nop()})
	must(tb, err)
	tb.Cleanup(n.registry.Close)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// connect stores an integration and its secrets.
func (n *node) connect(tb testing.TB, in event.Integration, secrets event.Secrets) {
	tb.Helper()
	_, err := n.registry.Put(tb.Context(), in)
	must(tb, err)
	values := map[string]event.Secret{}
	for name := range secrets {
		values[name] = secrets.Current(name)
	}
	must(tb, n.registry.SetSecrets(tb.Context(), in.ID, values))
}

const (
	venueSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	venueID     = "venue"
	venuePath   = "/api/webhooks/venuemaster/" + venueID
)

// venue connects the integration that most tests use.
func (n *node) venue(tb testing.TB, change func(*event.Integration)) {
	tb.Helper()
	in := event.Integration{
		ID: venueID, Vendor: "venuemaster", Settings: json.RawMessage(`{"url":"https://venue.example.com/x"}`),
		Owner: map[string]string{"supplierId": "42"}, Channel: "supplier:dashboard:{supplierId}",
	}
	if change != nil {
		change(&in)
	}
	n.connect(tb, in, event.Secrets{"signing": {event.SecretOf(venueSecret)}, "webhook": {event.SecretOf(venueSecret)}})
}

// capacity is a body that VenueMaster could send.
func capacity(more string) string {
	return `{"type":"capacity.changed","timestamp":"2026-11-01T10:00:00Z","data":{"venue_id":"ven_1","client_id":"c7","capacity":90` + more + `}}`
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code(tb testing.TB) string {
	tb.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != problem.ContentType || p.Status != a.status {
		tb.Fatalf("%d %s %s is no problem", a.status, a.header.Get("Content-Type"), a.body)
	}
	return p.Code
}

type events struct {
	Duplicate bool             `json:"duplicate"`
	Events    []ingest.Receipt `json:"events"`
	Refused   []struct {
		Message int    `json:"message"`
		Code    string `json:"code"`
	} `json:"refused"`
}

func (a answer) events(tb testing.TB) events {
	tb.Helper()
	var e events
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		tb.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return e
}

func (n *node) do(tb testing.TB, method, path string, header http.Header, body []byte) answer {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, n.url+path, bytes.NewReader(body))
	must(tb, err)
	if header != nil {
		req.Header = header
	}
	resp, err := n.client.Do(req)
	must(tb, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	must(tb, err)
	return answer{resp.StatusCode, resp.Header, string(got)}
}

// sign makes Standard Webhooks headers by the specification's own library.
func sign(tb testing.TB, secret, id string, at time.Time, body []byte) http.Header {
	tb.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	must(tb, err)
	signature, err := wh.Sign(id, at, body)
	must(tb, err)
	return http.Header{
		"Content-Type": {"application/json"}, "Webhook-Id": {id},
		"Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature},
	}
}

// send posts a body as VenueMaster would.
func (n *node) send(tb testing.TB, id, body string) answer {
	tb.Helper()
	return n.do(tb, "POST", venuePath, sign(tb, venueSecret, id, n.clock.now(), []byte(body)), []byte(body))
}

// appended counts the events in the log.
func (n *node) appended(tb testing.TB) uint64 {
	tb.Helper()
	s, err := n.journal.Status(tb.Context())
	must(tb, err)
	for _, stream := range s.Streams {
		if stream.Name == "EV" {
			return stream.Messages
		}
	}
	tb.Fatal("no stream EV")
	return 0
}

func (n *node) event(tb testing.TB, seq uint64) *event.Event {
	tb.Helper()
	ev, err := n.journal.EventAt(tb.Context(), seq)
	must(tb, err)
	return ev
}

// verdicts returns wedsync_webhooks_total of a vendor and verdict.
func (n *node) verdicts(tb testing.TB, vendor, verdict string) float64 {
	tb.Helper()
	families, err := n.metrics.Gather()
	must(tb, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "wedsync_webhooks_total" && l[0].GetValue() == vendor && l[1].GetValue() == verdict {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// simulators starts the vendors.
func simulators(tb testing.TB) *vendors.Set {
	tb.Helper()
	set, err := vendors.StartAll(tb.Context(), vendors.Config{})
	must(tb, err)
	tb.Cleanup(func() { must(tb, set.Close()) })
	return set
}
