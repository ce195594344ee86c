package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
)

func TestOpenNeedsItsConfig(t *testing.T) {
	t.Parallel()
	good := registry.Config{Store: registry.Store{Config: newMemory(), Secrets: newMemory()}, Sealer: newSealer(t)}
	for want, change := range map[string]func(*registry.Config){
		"Store.Config":  func(c *registry.Config) { c.Store.Config = nil },
		"Store.Secrets": func(c *registry.Config) { c.Store.Secrets = nil },
		"Sealer":        func(c *registry.Config) { c.Sealer = nil },
	} {
		c := good
		change(&c)
		if _, err := registry.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
	r, err := registry.Open(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	broken := newMemory()
	broken.broken = errors.New("no such bucket")
	config := registry.Config{Store: registry.Store{Config: newMemory(), Secrets: broken}, Sealer: newSealer(t)}
	if _, err := registry.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), "load bucket secrets: no such bucket") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	config.Store.Secrets = stuck{newMemory()}
	if _, err := registry.Open(ctx, config); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// stuck never delivers its initial values.
type stuck struct{ registry.Bucket }

func (stuck) Watch(ctx context.Context, _ func(journal.Change), _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestOpenOutlivesItsContext: the context bounds loading, not the registry's life.
func TestOpenOutlivesItsContext(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := registry.Open(ctx, registry.Config{Store: n.store, Sealer: n.sealer})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	put(t, r, studio("s", "1"))
}

func TestRestartKeepsAll(t *testing.T) {
	t.Parallel()
	dir, sealer := t.TempDir(), newSealer(t)
	j := openJournal(t, dir)
	r := open(t, storeOf(t, j), sealer, zerolog.Nop())
	for i := range 50 {
		put(t, r, studio(fmt.Sprintf("s-%d", i), fmt.Sprint(i%5)))
	}
	setSecrets(t, r, "s-7", values{"signing": event.SecretOf(secretA), "webhook": event.SecretOf(secretA)})
	setSecrets(t, r, "s-7", values{"webhook": event.SecretOf(secretB)})
	if err := r.Pause(t.Context(), "s-8", event.Pause{Reason: "r", By: "admin:a"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(t.Context(), "s-9"); err != nil {
		t.Fatal(err)
	}
	putMapping(t, r, "m", "supplier:{supplierId}", nil, event.Target{Category: event.PhotographyCRM})
	putMapping(t, r, "gone", "supplier:{supplierId}", nil, event.Target{Category: event.PhotographyCRM})
	if err := r.DeleteMapping(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	ev := &event.Event{Channel: "supplier:3", Type: "x"}
	before, integrations := show(r.Resolve(ev)), r.Integrations()
	r.Close()
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	j = openJournal(t, dir)
	r = open(t, storeOf(t, j), sealer, zerolog.Nop())
	if got := show(r.Resolve(ev)); got != before || strings.Count(got, "/m/") != 10 {
		t.Errorf("before: %s\nafter: %s", before, got)
	}
	if got := r.Integrations(); !reflect.DeepEqual(got, integrations) || len(got) != 49 {
		t.Errorf("%d integrations before, %d after, and not the same", len(integrations), len(got))
	}
	if !verifies(t, r, "s-7", secretA) || !verifies(t, r, "s-7", secretB) || verifies(t, r, "s-7", secretC) {
		t.Error("secrets are not as they were")
	}
	if lookup(t, r, "s-8").Integration.Paused == nil {
		t.Error("the pause is gone")
	}
}

func TestNodesSeeEachOthersWrites(t *testing.T) {
	t.Parallel()
	n := start(t)
	other := n.open(t, zerolog.Nop())
	put(t, n.Registry, studio("s", "1"))
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA)})
	eventually(t, other, "the other node can connect", func() bool {
		e, ok := other.Lookup("s")
		if !ok {
			return false
		}
		_, err := e.Connection()
		return err == nil
	})
	if err := other.Delete(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	eventually(t, n.Registry, "it is gone here", func() bool { _, ok := n.Lookup("s"); return !ok })
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	n := start(t)
	var mu sync.Mutex
	var told []string
	stop := n.Subscribe(func(id string) {
		e, ok := n.Lookup(id) // it may be asked for what changed
		mu.Lock()
		defer mu.Unlock()
		if ok {
			id = fmt.Sprintf("%s %d", id, e.Integration.Limits.Burst)
		}
		told = append(told, id)
	})
	stopOther := n.Subscribe(func(string) {})
	in := studio("s", "1")
	put(t, n.Registry, in)
	in.Limits.Burst = 1
	put(t, n.Registry, in)
	putMapping(t, n.Registry, "m", "a", nil, event.Target{Integration: "s"})
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA)})
	if err := n.Delete(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	stopOther()
	want := []string{"s 0", "s 1", "s 1", "s 1", "s"} // put, put, secrets set, secrets deleted, deleted
	eventually(t, n.Registry, "all calls came", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(told, want)
	})
	stop()
	stop()
	put(t, n.Registry, in)
	put(t, n.Registry, in) // when the second can be seen, the first has been told of
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(told, want) {
		t.Errorf("after stop: %v", told)
	}
}

