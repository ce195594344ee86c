package adapter_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// TestWebhookAgainstLibrary rotates both secrets. The official library, with either the new or the old
// secret, verifies what we send and signs what we accept; with another it does neither.
func TestWebhookAgainstLibrary(t *testing.T) {
	t.Parallel()
	secret := func(letter string) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 24)))
	}
	fresh, old := secret("n"), secret("o")
	both := event.Secrets{"signing": {event.SecretOf(fresh), event.SecretOf(old)}, "webhook": {event.SecretOf(fresh), event.SecretOf(old)}}
	now := time.Now()
	for _, format := range []string{"standard", "cloudevents"} {
		conn := connect(t, "webhook", `{"url":"https://example.com/hook","format":"`+format+`"}`, both)
		body, err := conn.Encode(sampleOf(t, "webhook", adapter.TypeTimelineUpdated))
		if err != nil {
			t.Fatal(err)
		}
		call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, now)
		if err != nil {
			t.Fatal(err)
		}
		for holder, good := range map[string]bool{fresh: true, old: true, secret("x"): false} {
			lib, err := standardwebhooks.NewWebhook(holder)
			if err != nil {
				t.Fatal(err)
			}
			if err := lib.Verify(call.HTTP.Body, call.HTTP.Header); (err == nil) != good {
				t.Errorf("%s: the library with the secret %s says %v", format, holder, err)
			}
			signature, err := lib.Sign("msg_1", now, body)
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {signature}}
			id, err := conn.(adapter.Receiver).Verify(&adapter.Inbound{Header: h, Body: body}, now)
			if (err == nil) != good || good && id != "msg_1" {
				t.Errorf("%s: of what the library signs with the secret %s we say %q, %v", format, holder, id, err)
			}
		}
	}
}

// TestWebhookFormats says the same event in both formats.
func TestWebhookFormats(t *testing.T) {
	t.Parallel()
	_, secrets := settled("webhook")
	ev := *sampleOf(t, "webhook", adapter.TypeGuestCountChanged)
	ev.Type = "cake.layers_changed" // no adapter knows it
	for format, want := range map[string]map[string]string{
		"standard": {
			"type": ev.Type, "timestamp": "2026-03-14T09:26:53Z", "id": ev.ID, "channel": ev.Channel,
			"weddingId": ev.WeddingID, "correlationId": ev.CorrelationID,
		},
		"cloudevents": {
			"type": ev.Type, "time": "2026-03-14T09:26:53Z", "id": ev.ID, "source": "/channels/supplier:dashboard:42", "specversion": "1.0",
			"datacontenttype": "application/json", "traceparent": ev.TraceParent, "weddingid": ev.WeddingID, "correlationid": ev.CorrelationID,
		},
	} {
		conn := connect(t, "webhook", `{"url":"https://example.com/hook","format":"`+format+`"}`, secrets)
		body := encoded(t, conn, &ev)
		data, _ := body["data"].(map[string]any)
		delete(body, "data")
		if fmt.Sprint(data["guestCount"]) != "118" || data["coupleId"] != "cpl_7Qm2x" {
			t.Errorf("%s: data %v", format, data)
		}
		for name, value := range want {
			if body[name] != value {
				t.Errorf("%s: %s is %v, want %s", format, name, body[name], value)
			}
		}
		if len(body) != len(want) {
			t.Errorf("%s: %v has more than %v", format, body, want)
		}
	}
}

// TestWebhookFormatChanges: what was made before the format was changed is still said to be what it is.
func TestWebhookFormatChanges(t *testing.T) {
	t.Parallel()
	settings, secrets := settled("webhook")
	standard := connect(t, "webhook", settings, secrets)
	cloud := connect(t, "webhook", string(withSetting(event.Integration{Settings: json.RawMessage(settings)}, "format", "cloudevents").Settings), secrets)
	for media, maker := range map[string]adapter.Connection{"application/json": standard, "application/cloudevents+json": cloud} {
		body, err := maker.Encode(sampleOf(t, "webhook", adapter.TypeTimelineUpdated))
		if err != nil {
			t.Fatal(err)
		}
		for _, conn := range []adapter.Connection{standard, cloud} {
			call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Unix(1, 0))
			if err != nil || call.HTTP.Header.Get("Content-Type") != media {
				t.Errorf("%.40s... is sent as %v, %v; want %s", body, call, err, media)
			}
		}
	}
}
