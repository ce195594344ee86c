package adapter_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// appended is the event that a delivery of ev becomes.
func appended(t *testing.T, in event.Integration, vars map[string]string, ev *event.Event) (*event.Event, error) {
	t.Helper()
	a, err := adapter.Lookup("supplier-dashboards")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Connect(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := conn.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	call, err := conn.Call(&event.Delivery{ID: "dlv_1", Vars: vars, Body: body}, time.Unix(1, 0))
	if err != nil {
		return nil, err
	}
	return call.Event, nil
}

// TestChannelTemplate: what the owner is comes before what was captured, and that before the payload.
func TestChannelTemplate(t *testing.T) {
	t.Parallel()
	in := event.Integration{ID: "dash", Settings: json.RawMessage(`{"channel":"a:{supplierId}:{coupleId}"}`)}
	ev := &event.Event{Type: "timeline.updated", Payload: json.RawMessage(`{"supplierId":7,"coupleId":"cpl_1","note":"a & b <c>"}`)}
	for _, test := range []struct {
		owner, vars map[string]string
		want        string
	}{
		{nil, nil, "a:7:cpl_1"},
		{nil, map[string]string{"supplierId": "8"}, "a:8:cpl_1"},
		{map[string]string{"supplierId": "9"}, map[string]string{"supplierId": "8", "coupleId": "cpl_2"}, "a:9:cpl_2"},
	} {
		in.Owner = test.owner
		got, err := appended(t, in, test.vars, ev)
		if err != nil || got.Channel != test.want {
			t.Errorf("owner %v, captured %v: %+v, %v, want %s", test.owner, test.vars, got, err, test.want)
		}
		if err == nil && string(got.Payload) != string(ev.Payload) {
			t.Errorf("payload %s, want it as it was", got.Payload)
		}
	}
	for payload, says := range map[string]string{
		`{"supplierId":7}`:                          "{coupleId}",
		`{"supplierId":7,"coupleId":null}`:          "{coupleId}",
		`{"supplierId":7,"coupleId":{"id":1}}`:      "{coupleId}",
		`{"supplierId":7,"coupleId":"a:b"}`:         "not allowed",
		`{"supplierId":7,"coupleId":"` + "*" + `"}`: "not allowed",
	} {
		in.Owner = nil
		_, err := appended(t, in, nil, &event.Event{Type: "x", Payload: json.RawMessage(payload)})
		var bad *event.ChannelError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s gives %v, want an error that says %s", payload, err, says)
		}
	}
}

// No payload leads to where only the system publishes.
func TestChannelOfTheSystem(t *testing.T) {
	t.Parallel()
	in := event.Integration{ID: "dash", Settings: json.RawMessage(`{"channel":"{a}:{b}:slack"}`)}
	for payload, want := range map[string]bool{`{"a":"slo","b":"burn"}`: false, `{"a":"integration","b":"health"}`: false, `{"a":"slo","b":"burnt"}`: true} {
		_, err := appended(t, in, nil, &event.Event{Type: "x", Payload: json.RawMessage(payload)})
		if (err == nil) != want {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

// TestChannelEvent: the type may be another, and the way is told.
func TestChannelEvent(t *testing.T) {
	t.Parallel()
	in := event.Integration{ID: "dash", Settings: json.RawMessage(`{"channel":"a","type":"schedule.changed"}`)}
	via := make([]string, 1, 4)
	via[0] = "first"
	ev := &event.Event{Type: "timeline.updated", Payload: json.RawMessage(`{}`), Via: via}
	got, err := appended(t, in, nil, ev)
	if err != nil || got.Type != "schedule.changed" || !slices.Equal(got.Via, []string{"first", "dash"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if via = via[:2]; via[1] != "" {
		t.Errorf("the event's own way was written to: %v", via)
	}
}

func TestChannelSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		`{"channel":"a:*"}`:                         "settings.channel",
		`{"channel":"slo:burn:{vendor}"}`:           "settings.channel",
		`{"channel":"a::b"}`:                        "settings.channel",
		`{"channel":"a:{b}:{b}"}`:                   "settings.channel",
		`{"channel":"a","type":"Timeline Updated"}`: "settings.type",
		`{}`: "settings.channel",
	} {
		if got, text := problems(t, "timeline-coordination", settings, nil); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want a problem of %s", settings, text, want)
		}
	}
	conn := connected(t, "project-management")
	for _, body := range []string{`[]`, `{}`, `{"type":"x"}`, `{"payload":{}}`} {
		if _, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: json.RawMessage(body)}, time.Unix(1, 0)); err == nil {
			t.Errorf("it makes a call of the body %s", body)
		}
	}
}
