package registry_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// show writes matches as "id/mapping/vars", so that they can be compared.
func show(matches []registry.Match) string {
	var b strings.Builder
	for _, m := range matches {
		fmt.Fprintf(&b, "%s/%s/%v ", m.Entry.Integration.ID, m.Mapping, m.Vars)
	}
	return strings.TrimSpace(b.String())
}

func TestResolve(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("studio-42", "42"))
	put(t, r, studio("studio-43", "43"))
	put(t, r, studio("studio-all", ""))
	both := studio("studio-42-7", "42")
	both.Owner["coupleId"] = "7"
	put(t, r, both)
	off := event.Integration{ID: "slack-42", Vendor: "slack", Owner: map[string]string{"supplierId": "42"}, Disabled: true}
	put(t, r, off)
	crm, slack := event.Target{Category: event.PhotographyCRM}, event.Target{Category: event.SlackNotifications}
	putMapping(t, r, "m1", "supplier:dashboard:{supplierId}", []string{"timeline.updated"}, crm, slack)
	putMapping(t, r, "m2", "supplier:dashboard:{supplierId}", nil, event.Target{Integration: "studio-43"}, event.Target{Integration: "gone"})
	putMapping(t, r, "m3", "supplier:**", []string{"alert"}, crm, crm)
	putMapping(t, r, "m4", "{supplierId}:{coupleId}", nil, crm)
	putMapping(t, r, "m5", "*:{coupleId}:*", nil, crm)
	putMapping(t, r, "m0", "dup:*", nil, event.Target{Integration: "studio-42"}, crm)
	for _, c := range []struct{ channel, eventType, want string }{
		{
			"supplier:dashboard:42", "timeline.updated", "slack-42/m1/map[supplierId:42] studio-42/m1/map[supplierId:42] " +
				"studio-43/m2/map[supplierId:42] studio-all/m1/map[supplierId:42]",
		},
		{"supplier:dashboard:44", "timeline.updated", "studio-43/m2/map[supplierId:44] studio-all/m1/map[supplierId:44]"},
		{"supplier:dashboard:42", "other", "studio-43/m2/map[supplierId:42] studio-all/m5/map[coupleId:dashboard]"},
		{"supplier:dashboard:43", "alert", "studio-43/m2/map[supplierId:43] studio-all/m3/map[]"},
		{"42:7", "x", "studio-42/m4/map[coupleId:7 supplierId:42] studio-42-7/m4/map[coupleId:7 supplierId:42] studio-all/m4/map[coupleId:7 supplierId:42]"},
		{"42:8", "x", "studio-42/m4/map[coupleId:8 supplierId:42] studio-all/m4/map[coupleId:8 supplierId:42]"},
		{"dup:x", "x", "studio-42/m0/map[] studio-all/m0/map[]"},
		{"nobody", "x", ""},
		{"supplier", "alert", ""},
		{"", "", ""},
		{"1:2:3:4:5:6:7:8:9:10", "alert", ""},
	} {
		if got := show(r.Resolve(&event.Event{Channel: c.channel, Type: c.eventType})); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.channel, c.eventType, got, c.want)
		}
	}
	matches := r.Resolve(&event.Event{Channel: "supplier:dashboard:42", Type: "timeline.updated"})
	if !matches[0].Entry.Integration.Disabled {
		t.Error("a disabled integration is not flagged")
	}
	if matches[1].Entry != lookup(t, r, "studio-42") {
		t.Error("Resolve and Lookup give different entries")
	}
}

// naive is Resolve without an index.
func naive(integrations map[string]event.Integration, mappings map[string]event.Mapping, ev *event.Event) string {
	found := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(mappings)) {
		m := mappings[id]
		p, err := event.ParsePattern(m.Pattern)
		if err != nil {
			panic(err)
		}
		vars, ok := p.Match(ev.Channel)
		if !ok || len(m.Types) > 0 && !slices.Contains(m.Types, ev.Type) {
			continue
		}
		for _, in := range integrations {
			for _, target := range m.Targets {
				owned := true
				for k, v := range in.Owner {
					owned = owned && vars[k] == v
				}
				if target.Integration == in.ID || target.Category == in.Category && owned {
					if _, before := found[in.ID]; !before {
						found[in.ID] = fmt.Sprintf("%s/%s/%v", in.ID, m.ID, vars)
					}
				}
			}
		}
	}
	var list []string
	for _, id := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[id])
	}
	return strings.Join(list, " ")
}

