package event_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func TestLimitsOr(t *testing.T) {
	t.Parallel()
	second := event.Duration(time.Second)
	full := event.Limits{PerSecond: 1, Burst: 2, PerRecipient: 3 * second, RecipientBurst: 8, MaxInFlight: 4, WebhooksPerHour: 5, Timeout: 6 * second, ParkLimit: 7 * second}
	other := event.Limits{PerSecond: 10, Burst: 20, PerRecipient: 30 * second, RecipientBurst: 80, MaxInFlight: 40, WebhooksPerHour: 50, Timeout: 60 * second, ParkLimit: 70 * second}
	if got := (event.Limits{}).Or(other); got != other {
		t.Errorf("none of its own: got %+v, want %+v", got, other)
	}
	if got := full.Or(other); got != full {
		t.Errorf("all of its own: got %+v, want %+v", got, full)
	}
	if got := full.Or(event.Limits{}); got != full {
		t.Errorf("over nothing: got %+v, want %+v", got, full)
	}
	// One field at a time: the others come from other. This also finds a field that Or forgets.
	for i := range reflect.TypeFor[event.Limits]().NumField() {
		var own event.Limits
		want := other
		name := reflect.TypeFor[event.Limits]().Field(i).Name
		reflect.ValueOf(&own).Elem().Field(i).Set(reflect.ValueOf(full).Field(i))
		reflect.ValueOf(&want).Elem().Field(i).Set(reflect.ValueOf(full).Field(i))
		if name == "PerSecond" {
			want.Burst = 0
		}
		if name == "PerRecipient" {
			want.RecipientBurst = 0
		}
		if got := own.Or(other); got != want {
			t.Errorf("only %s of its own: got %+v, want %+v", name, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "500ms": 500 * time.Millisecond, "24h": 24 * time.Hour, "1m30s": 90 * time.Second, "0": 0, "0s": 0, "1.5h": 90 * time.Minute,
	} {
		var d event.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: got %s, %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{"", "1", "1 s", "-1s", "1d", "soon", "9999999h", strings.Repeat("9", 5000)} {
		d := event.Duration(7)
		err := d.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), "write it like 500ms, 30s or 24h") || len(err.Error()) > 200 {
			t.Errorf("%.20q: error %.300v", text, err)
		}
		if d != 7 {
			t.Errorf("%.20q: the duration was changed to %d", text, d)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal([]event.Duration{0, event.Duration(90 * time.Second), event.Duration(-time.Second)})
	if err != nil || string(b) != `["0s","1m30s","0s"]` {
		t.Errorf("got %s, %v", b, err)
	}
	var d event.Duration
	if err := json.Unmarshal([]byte(`30`), &d); err == nil {
		t.Error("a number was read as a duration: in which unit?")
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1s", "-1s", "1h2m3.004s", "9223372036s", "1ns", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d, again event.Duration
		if d.UnmarshalText([]byte(text)) != nil {
			return
		}
		b, err := d.MarshalText()
		if err != nil || d < 0 {
			t.Fatalf("%q: %d, %v", text, d, err)
		}
		if err := again.UnmarshalText(b); err != nil || again != d {
			t.Fatalf("%q: written as %s, read as %d: %v", text, b, again, err)
		}
	})
}

func TestMappingValidate(t *testing.T) {
	t.Parallel()
	good := func() event.Mapping {
		return event.Mapping{
			ID: "m1", Pattern: "supplier:dashboard:{supplierId}", Types: []string{"timeline.updated"},
			Targets: []event.Target{{Category: event.PhotographyCRM}, {Integration: "slack-1"}},
		}
	}
	for _, c := range []struct {
		change func(*event.Mapping)
		reason string
	}{
		{func(*event.Mapping) {}, ""},
		{func(m *event.Mapping) { m.Types = nil }, ""},
		{func(m *event.Mapping) { m.ID = "a.b" }, `mapping: id "a.b"`},
		{func(m *event.Mapping) { m.Pattern = "a:**:b" }, "mapping m1: pattern: "},
		{func(m *event.Mapping) { m.Types = []string{"a", "B"} }, `mapping m1: types: event type "B"`},
		{func(m *event.Mapping) { m.Targets = nil }, "mapping m1: targets: name at least one"},
		{func(m *event.Mapping) { m.Targets = make([]event.Target, 101) }, "targets: 101, at most 100"},
		{func(m *event.Mapping) { m.Types = make([]string, 101) }, "types: 101, at most 100"},
		{func(m *event.Mapping) { m.Targets[1] = event.Target{} }, "targets[1]: give either"},
		{func(m *event.Mapping) { m.Targets[0].Integration = "x" }, "targets[0]: give either"},
		{func(m *event.Mapping) { m.Targets[0].Category = "crm" }, `targets[0]: "crm" is no category; use one of [photography-crm`},
		{func(m *event.Mapping) { m.Targets[1].Integration = "a b" }, "targets[1]: id "},
		{func(m *event.Mapping) { m.When, m.Fields = "true", map[string]string{"Größe": "1"} }, ""},
		{func(m *event.Mapping) { m.When = strings.Repeat("x", event.MaxExpressionBytes+1) }, "when: 4097 bytes, at most 4096"},
		{func(m *event.Mapping) { m.Fields = map[string]string{"": "1"} }, `fields: "": a name has 1 to 64 bytes`},
		{func(m *event.Mapping) { m.Fields = map[string]string{"a\nb": "1"} }, `fields: "a\nb": a name has`},
		{func(m *event.Mapping) { m.Fields = map[string]string{strings.Repeat("x", 65): "1"} }, "a name has"},
		{func(m *event.Mapping) { m.Fields = map[string]string{"a": " "} }, "fields.a: the expression is empty"},
		{func(m *event.Mapping) { m.Fields = map[string]string{"a": strings.Repeat("x", 4097)} }, "fields.a: 4097 bytes"},
		{func(m *event.Mapping) {
			m.Fields = map[string]string{}
			for i := range event.MaxMappingFields + 1 {
				m.Fields[strings.Repeat("x", i+1)] = "1"
			}
		}, "fields: 33, at most 32"},
	} {
		m := good()
		c.change(&m)
		err := m.Validate()
		if c.reason == "" && err != nil || c.reason != "" && (err == nil || !strings.Contains(err.Error(), c.reason)) {
			t.Errorf("error %v, want %q", err, c.reason)
		}
	}
}

func TestCategories(t *testing.T) {
	t.Parallel()
	all := event.Categories()
	if len(all) != 9 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 9 {
		t.Errorf("got %v", all)
	}
	all[0] = "changed"
	if event.Categories()[0] == "changed" {
		t.Error("callers share one list")
	}
}
