package registry_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

func TestFirstMappingWhoseConditionHoldsChooses(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("s", ""))
	put(t, r, studio("other", ""))
	replaceMapping(t, r, mapped("m1", `payload.n > 100`, map[string]string{"by": `"m1"`}))
	m2 := mapped("m2", `payload.n > 10`, map[string]string{"by": `"m2"`})
	m2.Targets = append(m2.Targets, event.Target{Integration: "other"})
	replaceMapping(t, r, m2)
	for payload, want := range map[string]string{
		`{"n":200}`: `other/m2/{"by":"m2","n":200} s/m1/{"by":"m1","n":200}`,
		`{"n":50}`:  `other/m2/{"by":"m2","n":50} s/m2/{"by":"m2","n":50}`,
		`{"n":1}`:   "passed other/m2 s/m1",
		`{"n":"x"}`: "other/m2/failed s/m1/failed",
	} {
		ev := eventOf(payload)
		chosen, passed := r.Explain(ev)
		if got := told(ev, chosen, passed); got != want {
			t.Errorf("%s: %s, want %s", payload, got, want)
		}
	}
	// One without expressions ends the search, and sees the event as it is.
	replaceMapping(t, r, mapped("m11", "", nil))
	ev := eventOf(`{"n":50}`)
	chosen, passed := r.Explain(ev)
	if got := told(ev, chosen, passed); got != `other/m2/{"by":"m2","n":50} s/m11/{"n":50}` {
		t.Errorf("got %s", got)
	}
}

// told writes what became of an event, and what each integration gets.
func told(ev *event.Event, chosen, passed []registry.Match) string {
	var parts []string
	for _, m := range chosen {
		out, err := m.Event(ev)
		part := m.Entry.Integration.ID + "/" + m.Mapping + "/failed"
		if err == nil {
			part = m.Entry.Integration.ID + "/" + m.Mapping + "/" + string(out.Payload)
		}
		parts = append(parts, part)
	}
	for i, m := range passed {
		part := m.Entry.Integration.ID + "/" + m.Mapping
		if i == 0 {
			part = "passed " + part
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

// TestTrial: a mapping on trial stands in the place of the stored one, and changes nothing.
func TestTrial(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("s", ""))
	put(t, r, studio("z", ""))
	replaceMapping(t, r, mapped("m", `payload.n > 100`, nil))
	keep := mapped("keep", "", nil)
	keep.Targets = []event.Target{{Integration: "z"}}
	replaceMapping(t, r, keep)
	ev := eventOf(`{"n":50}`)
	trial, err := r.Try(mapped("m", `payload.n > 10`, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := show(trial.Resolve(ev)); got != "s/m/map[supplierId:42] z/keep/map[supplierId:42]" {
		t.Errorf("on trial: %s", got)
	}
	if got := show(r.Resolve(ev)); got != "z/keep/map[supplierId:42]" {
		t.Errorf("stored: %s", got)
	}
	elsewhere := mapped("m", "", nil)
	elsewhere.Pattern = "else:*"
	if trial, err = r.Try(elsewhere); err != nil {
		t.Fatal(err)
	}
	if got := show(trial.Resolve(eventOf(`{"n":500}`))); got != "z/keep/map[supplierId:42]" {
		t.Errorf("with another pattern: %s", got)
	}
	if got := show(trial.Resolve(&event.Event{Channel: "else:x", Type: "a"})); got != "s/m/map[]" {
		t.Errorf("with another pattern: %s", got)
	}
	if _, err := r.Try(mapped("m", `payload.n >`, nil)); !errors.As(err, new(*registry.ExpressionError)) {
		t.Errorf("a wrong one: %v", err)
	}
}

// TestStoredExpressionThatDoesNotCompile: of a newer release, say. It is a problem, not in force.
func TestStoredExpressionThatDoesNotCompile(t *testing.T) {
	t.Parallel()
	config := newMemory()
	m := mapped("m", `newer(payload)`, nil)
	m.V = 1
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	config.set("mapping.m", data)
	r := open(t, registry.Store{Config: config, Secrets: newMemory()}, newSealer(t), zerolog.Nop())
	problems := r.Problems()
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, "unknown name newer") || len(r.Mappings()) != 0 {
		t.Errorf("problems %+v, mappings %+v", problems, r.Mappings())
	}
}

// TestExpressionsAreKept: as they were written, through the store, and apart from the caller's.
func TestExpressionsAreKept(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", ""))
	m := mapped("m", "payload.n > 100", map[string]string{"a": "1"})
	replaceMapping(t, n.Registry, m)
	m.Fields["a"] = "2"
	again := n.open(t, zerolog.Nop())
	for _, r := range []*registry.Registry{n.Registry, again} {
		all := r.Mappings()
		if len(all) != 1 || all[0].When != "payload.n > 100" || all[0].Fields["a"] != "1" {
			t.Fatalf("kept %+v", all)
		}
		all[0].Fields["a"] = "3"
		if r.Mappings()[0].Fields["a"] != "1" {
			t.Error("what the caller changed came into the registry")
		}
	}
}