// TestDamagedRecords plants what cannot be read among good records.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("good", "1"))
	config, secrets := n.store.Config, n.store.Secrets
	integration := func(id, rest string) string {
		return `{"v":1,"id":"` + id + `","vendor":"studiocloud","category":"photography-crm","settings":{}` + rest + `}`
	}
	for key, data := range map[string]string{
		"integration.truncated": `{"v":1,"id":"trunc`,
		"integration.newer":     `{"v":2,"id":"newer","vendor":["other","shape"]}`,
		"integration.v0":        `{"id":"v0","vendor":"slack"}`,
		"integration.moved":     integration("good", ""),
		"integration.shape":     integration("shape", `,"owner":["42"]`),
		"integration.owner":     integration("owner", `,"owner":{"a;b":"1"}`),
		"integration.category":  `{"v":1,"id":"category","vendor":"slack","category":"a;b=c"}`,
		"integration.limits":    integration("limits", `,"limits":{"timeout":"soon"}`),
		"mapping.truncated":     `{`,
		"mapping.moved":         `{"v":1,"id":"x","pattern":"a","targets":[{"integration":"good"}]}`,
		"mapping.pattern":       `{"v":1,"id":"pattern","pattern":"a b","targets":[{"integration":"good"}]}`,
		"mapping.newer":         `{"v":7}`,
		"somebody.elses":        `\xff`,
		"integration.fine":      integration("fine", `,"owner":{"supplierId":"1"},"later":"added by a newer release"`),
		"integration.nobody":    strings.ReplaceAll(integration("nobody", ""), "studiocloud", "nobody"),
	} {
		if _, err := config.Put(t.Context(), key, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	for key, data := range map[string][]byte{
		"integration.good": {9, 9, 9}, "integration.empty": {}, "integration.zero": {0, 1}, "else.where": {0},
	} {
		if _, err := secrets.Put(t.Context(), key, data); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Fields("config/integration.category config/integration.limits config/integration.moved config/integration.newer " +
		"config/integration.owner config/integration.shape config/integration.truncated config/integration.v0 config/mapping.moved " +
		"config/mapping.newer config/mapping.pattern config/mapping.truncated " +
		"secrets/integration.empty secrets/integration.good secrets/integration.zero")
	var log bytes.Buffer
	r := n.open(t, zerolog.New(&log)) // it loads them all before it opens
	var got []string
	for _, p := range r.Problems() {
		got = append(got, p.Bucket+"/"+p.Key)
		if p.Reason == "" || p.Revision == 0 {
			t.Errorf("%+v says too little", p)
		}
		line := fmt.Sprintf(`"level":"error","bucket":%q,"key":%q`, p.Bucket, p.Key)
		if !strings.Contains(log.String(), line) {
			t.Errorf("%s is not logged", p.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems:\n got %v\nwant %v", got, want)
	}
	if log.Len() == 0 || strings.Count(log.String(), "\n") != len(want) {
		t.Errorf("logged: %s", log.String())
	}
	var ids []string
	for _, in := range r.Integrations() {
		ids = append(ids, in.ID)
	}
	if !slices.Equal(ids, []string{"fine", "good", "nobody"}) || len(r.Mappings()) != 0 {
		t.Errorf("in force: %v %v", ids, r.Mappings())
	}
	if _, err := lookup(t, r, "nobody").Connection(); err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("an unknown vendor: %v", err)
	}

	// They can be replaced, and deleted.
	put(t, r, studio("truncated", "1"))
	if err := r.Delete(t.Context(), "v0"); err != nil {
		t.Error(err)
	}
	if err := r.DeleteMapping(t.Context(), "truncated"); err != nil {
		t.Error(err)
	}
	if err := r.Delete(t.Context(), "good"); err != nil {
		t.Error(err)
	}
	if got := len(r.Problems()); got != len(want)-4 {
		t.Errorf("%d problems are left: %+v", got, r.Problems())
	}
}

// TestDamagedLater: what was good stays in force when something unreadable takes its place, and is
// not written over by a pause.
func TestDamagedLater(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA)})
	newer := []byte(`{"v":2}`)
	if _, err := n.store.Config.Put(t.Context(), "integration.s", newer); err != nil {
		t.Fatal(err)
	}
	if _, err := n.store.Secrets.Put(t.Context(), "integration.s", []byte{2}); err != nil {
		t.Fatal(err)
	}
	put(t, n.Registry, studio("barrier", "")) // when this can be seen, the one before it has come by
	setSecrets(t, n.Registry, "barrier", values{"signing": event.SecretOf(secretA)})
	if len(n.Problems()) != 2 {
		t.Fatalf("problems: %+v", n.Problems())
	}
	if _, err := lookup(t, n.Registry, "s").Connection(); err != nil {
		t.Errorf("what was in force is not any more: %v", err)
	}
	for _, err := range []error{
		n.Pause(t.Context(), "s", event.Pause{Reason: "r", By: "admin:a"}),
		n.SetSecrets(t.Context(), "s", values{"signing": event.SecretOf(secretB)}),
	} {
		if !errors.Is(err, registry.ErrConflict) || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("got %v, want ErrConflict that tells of a newer release", err)
		}
	}
	v, err := n.journal.KV(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Get(t.Context(), "integration.s"); err != nil || !bytes.Equal(got.Data, newer) {
		t.Errorf("stored is %s, %v", got.Data, err)
	}
}

