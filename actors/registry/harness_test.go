package registry_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Secrets of the generic signed webhook, as studiocloud takes them.
const (
	secretA = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secretB = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	secretC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
)

// node is a registry on a log of its own.
type node struct {
	*registry.Registry
	journal *journal.Journal
	store   registry.Store
	sealer  *registry.Sealer
}

func newSealer(tb testing.TB) *registry.Sealer {
	tb.Helper()
	key, err := registry.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := registry.NewSealer(key)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func openJournal(tb testing.TB, dir string) *journal.Journal {
	tb.Helper()
	j, err := journal.Open(tb.Context(), journal.Config{Dir: dir, Shards: 1, Logger: zerolog.Nop()})
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

func storeOf(tb testing.TB, j *journal.Journal) registry.Store {
	tb.Helper()
	config, err := j.KV(tb.Context(), "config")
	if err != nil {
		tb.Fatal(err)
	}
	secrets, err := j.KV(tb.Context(), "secrets")
	if err != nil {
		tb.Fatal(err)
	}
	return registry.Store{Config: config, Secrets: secrets}
}

// start returns a registry on a real log.
func start(t *testing.T) *node {
	t.Helper()
	j := openJournal(t, t.TempDir())
	n := &node{journal: j, store: storeOf(t, j), sealer: newSealer(t)}
	n.Registry = n.open(t, zerolog.New(zerolog.NewTestWriter(t)))
	return n
}

// open returns another registry on the node's log, as another node would have.
func (n *node) open(t *testing.T, log zerolog.Logger) *registry.Registry {
	t.Helper()
	return open(t, n.store, n.sealer, log)
}

func open(tb testing.TB, store registry.Store, sealer *registry.Sealer, log zerolog.Logger) *registry.Registry {
	tb.Helper()
	r, err := registry.Open(tb.Context(), registry.Config{Store: store, Sealer: sealer, Logger: log, Now: clock})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

var now = time.Date(2026, 6, 20, 13, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// studio returns an integration with Studio Cloud that belongs to a supplier.
func studio(id, supplier string) event.Integration {
	in := event.Integration{
		ID: id, Vendor: "studiocloud", Settings: json.RawMessage(`{"url":"https://studio.example.com/hooks"}`),
	}
	if supplier != "" {
		in.Owner = map[string]string{"supplierId": supplier}
	}
	return in
}

func put(tb testing.TB, r *registry.Registry, in event.Integration) event.Integration {
	tb.Helper()
	out, err := r.Put(tb.Context(), in)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func putMapping(tb testing.TB, r *registry.Registry, id, pattern string, types []string, targets ...event.Target) event.Mapping {
	tb.Helper()
	m, err := r.PutMapping(tb.Context(), event.Mapping{ID: id, Pattern: pattern, Types: types, Targets: targets})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func lookup(tb testing.TB, r *registry.Registry, id string) *registry.Entry {
	tb.Helper()
	e, ok := r.Lookup(id)
	if !ok {
		tb.Fatalf("%s is not there", id)
	}
	return e
}

// eventually waits until a change that the registry tells of makes ok true.
func eventually(t *testing.T, r *registry.Registry, what string, ok func() bool) {
	t.Helper()
	changed := make(chan struct{}, 1)
	stop := r.Subscribe(func(string) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// memory is a Bucket in memory, with faults.
type memory struct {
	mu       sync.Mutex
	revision uint64
	values   map[string]journal.Value
	watches  map[*watch]struct{}
	silent   bool          // changes are not told of
	broken   error         // what Watch returns at once
	started  chan struct{} // receives when a watch begins, if not nil
}

type watch struct {
	changes chan journal.Change
	fail    chan error
}

var _ registry.Bucket = (*memory)(nil)

func newMemory() *memory {
	return &memory{values: map[string]journal.Value{}, watches: map[*watch]struct{}{}}
}

func (m *memory) Put(_ context.Context, key string, data []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.set(key, data), nil
}

func (m *memory) Create(ctx context.Context, key string, data []byte) (uint64, error) {
	return m.Update(ctx, key, data, 0)
}

func (m *memory) Update(_ context.Context, key string, data []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[key].Revision != revision {
		return 0, journal.ErrConflict
	}
	return m.set(key, data), nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	m.revision++
	m.tell(journal.Change{Value: journal.Value{Key: key, Revision: m.revision}, Deleted: true})
	return nil
}

func (m *memory) set(key string, data []byte) uint64 {
	m.revision++
	m.values[key] = journal.Value{Key: key, Data: data, Revision: m.revision}
	m.tell(journal.Change{Value: m.values[key]})
	return m.revision
}

func (m *memory) tell(c journal.Change) {
	if m.silent {
		return
	}
	for w := range m.watches {
		w.changes <- c
	}
}

// hush stops telling of changes, or begins again; what went by meanwhile stays untold.
func (m *memory) hush(silent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = silent
}

// interrupt ends all watches with an error.
func (m *memory) interrupt(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watches {
		w.fail <- err
		delete(m.watches, w)
	}
}

func (m *memory) Watch(ctx context.Context, change func(journal.Change), ready func()) error {
	w := &watch{changes: make(chan journal.Change, 1024), fail: make(chan error, 1)}
	m.mu.Lock()
	if m.broken != nil {
		defer m.mu.Unlock()
		return m.broken
	}
	var initial []journal.Value
	for _, v := range m.values {
		initial = append(initial, v)
	}
	m.watches[w] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watches, w)
	}()
	for _, v := range initial {
		change(journal.Change{Value: v})
	}
	ready()
	if m.started != nil {
		m.started <- struct{}{}
	}
	for {
		select {
		case c := <-w.changes:
			change(c)
		case err := <-w.fail:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inMemory returns a registry on buckets in memory.
func inMemory(t *testing.T) (r *registry.Registry, config, secrets *memory) {
	t.Helper()
	config, secrets = newMemory(), newMemory()
	r = open(t, registry.Store{Config: config, Secrets: secrets}, newSealer(t), zerolog.New(zerolog.NewTestWriter(t)))
	return r, config, secrets
}
