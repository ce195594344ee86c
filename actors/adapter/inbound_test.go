package adapter_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
)

// TestInboundGolden reads testdata/<vendor>/inbound/*.json, written after the vendors' documentation,
// and compares what becomes of each.
func TestInboundGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/inbound/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			vendor := strings.Split(filepath.ToSlash(file), "/")[1]
			got, err := connected(t, vendor).(adapter.Receiver).Decode(&adapter.Inbound{
				Header: http.Header{"Webhook-Timestamp": {"1773480413"}}, Body: body,
			})
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			b.WriteString("reply: " + string(got.Reply) + "\n")
			for _, m := range got.Messages {
				b.WriteString("\nid: " + m.ID + "\ntype: " + m.Type + "\nat: " + m.OccurredAt.Format(time.RFC3339) + "\nwedding: " + m.WeddingID + "\n")
				if err := json.Indent(&b, m.Payload, "", "  "); err != nil {
					t.Fatal(err)
				}
				b.WriteByte('\n')
			}
			checkGolden(t, strings.TrimSuffix(file, ".json")+".golden.txt", b.String())
		})
	}
}

// TestInboundRefused says of each webhook that cannot be read what is wrong with it.
func TestInboundRefused(t *testing.T) {
	t.Parallel()
	venue := func(data string) string { return `{"type":"capacity.changed","data":` + data + `}` }
	for _, test := range []struct{ vendor, body, field string }{
		{"venuemaster", `{`, ""},
		{"venuemaster", `[]`, ""},
		{"venuemaster", `{"type":"guest.left","data":{}}`, "type"},
		{"venuemaster", `{"type":"capacity.changed"}`, "data"},
		{"venuemaster", venue(`null`), "data"},
		{"venuemaster", venue(`[1]`), "data"},
		{"venuemaster", `{"type":"capacity.changed","timestamp":"today","data":{}}`, "timestamp"},
		{"venuemaster", venue(`{"venue_id":"v"}`), "data.capacity"},
		{"venuemaster", venue(`{"venue_id":"v","capacity":null}`), "data.capacity"},
		{"venuemaster", venue(`{"venue_id":"v","capacity":-1}`), "data.capacity"},
		{"venuemaster", venue(`{"venue_id":"v","capacity":1.5}`), "data.capacity"},
		{"venuemaster", venue(`{"venue_id":"v","capacity":1000001}`), "data.capacity"},
		{"venuemaster", venue(`{"venue_id":"v","capacity":"110"}`), "data.capacity"},
		{"venuemaster", venue(`{"capacity":1}`), "data.venue_id"},
		{"venuemaster", venue(`{"capacity":1,"venue_id":"a:b"}`), "data.venue_id"},
		{"venuemaster", venue(`{"capacity":1,"venue_id":"*"}`), "data.venue_id"},
		{"venuemaster", venue(`{"capacity":1,"venue_id":["a"]}`), "data.venue_id"},
		{"venuemaster", venue(`{"capacity":1,"venue_id":"v","client_id":"a b"}`), "data.client_id"},
		{"venuemaster", venue(`{"capacity":1,"venue_id":"v","reason":{"x":1}}`), "data.reason"},
		{"venuemaster", venue(`{"capacity":1,"venue_id":"v","reason":true}`), "data.reason"},
		{"venuemaster", venue(`{"capacity":1,"venue_id":"v","effective_from":"2026-06-20"}`), "data.effective_from"},
		{"venuemaster", `{"type":"availability.changed","data":{"venue_id":"v","date":"20 June","available":true}}`, "data.date"},
		{"venuemaster", `{"type":"availability.changed","data":{"venue_id":"v","date":"2026-06-20","available":"yes"}}`, "data.available"},
		{"studiocloud", `{"type":"booking.updated","data":{"client_id":"c"}}`, "data.booking_id"},
		{"studiocloud", `{"type":"booking.updated","data":{"client_id":"c","booking_id":"b","shoot_date":5}}`, "data.shoot_date"},
		{"tripleseat", `[]`, ""},
		{"tripleseat", `{"event":{"id":1}}`, "webhook_trigger_type"},
		{"tripleseat", `{"webhook_trigger_type":"CREATE_EVENT"}`, "event"},
		{"tripleseat", `{"webhook_trigger_type":"CREATE_EVENT","event":{"id":61680687}}`, "event.event_start_iso8601"},
		{"tripleseat", `{"webhook_trigger_type":"STATUS_CHANGE_EVENT","event":{"id":61680687}}`, "event.status"},
		{"tripleseat", `{"webhook_trigger_type":"CHANGE_EVENT_DATETIME","event":{"id":61680687,"event_start_iso8601":"06/20/2026"}}`, "event.event_start_iso8601"},
		{"tripleseat", `{"webhook_trigger_type":"CHANGE_EVENT_GUEST_COUNTS","event":{"id":61680687,"guest_count":"many"}}`, "event.guest_count"},
		{"tripleseat", `{"webhook_trigger_type":"CHANGE_EVENT_GUEST_COUNTS","event":{"id":"a","guest_count":1}}`, "event.id"},
		{"tripleseat", `{"webhook_trigger_type":"CHANGE_EVENT_GUEST_COUNTS","event":{"id":61680687,"guest_count":1,"rooms":"x"}}`, "event.rooms"},
		{"webhook", `[]`, ""},
		{"webhook", `{"data":{}}`, "type"},
		{"webhook", `{"type":"Not A Type","data":{}}`, "type"},
		{"webhook", `{"type":"a.b","timestamp":"today","data":{}}`, "timestamp"},
		{"webhook", `{"type":"a.b"}`, "data"},
		{"webhook", `{"type":"a.b","data":null}`, "data"},
		{"webhook", `{"type":"a.b","data":"x"}`, "data"},
		{"whatsapp", `{`, ""},
		{"whatsapp", `{"object":"page"}`, "object"},
		{"whatsapp", `{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"statuses":[{"id":"w"}]}}]}]}`, "statuses"},
		{"whatsapp", `{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"w"}]}}]}]}`, "messages"},
		{"slack", `null{`, ""},
		{"slack", `{"type":"hello"}`, "type"},
		{"slack", `{"type":"url_verification","challenge":""}`, "challenge"},
		{"slack", `{"type":"url_verification","challenge":"<script>"}`, "challenge"},
		{"slack", `{"type":"event_callback","event":{"type":"message","user":"U1","channel":"C1"}}`, "event.ts"},
		{"slack", `{"type":"event_callback","event":{"type":"reaction_added","user":"U1"}}`, "event_id"},
	} {
		_, err := connected(t, test.vendor).(adapter.Receiver).Decode(&adapter.Inbound{Header: http.Header{}, Body: []byte(test.body)})
		var decode *adapter.DecodeError
		if !errors.As(err, &decode) || decode.Field != test.field || decode.Reason == "" {
			t.Errorf("%s %s: %v, want a DecodeError of field %q", test.vendor, test.body, err, test.field)
		} else if !strings.Contains(decode.Error(), decode.Field) {
			t.Errorf("%s does not name the field", decode)
		}
	}
}

