package admin_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/admin"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestMain(m *testing.M) {
	// net/http's ends by itself, half a second after a body was refused.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	adminKey = "k-0123456789-abcdefghij"
	home     = "/admin/integrations/channels"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// node is a server with the page before a real log, a real registry and real actors, without ClickHouse.
type node struct {
	url      string
	registry *registry.Registry
	journal  *journal.Journal
	keys     *access.Keyring
	ingest   *ingest.Ingest
	admin    *admin.Admin
	sim      *vendors.AnySystem

	mu     sync.Mutex
	audits []event.Audit
}

func (n *node) Audit(a event.Audit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.audits = append(n.audits, a)
}

// audited returns the actions that were recorded, with their outcomes.
func (n *node) audited() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, a := range n.audits {
		all = append(all, a.Action+" "+a.Outcome)
	}
	return strings.Join(all, ", ")
}

func start(t *testing.T, change ...func(*api.Config)) *node {
	t.Helper()
	n := &node{}
	var err error
	n.journal, err = journal.Open(t.Context(), journal.Config{Dir: t.TempDir(), Shards: 1, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(func() { must(t, n.journal.Close(context.Background())) })
	key, err := registry.GenerateKey()
	must(t, err)
	sealer, err := registry.NewSealer(key)
	must(t, err)
	buckets := map[string]*journal.Bucket{}
	for _, name := range []string{"config", "secrets", "answers"} {
		buckets[name], err = n.journal.KV(t.Context(), name)
		must(t, err)
	}
	n.registry, err = registry.Open(t.Context(), registry.Config{Store: registry.Store{Config: buckets["config"], Secrets: buckets["secrets"]}, Sealer: sealer, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(n.registry.Close)
	n.ingest, err = ingest.New(ingest.Config{Log: n.journal})
	must(t, err)
	configured, err := access.NewConfigured("tester", event.SecretOf(adminKey))
	must(t, err)
	n.keys, err = access.Open(t.Context(), access.Config{Bucket: buckets["config"], Configured: []access.Configured{configured}, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(n.keys.Close)
	sessions, err := access.OpenSessions(t.Context(), access.SessionConfig{Bucket: buckets["answers"], Keys: n.keys, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(sessions.Close)
	sender := delivery.NewSender(delivery.SenderConfig{Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})})
	t.Cleanup(sender.Close)
	engine, err := actors.New(actors.Config{
		Node: "n1", Journal: n.journal, Registry: n.registry, Caller: sender, Placement: cluster.NewSolo("n1"), Logger: zerolog.Nop(),
		Breaker: delivery.BreakerConfig{Threshold: 2, OpenFor: time.Hour, MaxOpenFor: time.Hour}, Retry: delivery.RetryPolicy{Waits: []time.Duration{time.Millisecond}},
	})
	must(t, err)
	engine.Start()
	t.Cleanup(func() { must(t, engine.Stop(context.Background())) })
	clients, err := ws.New(ws.Config{Log: n.journal, Publisher: n.ingest, TokenKeys: []event.Secret{event.SecretOf(strings.Repeat("k", 32))}, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(func() { must(t, clients.Shutdown(context.Background())) })
	cfg := api.Config{
		Keys: n.keys, Answers: buckets["answers"], Publisher: n.ingest, History: n.journal, Members: cluster.NewSolo("n1"), Drain: func(context.Context) error { return nil },
		Dead: n.journal, Integrations: n.registry, Controls: n.registry, Mappings: n.registry, Engine: engine, Auditor: n, Node: "n1",
		Clients: func() api.Clients { return clients },
	}
	for _, c := range change {
		c(&cfg)
	}
	a, err := api.New(cfg)
	must(t, err)
	n.admin, err = admin.New(admin.Config{API: a, Sessions: sessions, Node: "n1", Version: "1.2.3", Logger: zerolog.Nop()})
	must(t, err)
	srv, err := edge.New(edge.Config{Addr: "127.0.0.1:0", Mounts: []edge.Mount{a.Mount, n.admin.Mount}, Logger: zerolog.Nop()})
	must(t, err)
	addr, err := srv.Start(t.Context())
	must(t, err)
	t.Cleanup(func() {
		must(t, n.admin.Shutdown(context.Background()))
		must(t, srv.Shutdown(context.Background()))
	})
	n.url = "http://" + addr.String()
	n.sim, err = vendors.StartAnySystem(t.Context(), vendors.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, n.sim.Close()) })
	return n
}

// publish publishes an event.
func (n *node) publish(t *testing.T, channel, payload string) {
	t.Helper()
	_, err := n.ingest.Publish(t.Context(), ingest.Draft{Channel: channel, Type: "timeline.updated", Payload: json.RawMessage(payload), Source: event.SystemSource})
	must(t, err)
}

// key makes a key, and returns its text.
func (n *node) key(t *testing.T, k access.Key) string {
	t.Helper()
	_, text, err := n.keys.Create(t.Context(), access.Everybody("x"), k)
	must(t, err)
	return text.Reveal()
}

// connect connects the simulator under an id, and sends it what is published about its supplier.
func (n *node) connect(t *testing.T, id string, owner map[string]string) {
	t.Helper()
	in, secrets := n.sim.Integration(id)
	in.V, in.Owner, in.Name = event.Version, owner, "The <b>"+id+"</b>"
	_, err := n.registry.Put(t.Context(), in)
	must(t, err)
	values := map[string]event.Secret{}
	for name := range secrets {
		values[name] = secrets.Current(name)
	}
	must(t, n.registry.SetSecrets(t.Context(), id, values))
}

// browser is one that keeps cookies and goes nowhere by itself.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

func (n *node) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{t, n.url, &http.Client{Transport: tr, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// signedIn is a browser with a session.
func (n *node) signedIn(t *testing.T, key string) *browser {
	t.Helper()
	b := n.browser(t)
	if got := b.post("/admin/sign-in", url.Values{"key": {key}}); got.status != http.StatusSeeOther {
		t.Fatalf("signing in: %d %s", got.status, got.body)
	}
	return b
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) get(path string, header ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil, header...)
}

func (b *browser) post(path string, form url.Values, header ...string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, path, form, header...)
}

func (b *browser) do(method, path string, form url.Values, header ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept-Encoding", "gzip")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(req)
	must(b.t, err)
	defer resp.Body.Close()
	var body io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		body, err = gzip.NewReader(resp.Body)
		must(b.t, err)
	}
	text, err := io.ReadAll(body)
	must(b.t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// shows fails unless a page has all of the texts.
func (a answer) shows(t *testing.T, texts ...string) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("answered %d: %s", a.status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%q is not on the page:\n%s", text, a.body)
		}
	}
}

// hides fails if a page has any of the texts.
func (a answer) hides(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("%q is on the page", text)
		}
	}
}

// htmx is the header of what the page's own script asks.
func htmx() []string { return []string{"Hx-Request", "true"} }

// eventually waits until what holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(15 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain for: %s", what)
		}
	}
}
