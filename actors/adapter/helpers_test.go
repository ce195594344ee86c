package adapter_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// withSetting returns the integration with one setting changed; nil takes it away.
func withSetting(in event.Integration, name string, value any) event.Integration {
	var settings map[string]any
	if err := json.Unmarshal(in.Settings, &settings); err != nil {
		panic(err)
	}
	if settings[name] = value; value == nil {
		delete(settings, name)
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		panic(err)
	}
	in.Settings = raw
	return in
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// settled gives settings and secrets that connect.
func settled(vendor string) (settings string, secrets event.Secrets) {
	switch vendor {
	case "studiocloud", "irisworks", "shootq", "venuemaster", "partyrental", "eventplanning", "webhook":
		return `{"url":"https://vendor.example.com/hook"}`, event.Secrets{"signing": {event.SecretOf(testSecret)}, "webhook": {event.SecretOf(testSecret)}}
	case "tripleseat":
		return `{"client_id":"uid","event_id":"61680687"}`, event.Secrets{"client_secret": {event.SecretOf("secret")}, "signing_key": {event.SecretOf("key")}}
	case "vsco":
		return `{"link":"https://weddings.example.com/couples","job_id":"01h35ccwymj5ctckp8px1azhg6"}`, event.Secrets{"api_key": {event.SecretOf("key")}}
	case "whatsapp":
		return `{"phone_number_id":"106540352242922","to":"+33612345678"}`,
			event.Secrets{"access_token": {event.SecretOf("token")}, "app_secret": {event.SecretOf("app")}, "verify_token": {event.SecretOf("verify me")}}
	case "slack":
		return `{}`, event.Secrets{"webhook_url": {event.SecretOf("https://hooks.slack.com/services/T/B/X")}, "signing_secret": {event.SecretOf("sign")}}
	case "supplier-dashboards", "client-communications", "timeline-coordination", "project-management":
		return `{"channel":"couple:updates:{coupleId}"}`, event.Secrets{}
	case "email":
		return `{"host":"smtp.example.com","from":"Weddings <w@example.com>","to":"a@example.com"}`, event.Secrets{}
	}
	panic(vendor)
}

func connect(tb testing.TB, vendor, settings string, secrets event.Secrets) adapter.Connection {
	tb.Helper()
	a, err := adapter.Lookup(vendor)
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := a.Connect(event.Integration{ID: "int_1", Vendor: vendor, Settings: json.RawMessage(settings)}, secrets)
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

func connected(tb testing.TB, vendor string) adapter.Connection {
	tb.Helper()
	settings, secrets := settled(vendor)
	return connect(tb, vendor, settings, secrets)
}

func sampleOf(tb testing.TB, vendor, eventType string) *event.Event {
	tb.Helper()
	a, err := adapter.Lookup(vendor)
	if err != nil {
		tb.Fatal(err)
	}
	for _, ev := range a.Describe().Samples {
		if ev.Type == eventType {
			return &ev
		}
	}
	tb.Fatalf("%s has no sample of %s", vendor, eventType)
	return nil
}

// withPayload returns the event with other fields in its payload; nil takes one away.
func withPayload(tb testing.TB, ev *event.Event, fields map[string]any) *event.Event {
	tb.Helper()
	var p map[string]any
	if err := json.Unmarshal(ev.Payload, &p); err != nil {
		tb.Fatal(err)
	}
	for name, value := range fields {
		if p[name] = value; value == nil {
			delete(p, name)
		}
	}
	raw, err := json.Marshal(p)
	if err != nil {
		tb.Fatal(err)
	}
	changed := *ev
	changed.Payload = raw
	return &changed
}

// encodeError asserts that the event cannot be encoded, because of the field.
func encodeError(t *testing.T, conn adapter.Connection, ev *event.Event, field string) {
	t.Helper()
	_, err := conn.Encode(ev)
	var encode *adapter.EncodeError
	if !errors.As(err, &encode) || encode.Field != field || encode.Reason == "" {
		t.Errorf("Encode(%s) gives %v, want an EncodeError of field %q", ev.Payload, err, field)
	}
}

func encoded(t *testing.T, conn adapter.Connection, ev *event.Event) map[string]any {
	t.Helper()
	raw, err := conn.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// receives reports whether the vendor says that Decode gives events of the type.
func receives(d adapter.Description, eventType string) bool {
	return slices.Contains(d.Receives, eventType) || slices.Contains(d.Receives, adapter.AnyType)
}

func checkDescription(t *testing.T, vendor string) {
	t.Helper()
	a, err := adapter.Lookup(vendor)
	if err != nil {
		t.Fatal(err)
	}
	d := a.Describe()
	if d.Vendor != vendor || d.Name == "" || d.Documented == "" || d.Category == "" && vendor != "webhook" {
		t.Errorf("the description is incomplete: %+v", d)
	}
	have := map[string]bool{}
	for _, ev := range d.Samples {
		have[ev.Type] = true
		if err := event.CheckType(ev.Type); err != nil {
			t.Error(err)
		}
		if err := event.CheckChannel(ev.Channel); err != nil {
			t.Error(err)
		}
	}
	if len(have) == 0 || len(have) != len(d.Samples) {
		t.Errorf("samples of %v: want at least one, and one a type", have)
	}
	for _, sends := range d.Sends {
		if !have[sends] {
			t.Errorf("there is no sample of %s", sends)
		}
	}
	seen := map[string]bool{}
	for _, f := range append(d.Settings, d.Secrets...) {
		if f.Name == "" || f.Label == "" || f.Help == "" || seen[f.Name] || strings.ToLower(f.Name) != f.Name {
			t.Errorf("field %+v: name, label and help must be given, and the name be its own", f)
		}
		seen[f.Name] = true
	}
}
