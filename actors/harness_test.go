package actors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// nats-server's ends with the process: it refreshes the clock that stamps all accounts' sources.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).syncBlocks"),
		// glog's, which a dependency of protoactor's starts on import.
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// owner is a placement that the test changes.
type owner struct {
	mu      sync.Mutex
	of      func(shard int) string
	changed []func()
}

// sharedShards is how many shards a log has that nodes share.
const sharedShards = 8

func newOwner(name string) *owner {
	o := &owner{}
	o.set(name)
	return o
}

func (o *owner) Owner(shard int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of(shard)
}

func (o *owner) Subscribe(changed func()) func() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed = append(o.changed, changed)
	return func() {}
}

// set gives all shards to one node.
func (o *owner) set(name string) { o.place(func(int) string { return name }) }

func (o *owner) place(of func(shard int) string) {
	o.mu.Lock()
	o.of = of
	changed := o.changed
	o.mu.Unlock()
	for _, f := range changed {
		f()
	}
}

// all returns the owner of each shard of a log that nodes share.
func (o *owner) all() []string {
	owners := make([]string, sharedShards)
	for shard := range owners {
		owners[shard] = o.Owner(shard)
	}
	return owners
}

// node is a system on a real log, with a real registry and real calls.
type node struct {
	*actors.System
	t         testing.TB
	journal   *journal.Journal
	registry  *registry.Registry
	placement *owner
	sender    *delivery.Sender
	keyset    []byte
	name      string
	dir       string
	url       string // of a NATS server that nodes share; "": the node is alone, with its log in dir
	metrics   *prometheus.Registry
	workBytes int64 // of the log; 0: plenty
	now       func() time.Time
}

// fast are settings under which a test sees retries and breakers within milliseconds.
func fast(cfg *actors.Config) {
	cfg.Breaker = delivery.BreakerConfig{Threshold: 5, OpenFor: 100 * time.Millisecond, MaxOpenFor: 300 * time.Millisecond}
	cfg.Retry = delivery.RetryPolicy{Waits: []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}}
}

func start(tb testing.TB, options ...func(*actors.Config)) *node {
	tb.Helper()
	return startSmall(tb, 0, options...)
}

// startSmall starts with room for so many bytes of deliveries only.
func startSmall(tb testing.TB, workBytes int64, options ...func(*actors.Config)) *node {
	tb.Helper()
	return startAs(tb, node{workBytes: workBytes, now: time.Now}, options...)
}

func startAs(tb testing.TB, n node, options ...func(*actors.Config)) *node {
	tb.Helper()
	keyset, err := registry.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	n.t, n.name, n.dir, n.keyset, n.placement = tb, "n1", tb.TempDir(), keyset, newOwner("n1")
	n.boot(options...)
	tb.Cleanup(n.shut)
	return &n
}

func (n *node) boot(options ...func(*actors.Config)) {
	n.t.Helper()
	ctx := n.t.Context()
	log := zerolog.New(zerolog.NewTestWriter(n.t)).Level(zerolog.WarnLevel)
	if os.Getenv("WEDSYNC_TEST_DEBUG") != "" {
		log = log.Level(zerolog.DebugLevel)
	} else if !testing.Verbose() {
		log = zerolog.Nop()
	}
	var err error
	c := journal.Config{Dir: n.dir, URL: n.url, Node: n.name, Shards: 2, WorkBytes: n.workBytes, Logger: log}
	if n.url != "" {
		c.Dir, c.Shards = "", sharedShards
	}
	if n.journal, err = journal.Open(ctx, c); err != nil {
		n.t.Fatal(err)
	}
	sealer, err := registry.NewSealer(n.keyset)
	if err != nil {
		n.t.Fatal(err)
	}
	config, err := n.journal.KV(ctx, "config")
	if err != nil {
		n.t.Fatal(err)
	}
	secrets, err := n.journal.KV(ctx, "secrets")
	if err != nil {
		n.t.Fatal(err)
	}
	if n.registry, err = registry.Open(ctx, registry.Config{Store: registry.Store{Config: config, Secrets: secrets}, Sealer: sealer, Logger: log}); err != nil {
		n.t.Fatal(err)
	}
	n.sender = delivery.NewSender(delivery.SenderConfig{Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})})
	cfg := actors.Config{Node: n.name, Journal: n.journal, Registry: n.registry, Caller: n.sender, Placement: n.placement, Now: n.now, Logger: log}
	n.metrics = prometheus.NewRegistry()
	cfg.Metrics = n.metrics
	fast(&cfg)
	for _, o := range options {
		o(&cfg)
	}
	if n.System, err = actors.New(cfg); err != nil {
		n.t.Fatal(err)
	}
	n.Start()
}

func (n *node) shut() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		n.t.Errorf("stop: %v", err)
	}
	n.registry.Close()
	n.sender.Close()
	if err := n.journal.Close(ctx); err != nil {
		n.t.Errorf("close the log: %v", err)
	}
}

func (n *node) restart(options ...func(*actors.Config)) {
	n.t.Helper()
	n.shut()
	n.boot(options...)
}