// TestInboundNothing are webhooks that are taken, and say nothing for a channel.
func TestInboundNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ vendor, body string }{
		{"slack", `{"type":"app_rate_limited"}`},
		{"slack", `{"type":"event_callback","event":{"type":"message","subtype":"message_changed","user":"U1","channel":"C1","ts":"1.2"}}`},
		{"slack", `{"type":"event_callback","event":{"type":"channel_rename","user":"U1"}}`},
		{"slack", `{"type":"event_callback","event":{"type":"message","channel":"C1","ts":"1.2","bot_id":"B1","user":"U1"}}`},
		{"whatsapp", `{"object":"whatsapp_business_account","entry":[]}`},
		{"tripleseat", `{"webhook_trigger_type":"UPDATE_BOOKING","booking":{"id":1}}`},
		{"tripleseat", `{"webhook_trigger_type":"CHANGE_EVENT_GUEST_COUNTS","event":{"id":7,"guest_count":3}}`},
	} {
		got, err := connected(t, test.vendor).(adapter.Receiver).Decode(&adapter.Inbound{Header: http.Header{}, Body: []byte(test.body)})
		if err != nil || len(got.Messages) != 0 {
			t.Errorf("%s %s: %+v, %v; want no message", test.vendor, test.body, got, err)
		}
	}
}

// TestInboundTime takes the time that the vendor signed, within what JSON can write.
func TestInboundTime(t *testing.T) {
	t.Parallel()
	body := []byte(`{"type":"capacity.changed","data":{"venue_id":"v","capacity":1}}`)
	for stamp, want := range map[string]time.Time{
		"1773480413": time.Unix(1773480413, 0), "never": {}, "-5": {}, "253402300800": {},
	} {
		got, err := connected(t, "venuemaster").(adapter.Receiver).Decode(&adapter.Inbound{
			Header: http.Header{"Webhook-Timestamp": {stamp}}, Body: body,
		})
		if err != nil || !got.Messages[0].OccurredAt.Equal(want) {
			t.Errorf("webhook-timestamp %s gives %v, %v; want %s", stamp, got.Messages, err, want)
		}
	}
	got, err := connected(t, "slack").(adapter.Receiver).Decode(&adapter.Inbound{Header: http.Header{}, Body: []byte(
		`{"type":"event_callback","event_time":1773480413,"event":{"type":"message","user":"U1","channel":"C1","ts":"x"}}`)})
	if err != nil || got.Messages[0].OccurredAt.Unix() != 1773480413 {
		t.Errorf("a ts that is no time gives %v, %v; want event_time", got, err)
	}
}

func TestLongTextIsCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	got, err := connected(t, "venuemaster").(adapter.Receiver).Decode(&adapter.Inbound{Header: http.Header{}, Body: []byte(
		`{"type":"capacity.changed","data":{"venue_id":"v","capacity":1,"reason":"` + long + `"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Reason string }
	if err := json.Unmarshal(got.Messages[0].Payload, &p); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("é", 1999) + "…"; p.Reason != want {
		t.Errorf("a text of 5000 characters becomes one of %d", len([]rune(p.Reason)))
	}
}
