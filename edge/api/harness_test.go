package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

func TestMain(m *testing.M) {
	// net/http's ends by itself, half a second after a body was refused.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const apiKey = "k-0123456789-abcdefghij"

// node is a server with the API before a real log and a real registry, and an engine and analytics
// that do what a test says.
type node struct {
	url      string
	api      *api.API
	client   *http.Client
	journal  *journal.Journal
	registry *registry.Registry
	keys     *access.Keyring
	answers  *journal.Bucket
	engine   *engine
	numbers  *numbers
	later    atomic.Int64 // nanoseconds that its clock is ahead
	out      *bytes.Buffer

	mu     sync.Mutex
	audits []event.Audit
}

// now is the node's clock, which a test can put forward.
func (n *node) now() time.Time { return time.Now().Add(time.Duration(n.later.Load())) }

func (n *node) Audit(a event.Audit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.audits = append(n.audits, a)
}

// Present tells that somebody listens, on every channel but those of which a node does not answer.
func (n *node) Present(_ context.Context, channel string) (event.Presence, error) {
	if strings.HasSuffix(channel, ":silent") {
		return event.Presence{}, errors.New("n3 does not answer")
	}
	return event.Presence{Clients: 1, Users: 1, Items: []event.Present{{Client: "c1", User: "listens to " + channel}}}, nil
}

func (n *node) Token(user, channel string, _ time.Duration) (event.Secret, error) {
	return event.SecretOf(user + " " + channel), nil
}

// audited returns the audit records since the last call.
func (n *node) audited() []event.Audit {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.audits
	n.audits = nil
	return all
}

// engine stands in for the actors.
type engine struct {
	mu      sync.Mutex
	healths []event.Health
	told    []string
	err     error
	replay  error

	profiles []event.Profile // of the last sync

	live []live.Query // that it was asked
	book *live.Book
}

// Live tells what the book has, and that n3 is silent.
func (e *engine) Live(_ context.Context, q live.Query) (live.Report, []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live = append(e.live, q)
	return e.book.Report(q), []string{"n3"}
}

func (e *engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *engine) tell(what, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, what+" "+id)
	return e.err
}

func (e *engine) ResetBreaker(_ context.Context, id string) error { return e.tell("reset", id) }
func (e *engine) Reinstate(_ context.Context, id string) error    { return e.tell("reinstate", id) }
func (e *engine) Erase(_ context.Context, what actors.Erase) (removed, left journal.Erased, err error) {
	all := journal.Erased{Events: 3, Deliveries: 2, DeadLetters: 1, Clients: 4}
	if what.Records {
		all.Records = 5
	}
	if what.Only {
		return removed, all, e.tell("count", what.Wedding)
	}
	return all, left, e.tell("erase", what.Wedding)
}

func (e *engine) Test(_ context.Context, id, eventType string) (event.Attempt, error) {
	if eventType == "odd" {
		return event.Attempt{}, actors.ErrUntestable
	}
	return event.Attempt{Number: 1, Status: 200, Verdict: "delivered"}, e.tell("test", id)
}

func (e *engine) Healths(context.Context) []event.Health {
	return append([]event.Health(nil), e.healths...)
}

func (e *engine) Health(_ context.Context, id string) (event.Health, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.healths {
		if h.Integration == id {
			return h, e.err
		}
	}
	return event.Health{}, errors.Join(actors.ErrUnknown, e.err)
}

func (e *engine) Preview(*event.Event, string) (actors.Preview, error) {
	return actors.Preview{}, e.tell("preview", "")
}

func (e *engine) Compare(_ context.Context, m event.Mapping, _ []*event.Event) (actors.Comparison, error) {
	c := actors.Comparison{Differences: make([]actors.Difference, 1)}
	c.Differences[0].Before.Mapping, c.Differences[0].After.Mapping = "everybodys", m.ID
	return c, e.tell("compare", m.ID)
}

func (e *engine) SyncClientProfiles(_ context.Context, id, syncID string, all []event.Profile) (s event.ProfileSync, err error) {
	s.SyncID = cmp.Or(syncID, "sync_made")
	for _, p := range all {
		s.Add(event.ProfileResult{ClientID: p.ClientID, Outcome: event.ProfilePending})
	}
	e.profiles = all
	return s, e.tell("sync", id)
}

func (e *engine) ClientProfileSync(_ context.Context, id, syncID string) (s event.ProfileSync, err error) {
	s.SyncID, s.Results = syncID, []event.ProfileResult{}
	if syncID == "none" {
		return s, journal.ErrNotFound
	}
	s.Add(event.ProfileResult{ClientID: "alpha", Outcome: event.ProfileFailed, Reason: "http_422"})
	return s, e.tell("show sync", id)
}

func (e *engine) Replay(_ context.Context, seq uint64) (*event.Delivery, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.replay != nil {
		return nil, e.replay
	}
	e.told = append(e.told, fmt.Sprint("replay ", seq))
	return &event.Delivery{ID: "dlv_1", Replay: 2}, nil
}

// numbers stands in for ClickHouse.
type numbers struct {
	missing bool
	err     error
	query   analytics.SLOQuery
	since   time.Time

	summary    []analytics.IntegrationSummary
	rows       []analytics.SLORow
	audit      analytics.AuditQuery
	deliveries analytics.DeliveryQuery
	ends       []analytics.DeliveryRow
	attempts   []analytics.AttemptRow
	receipts   []analytics.ReceiptRow
}