// connect adds a studio's integration that calls the sink, and a mapping of its channel to it.
func (n *node) connect(id string, s *sink, change ...func(*event.Integration)) {
	n.t.Helper()
	in := event.Integration{
		ID: id, Vendor: "studiocloud", Owner: map[string]string{"supplierId": id},
		Settings: json.RawMessage(fmt.Sprintf(`{"url":%q}`, s.URL+"/"+id)),
	}
	for _, c := range change {
		c(&in)
	}
	if _, err := n.registry.Put(n.t.Context(), in); err != nil {
		n.t.Fatal(err)
	}
	if err := n.registry.SetSecrets(n.t.Context(), id, map[string]event.Secret{"signing": event.SecretOf(whsec), "webhook": event.SecretOf(whsec)}); err != nil {
		n.t.Fatal(err)
	}
	_, err := n.registry.PutMapping(n.t.Context(), event.Mapping{
		ID: "crm", Pattern: "supplier:dashboard:{supplierId}:**", Targets: []event.Target{{Category: event.PhotographyCRM}},
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// publish appends count numbered events to a lane of the integration's.
func (n *node) publish(id, lane string, from, count int) {
	n.t.Helper()
	for i := from; i < from+count; i++ {
		n.append(id, lane, fmt.Sprintf("%s-%s-%d", id, lane, i),
			fmt.Sprintf(`{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","notes":"%s/%d"}`, lane, i))
	}
}

func (n *node) append(id, lane, eventID, payload string) {
	n.t.Helper()
	now := time.Now().UTC()
	_, err := n.journal.Append(n.t.Context(), &event.Event{
		V: event.Version, ID: eventID, Channel: "supplier:dashboard:" + id + ":" + lane, Type: "timeline.updated",
		Payload: json.RawMessage(payload), OccurredAt: now, AcceptedAt: now, Source: "api",
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// health waits until the integration's health is as wanted.
func (n *node) health(id string, want func(event.Health) bool) event.Health {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	var last event.Health
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		h, err := n.Health(ctx, id)
		if err == nil && want(h) {
			tick.Stop()
			return h
		}
		if err == nil {
			last = h
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.t.Fatalf("health of %s never became as wanted; last %+v, error %v", id, last, err)
		}
	}
}

// emptied waits until no delivery is in the log.
func (n *node) emptied() {
	n.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		status, err := n.journal.Status(n.t.Context())
		if err != nil {
			n.t.Fatal(err)
		}
		if !slices.ContainsFunc(status.Streams, func(s journal.StreamStatus) bool { return s.Name == "DL" && s.Messages > 0 }) {
			return
		}
		if time.Now().After(end) {
			n.t.Fatal("deliveries stay in the log")
		}
	}
}

// results waits for the final records of count deliveries, by delivery id and replay.
func (n *node) results(count int) map[string]event.DeliveryRecord {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	found := map[string]event.DeliveryRecord{}
	for after := uint64(0); len(found) < count; {
		entries, err := n.journal.Records(ctx, after, 1000, time.Second)
		if err != nil {
			n.t.Fatalf("%d of %d results: %v", len(found), count, err)
		}
		for _, e := range entries {
			after = e.Seq
			if d := e.Record.Delivery; d != nil && d.Result != nil {
				key := event.ResultID(d.ID, d.Replay)
				if _, twice := found[key]; twice {
					n.t.Errorf("the result of %s was recorded twice", key)
				}
				found[key] = *d
			}
		}
	}
	return found
}

// letters waits for count dead letters.
func (n *node) letters(count int) []journal.Buried {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		found, err := n.journal.DeadLetters(ctx, journal.DeadQuery{Limit: 1000})
		if err != nil {
			n.t.Fatal(err)
		}
		if len(found) >= count {
			tick.Stop()
			return found
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.t.Fatalf("%d dead letters, want %d", len(found), count)
		}
	}
}

// sink is a vendor's server whose answers the test decides.
type sink struct {
	*httptest.Server
	mu      sync.Mutex
	answer  func(r receipt) int
	got     []receipt
	changed chan struct{}
	header  http.Header
}

// receipt is one call that arrived.
type receipt struct {
	n      int // from 1
	path   string
	id     string
	note   string // lane/number
	status int
}

func (r receipt) lane() string { lane, _, _ := strings.Cut(r.note, "/"); return lane }

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{changed: make(chan struct{}, 1), answer: func(receipt) int { return http.StatusOK }, header: http.Header{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) serve(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var body struct {
		Note string `json:"special_requests"`
	}
	_ = json.Unmarshal(raw, &body)
	s.mu.Lock()
	rec := receipt{n: len(s.got) + 1, path: r.URL.Path, id: r.Header.Get("Webhook-Id"), note: body.Note}
	answer := s.answer
	for k, v := range s.header {
		w.Header()[k] = v
	}
	s.mu.Unlock()
	rec.status = answer(rec)
	s.mu.Lock()
	s.got = append(s.got, rec)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	w.WriteHeader(rec.status)
}

func (s *sink) answers(f func(receipt) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func always(status int) func(receipt) int { return func(receipt) int { return status } }

func (s *sink) receipts() []receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]receipt(nil), s.got...)
}

// wait returns the receipts once there are so many that were answered with 200.
func (s *sink) wait(t *testing.T, ok int) []receipt {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		var good []receipt
		for _, r := range s.receipts() {
			if r.status == http.StatusOK {
				good = append(good, r)
			}
		}
		if len(good) >= ok {
			return good
		}
		select {
		case <-s.changed:
		case <-deadline.C:
			t.Fatalf("%d of %d deliveries arrived", len(good), ok)
		}
	}
}

// inOrder checks that each lane's receipts are numbered from zero upwards, without gaps or repeats.
func inOrder(t *testing.T, receipts []receipt) {
	t.Helper()
	next := map[string]int{}
	for _, r := range receipts {
		if want := fmt.Sprintf("%s/%d", r.lane(), next[r.lane()]); r.note != want {
			t.Errorf("%s arrived where %s was due", r.note, want)
			return
		}
		next[r.lane()]++
	}
}
