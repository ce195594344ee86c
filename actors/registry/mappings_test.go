package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

func TestMappings(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", ""))
	ev := &event.Event{Channel: "a:b", Type: "x"}
	to := event.Target{Integration: "s"}
	m := putMapping(t, n.Registry, "m2", "a:*", []string{"x"}, to)
	putMapping(t, n.Registry, "m1", "c", nil, event.Target{Category: event.EmailService})
	if m.V != event.Version || m.Revision == 0 {
		t.Errorf("stored as %+v", m)
	}
	all := n.Mappings()
	if len(all) != 2 || all[0].ID != "m1" || all[1].ID != "m2" || all[1].Revision != m.Revision {
		t.Fatalf("got %+v", all)
	}
	all[1].Types[0], all[1].Targets[0].Integration = "changed", "changed"
	if got := n.Resolve(ev); len(got) != 1 || got[0].Mapping != "m2" {
		t.Errorf("what the caller changed came into the registry: %v", got)
	}
	// Changed by compare-and-swap: it leaves its old place in the index.
	m.Pattern = "a:c"
	m = replaceMapping(t, n.Registry, m)
	if got := n.Resolve(ev); len(got) != 0 {
		t.Errorf("the old pattern still matches: %v", got)
	}
	if got := n.Resolve(&event.Event{Channel: "a:c", Type: "x"}); len(got) != 1 {
		t.Errorf("the new pattern does not match: %v", got)
	}
	m.Revision--
	if _, err := n.PutMapping(t.Context(), m); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("an old revision: %v, want ErrConflict", err)
	}
	if err := n.DeleteMapping(t.Context(), "m2"); err != nil {
		t.Fatal(err)
	}
	if got := n.Resolve(&event.Event{Channel: "a:c", Type: "x"}); len(got) != 0 || len(n.Mappings()) != 1 {
		t.Errorf("deleted, it still matches: %v", got)
	}
	if err := n.DeleteMapping(t.Context(), "m2"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("deleted again: %v, want ErrNotFound", err)
	}
	_, err := n.PutMapping(t.Context(), event.Mapping{ID: "m3", Pattern: "a:**:b", Targets: []event.Target{to}})
	var invalid *registry.InvalidError
	if !errors.As(err, &invalid) || invalid.What != "mapping" || invalid.ID != "m3" ||
		!errors.As(err, new(*event.ChannelError)) || strings.Count(err.Error(), "m3") != 1 {
		t.Errorf("a wrong pattern: %v", err)
	}
}

func replaceMapping(t *testing.T, r *registry.Registry, m event.Mapping) event.Mapping {
	t.Helper()
	m, err := r.PutMapping(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
