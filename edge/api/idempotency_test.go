package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const mapping1 = `{"pattern":"a:b","targets":[{"category":"venue-management"}]}`

func TestARepeatedWriteIsDoneOnce(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	once := []string{"Idempotency-Key", "5f0c-1"}
	first := n.do(t, "POST", "/api/mappings", mapping1, once...)
	again := n.do(t, "POST", "/api/mappings", mapping1, once...)
	if first.status != 201 || again.status != 201 || first.body != again.body || first.header.Get("ETag") != again.header.Get("ETag") ||
		first.header.Get("Content-Type") != again.header.Get("Content-Type") ||
		first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") != "true" || len(n.registry.Mappings()) != 1 {
		t.Errorf("first %d %s %v\nagain %d %s %v", first.status, first.body, first.header, again.status, again.body, again.header)
	}
	if audits := n.audited(); len(audits) != 1 {
		t.Errorf("audited %+v", audits)
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/api/mappings", mapping1 + " "},
		{"POST", "/api/integrations", mapping1},
		{"PUT", "/api/mappings/x", mapping1},
	} {
		if a := n.do(t, c.method, c.path, c.body, once...); a.status != 422 || a.code(t) != problem.IdempotencyReused {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	// A refusal is an answer too, and each key has its own.
	refused := n.do(t, "POST", "/api/mappings", `{}`, "Idempotency-Key", "2")
	if a := n.do(t, "POST", "/api/mappings", `{}`, "Idempotency-Key", "2"); a.status != 422 || a.body != refused.body || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a refusal again: %d %s", a.status, a.body)
	}
	other, _ := n.key(t, access.Key{Name: "other", Scopes: []access.Scope{access.MappingsWrite}})
	if a := n.do(t, "POST", "/api/mappings", mapping1, append(as(other), once...)...); a.status != 201 || a.body == first.body {
		t.Errorf("somebody else's: %d %s", a.status, a.body)
	}
	for i := range 2 { // events too
		if a := n.do(t, "POST", publishPath, `{"type":"a","payload":{}}`, "Idempotency-Key", "3"); a.status != 202 || !strings.Contains(a.body, `"seq":1`) {
			t.Errorf("publish %d: %d %s", i, a.status, a.body)
		}
	}
	if got := n.appended(t); got != 1 {
		t.Errorf("%d events", got)
	}
	if a := n.do(t, "DELETE", "/api/mappings/"+into[event.Mapping](t, first).ID, "", "Idempotency-Key", "4"); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := n.do(t, "DELETE", "/api/mappings/"+into[event.Mapping](t, first).ID, "", "Idempotency-Key", "4"); a.status != 204 || a.body != "" {
		t.Errorf("delete again: %d %s", a.status, a.body)
	}
	for _, key := range []string{"", strings.Repeat("x", 256), "é"} {
		if a := n.do(t, "POST", "/api/mappings", mapping1, "Idempotency-Key", key); a.status != 422 || a.code(t) != problem.FieldInvalid {
			t.Errorf("key %.10q: %d %s", key, a.status, a.body)
		}
	}
	if a := n.do(t, "POST", "/api/mappings", strings.Repeat(" ", 2<<20), "Idempotency-Key", "5"); a.code(t) != problem.BodyTooLarge {
		t.Errorf("a large body: %d %s", a.status, a.body)
	}
	n.later.Store(int64(25 * time.Hour))
	if a := n.do(t, "POST", "/api/mappings", mapping1, once...); a.status != 201 || a.body == first.body {
		t.Errorf("a day later: %d %s", a.status, a.body)
	}
}

func TestASecretAnswerIsNotKept(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	const spec = `{"name":"a","scopes":["audit:read"]}`
	made := n.do(t, "POST", "/api/keys", spec, "Idempotency-Key", "1")
	again := n.do(t, "POST", "/api/keys", spec, "Idempotency-Key", "1")
	if made.status != 201 || again.status != 409 || again.code(t) != problem.AnswerNotKept || !strings.Contains(again.body, "201") {
		t.Errorf("made %d %s, again %d %s", made.status, made.body, again.status, again.body)
	}
	if got := n.keys.Keys(access.Everybody("x")); len(got) != 1 {
		t.Errorf("%d keys", len(got))
	}
	bad := `{"name":"a b","scopes":["audit:read"]}`
	n.do(t, "POST", "/api/keys", bad, "Idempotency-Key", "2")
	if a := n.do(t, "POST", "/api/keys", bad, "Idempotency-Key", "2"); a.code(t) != problem.KeySpecInvalid {
		t.Errorf("a refusal again: %d %s", a.status, a.body)
	}
	// What stands in the log of a request with a secret does not lead to it.
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	n.do(t, "PUT", "/api/integrations/crm/secrets", `{"signing":"`+secretA+`"}`, "Idempotency-Key", "3")
	err := n.answers.Watch(t.Context(), func(c journal.Change) {
		if s := string(c.Data); strings.Contains(s, "wsk_") || strings.Contains(s, secretA) {
			t.Errorf("the log has %s", s)
		}
	}, n.closeJournal(t))
	if !errors.Is(err, journal.ErrClosed) {
		t.Error(err)
	}
}