func (s *numbers) SLO(_ context.Context, q analytics.SLOQuery) (analytics.SLOReport, error) {
	s.query = q
	rows := append([]analytics.SLORow{{Key: "slack", Standing: analytics.Standing{Tally: analytics.Tally{Total: 3, Delivered: 3}}}}, s.rows...)
	if q.Among != nil {
		rows = slices.DeleteFunc(rows, func(r analytics.SLORow) bool { return !slices.Contains(q.Among, r.Key) })
	}
	return analytics.SLOReport{By: q.By, Since: q.Since, Now: q.Now, Rows: rows}, s.err
}

func (s *numbers) Series(_ context.Context, q analytics.SLOQuery, key string) (analytics.SLOSeries, error) {
	s.query = q
	return analytics.SLOSeries{By: q.By, Key: key, Points: []analytics.SLOPoint{}}, s.err
}

func (s *numbers) Identified(context.Context, string) (uint64, error) { return 7, s.err }

func (s *numbers) Erase(context.Context, string) (rows, left uint64, err error) { return 7, 0, s.err }

func (s *numbers) Summary(_ context.Context, since time.Time) ([]analytics.IntegrationSummary, error) {
	s.since = since
	return s.summary, s.err
}

func (s *numbers) Audit(_ context.Context, q analytics.AuditQuery) ([]analytics.AuditRow, analytics.Cursor, error) {
	s.audit = q
	return []analytics.AuditRow{{Actor: "admin:x", Action: "a.b"}}, analytics.Cursor{At: 5, Seq: 6, Epoch: "e"}, s.err
}

func (s *numbers) Deliveries(_ context.Context, q analytics.DeliveryQuery) ([]analytics.DeliveryRow, analytics.Cursor, error) {
	s.deliveries = q
	return append([]analytics.DeliveryRow{}, s.ends...), analytics.Cursor{}, s.err
}

func (s *numbers) Attempts(context.Context, string) ([]analytics.AttemptRow, error) {
	return s.attempts, s.err
}

func (s *numbers) Receipts(context.Context, string) ([]analytics.ReceiptRow, error) {
	return s.receipts, s.err
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func start(tb testing.TB, change func(*api.Config)) *node {
	tb.Helper()
	n := &node{engine: &engine{book: live.NewBook(live.Config{})}, numbers: &numbers{}, out: &bytes.Buffer{}}
	var err error
	n.journal, err = journal.Open(tb.Context(), journal.Config{Dir: tb.TempDir(), Shards: 1, Logger: zerolog.Nop()})
	must(tb, err)
	tb.Cleanup(func() { must(tb, n.journal.Close(context.Background())) })
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
	in, err := ingest.New(ingest.Config{Log: n.journal})
	must(tb, err)
	n.answers, err = n.journal.KV(tb.Context(), "answers")
	must(tb, err)
	k, err := access.NewConfigured("tester", event.SecretOf(apiKey))
	must(tb, err)
	n.keys, err = access.Open(tb.Context(), access.Config{Bucket: config, Configured: []access.Configured{k}, Logger: zerolog.Nop(), Now: func() time.Time { return n.now() }})
	must(tb, err)
	tb.Cleanup(n.keys.Close)
	cfg := api.Config{
		Keys: n.keys, Answers: n.answers, Now: func() time.Time { return n.now() }, Publisher: in, History: n.journal, Members: cluster.NewSolo("n1"), Drain: drained, Dead: n.journal, Integrations: n.registry, Controls: n.registry,
		Mappings: n.registry, Engine: n.engine, Clients: func() api.Clients { return n }, Auditor: n, Node: "n1", Version: "1.2.3",
		Analytics: func() api.Analytics {
			if n.numbers.missing {
				return nil
			}
			return n.numbers
		},
	}
	if change != nil {
		change(&cfg)
	}
	n.api, err = api.New(cfg)
	must(tb, err)
	srv, err := edge.New(edge.Config{Addr: "127.0.0.1:0", Mounts: []edge.Mount{n.api.Mount}, Logger: zerolog.New(zerolog.SyncWriter(n.out))})
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

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(tb testing.TB) problem.Problem {
	tb.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != problem.ContentType ||
		p.Status != a.status || p.RequestID == "" || p.Instance == "" {
		tb.Fatalf("%d %s %s is no problem", a.status, a.header.Get("Content-Type"), a.body)
	}
	return p
}

func (a answer) code(tb testing.TB) string {
	tb.Helper()
	return a.problem(tb).Code
}

func into[T any](tb testing.TB, a answer) T {
	tb.Helper()
	var v T
	if a.status/100 != 2 {
		tb.Fatalf("%d %s", a.status, a.body)
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%s: %v", a.body, err)
	}
	return v
}

// do asks with the key; header, if given, comes on top.
func (n *node) do(tb testing.TB, method, path, body string, header ...string) answer {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, n.url+path, strings.NewReader(body))
	must(tb, err)
	if body == "" {
		req.Body = http.NoBody
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := n.client.Do(req)
	must(tb, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	must(tb, err)
	return answer{resp.StatusCode, resp.Header, string(got)}
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