// TestResolveAgreesWithNaive changes integrations and mappings at random and compares, all along,
// with a resolver that has no index.
func TestResolveAgreesWithNaive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			store := registry.Store{Config: newMemory(), Secrets: newMemory()}
			r := open(t, store, newSealer(t), zerolog.Nop())
			w := &world{
				rand: rand.New(rand.NewPCG(seed, 7)), r: r,
				integrations: map[string]event.Integration{}, mappings: map[string]event.Mapping{},
			}
			matched := 0
			for range 600 {
				w.change(t)
				for range 5 {
					ev := &event.Event{Channel: w.path("a", "b", "1", "2"), Type: w.pick("x", "y", "z")}
					got := show(r.Resolve(ev))
					if want := naive(w.integrations, w.mappings, ev); got != want {
						t.Fatalf("%s %s:\n got %s\nwant %s", ev.Channel, ev.Type, got, want)
					}
					if got != "" {
						matched++
					}
				}
			}
			if matched < 300 {
				t.Errorf("only %d of 3000 events matched anything", matched)
			}
			// A registry that loads it all at once knows the same.
			again := open(t, store, newSealer(t), zerolog.Nop())
			if !reflect.DeepEqual(again.Integrations(), r.Integrations()) || !reflect.DeepEqual(again.Mappings(), r.Mappings()) {
				t.Error("loaded anew it is not the same")
			}
		})
	}
}

type world struct {
	rand         *rand.Rand
	r            *registry.Registry
	integrations map[string]event.Integration
	mappings     map[string]event.Mapping
}

func (w *world) pick(from ...string) string { return from[w.rand.IntN(len(from))] }

func (w *world) path(from ...string) string {
	var segments []string
	for range 1 + w.rand.IntN(4) {
		segments = append(segments, w.pick(from...))
	}
	return strings.Join(segments, ":")
}

func (w *world) pattern() string {
	for {
		p := w.path("a", "b", "*", "{v}", "{w}", "{x}")
		if w.rand.IntN(5) == 0 {
			p += ":**"
		}
		if _, err := event.ParsePattern(p); err == nil { // a name may come twice
			return p
		}
	}
}

// change puts or deletes one integration or mapping.
func (w *world) change(t *testing.T) {
	t.Helper()
	switch w.rand.IntN(8) {
	case 0:
		id := fmt.Sprintf("i%d", w.rand.IntN(40))
		if _, ok := w.integrations[id]; ok {
			if err := w.r.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			delete(w.integrations, id)
		}
	case 1:
		id := fmt.Sprintf("m%d", w.rand.IntN(25))
		if _, ok := w.mappings[id]; ok {
			if err := w.r.DeleteMapping(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			delete(w.mappings, id)
		}
	case 2, 3, 4:
		n := w.rand.IntN(40)
		in := studio(fmt.Sprintf("i%d", n), "")
		if n%2 == 0 { // an integration's vendor stays
			in.Vendor, in.Settings = "slack", nil
		}
		in.Owner = map[string]string{}
		for range w.rand.IntN(4) {
			in.Owner[w.pick("v", "w", "x")] = w.pick("1", "2", "a")
		}
		in.Disabled = w.rand.IntN(4) == 0
		w.integrations[in.ID] = put(t, w.r, in)
	default:
		m := event.Mapping{ID: fmt.Sprintf("m%d", w.rand.IntN(25)), Pattern: w.pattern()}
		for range w.rand.IntN(3) {
			m.Types = append(m.Types, w.pick("x", "y"))
		}
		for range 1 + w.rand.IntN(3) {
			m.Targets = append(m.Targets, []event.Target{
				{Category: event.PhotographyCRM},
				{Category: event.SlackNotifications},
				{Category: event.EmailService},
				{Integration: fmt.Sprintf("i%d", w.rand.IntN(40))},
			}[w.rand.IntN(4)])
		}
		w.mappings[m.ID] = replaceMapping(t, w.r, m)
	}
}

func TestWeddingID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", event.MaxIDBytes+1)
	for _, c := range []struct {
		event, payload string
		vars           map[string]string
		want           string
	}{
		{"e", `{"coupleId":"p"}`, map[string]string{"weddingId": "w", "coupleId": "c"}, "e"},
		{"", `{"coupleId":"p"}`, map[string]string{"weddingId": "w", "coupleId": "c"}, "w"},
		{"", `{"coupleId":"p"}`, map[string]string{"coupleId": "c"}, "c"},
		{"", `{"coupleId":"p"}`, map[string]string{"supplierId": "s"}, "p"},
		{"", `{"coupleId":12}`, nil, "12"},
		{"", `{"coupleId":null}`, nil, ""},
		{"", `{"coupleId":{"a":1}}`, nil, ""},
		{"", `{"coupleId":"` + long + `"}`, nil, ""},
		{"", `{"couple":"p"}`, nil, ""},
		{"", `no JSON`, nil, ""},
		{"", ``, nil, ""},
	} {
		ev := &event.Event{WeddingID: c.event, Payload: []byte(c.payload)}
		if got := registry.WeddingID(ev, c.vars); got != c.want {
			t.Errorf("%q %s %v: got %q, want %q", c.event, c.payload, c.vars, got, c.want)
		}
	}
}