// closeJournal ends what watches the log, once it has seen all.
func (n *node) closeJournal(t *testing.T) func() {
	t.Helper()
	return func() { go func() { _ = n.journal.Close(context.Background()) }() }
}

// store is api.Mappings under another name, as that is a method's too.
type store = api.Mappings

// gate holds writes of mappings until it is opened.
type gate struct {
	store
	entered, open chan struct{}
	fail          func() error
	mu            sync.Mutex
	stored        int
}

func (g *gate) PutMapping(ctx context.Context, m event.Mapping) (event.Mapping, error) {
	g.entered <- struct{}{}
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.fail(); err != nil {
		return m, err
	}
	g.stored++
	return g.store.PutMapping(ctx, m)
}

func TestConcurrentAndFailedWrites(t *testing.T) {
	t.Parallel()
	g := &gate{entered: make(chan struct{}, 10), open: make(chan struct{}), fail: func() error { return nil }}
	n := start(t, func(c *api.Config) { g.store, c.Mappings = c.Mappings, g })
	ask := func(key string) answer { return n.do(t, "PUT", "/api/mappings/m", mapping1, "Idempotency-Key", key) }
	first := make(chan answer, 1)
	go func() { first <- ask("1") }()
	<-g.entered
	if a := ask("1"); a.status != 409 || a.code(t) != problem.IdempotencyBusy || a.header.Get("Retry-After") != "1" {
		t.Errorf("at the same time: %d %s", a.status, a.body)
	}
	// Whoever began it is taken for gone after a minute.
	n.later.Store(int64(2 * time.Minute))
	second := make(chan answer, 1)
	go func() { second <- ask("1") }()
	<-g.entered
	close(g.open)
	if a, b := <-first, <-second; a.status != 200 || b.status != 200 || g.stored != 2 {
		t.Errorf("%d, %d, stored %d times", a.status, b.status, g.stored)
	}
	if a := ask("1"); a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}

	g.fail = func() error { return fmt.Errorf("x: %w", journal.ErrFull) }
	if a := ask("2"); a.status != 503 {
		t.Errorf("failing: %d %s", a.status, a.body)
	}
	g.fail = func() error { panic("broken") }
	if a := ask("2"); a.status != 500 {
		t.Errorf("panicking: %d %s", a.status, a.body)
	}
	g.fail = func() error { return nil }
	if a := ask("2"); a.status != 200 || a.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("what failed is not done again: %d %s", a.status, a.body)
	}
}

// damaged is a bucket that holds what nobody can read, or cannot be read.
type damaged struct {
	api.Answers
	err error
}

func (damaged) Create(context.Context, string, []byte) (uint64, error) {
	return 0, journal.ErrConflict
}

func (d damaged) Get(context.Context, string) (journal.Value, error) {
	return journal.Value{Data: []byte("{")}, d.err
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for code, err := range map[string]error{problem.Internal: nil, problem.LogUnavailable: journal.ErrUnavailable} {
		n := start(t, func(c *api.Config) { c.Answers = damaged{c.Answers, err} })
		if a := n.do(t, "PUT", "/api/mappings/m", mapping1, "Idempotency-Key", "1"); a.code(t) != code {
			t.Errorf("%d %s, want %s", a.status, a.body, code)
		}
		if len(n.registry.Mappings()) != 0 {
			t.Error("it was done without knowing whether it had been")
		}
	}
}

// repeating writes twice what is created, as one does whose first answer was lost.
type repeating struct{ api.Answers }

func (r repeating) Create(ctx context.Context, key string, data []byte) (uint64, error) {
	if _, err := r.Answers.Create(ctx, key, data); err != nil {
		return 0, err
	}
	return r.Answers.Create(ctx, key, data)
}

// A write that meets its own mark, since the log's answer to that was lost, is done, once.
func TestOwnMarkIsNoOther(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *api.Config) { c.Answers = repeating{c.Answers} })
	for i, replayed := range []string{"", "true"} {
		a := n.do(t, "POST", publishPath, `{"type":"a","payload":{}}`, "Idempotency-Key", "1")
		if a.status != 202 || a.header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("%d: %d %s, replayed %q", i, a.status, a.body, a.header.Get("Idempotent-Replayed"))
		}
	}
	if got := n.appended(t); got != 1 {
		t.Errorf("%d events", got)
	}
}