// TestWatchStartsAnew breaks the watches, changes everything meanwhile, and lets them start again.
func TestWatchStartsAnew(t *testing.T) {
	t.Parallel()
	r, config, secrets := inMemory(t)
	put(t, r, studio("stays", "1"))
	put(t, r, studio("goes", "1"))
	put(t, r, studio("changes", "1"))
	setSecrets(t, r, "stays", values{"signing": event.SecretOf(secretA)})
	putMapping(t, r, "m-goes", "a", nil, event.Target{Integration: "stays"})
	if _, err := config.Put(t.Context(), "integration.bad-goes", []byte(`{`)); err != nil {
		t.Fatal(err)
	}
	stays := lookup(t, r, "stays")
	stored := config.values["integration.stays"]

	var mu sync.Mutex
	told := map[string]int{}
	stop := r.Subscribe(func(id string) { mu.Lock(); told[id]++; mu.Unlock() })
	defer stop()
	config.started, secrets.started = make(chan struct{}), make(chan struct{})
	config.hush(true)
	config.interrupt(errors.New("connection lost"))
	for _, key := range []string{"integration.goes", "mapping.m-goes", "integration.bad-goes"} {
		if err := config.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	changed := strings.ReplaceAll(strings.ReplaceAll(string(stored.Data), "stays", "changes"), `"1"`, `"2"`)
	if _, err := config.Put(t.Context(), "integration.changes", []byte(changed)); err != nil {
		t.Fatal(err)
	}
	config.hush(false)
	<-config.started

	if _, ok := r.Lookup("goes"); ok || len(r.Mappings()) != 0 || len(r.Problems()) != 0 {
		t.Errorf("what was deleted meanwhile is still there: %v %v %v", ok, r.Mappings(), r.Problems())
	}
	if got := lookup(t, r, "changes").Integration.Owner["supplierId"]; got != "2" {
		t.Errorf("what was changed meanwhile is %q", got)
	}
	if lookup(t, r, "stays") != stays {
		t.Error("what did not change has a new entry")
	}
	secrets.interrupt(errors.New("connection lost"))
	<-secrets.started
	if lookup(t, r, "stays") != stays {
		t.Error("secrets that did not change made a new entry")
	}
	put(t, r, studio("goes", "1")) // and it follows again
	mu.Lock()
	defer mu.Unlock()
	if told["stays"] != 0 || told["changes"] != 1 || told["goes"] < 1 {
		t.Errorf("told of %v", told)
	}
}

// TestLogGoesFirst closes the log under the registry: reads go on, writes say why they fail, and
// closing does not hang.
func TestLogGoesFirst(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	if err := n.journal.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, errPut := n.Put(t.Context(), studio("s", "2"))
	for i, err := range []error{
		errPut, n.Delete(t.Context(), "s"), n.Pause(t.Context(), "s", event.Pause{Reason: "r", By: "admin:a"}),
		n.SetSecrets(t.Context(), "s", values{"signing": event.SecretOf(secretA)}),
	} {
		if !errors.Is(err, journal.ErrClosed) || errors.Is(err, registry.ErrConflict) {
			t.Errorf("write %d: %v, want journal.ErrClosed", i, err)
		}
	}
	if got := lookup(t, n.Registry, "s").Integration.Owner["supplierId"]; got != "1" {
		t.Errorf("a write that failed can be seen: %s", got)
	}
	n.Close()
}
