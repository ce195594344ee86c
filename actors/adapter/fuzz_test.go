package adapter_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// fuzzDecode feeds a vendor's decoder, which must give either an error of its own or messages that
// can stand in the log.
func fuzzDecode(f *testing.F, vendor string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", vendor, "inbound", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, "1773480413")
	}
	a, err := adapter.Lookup(vendor)
	if err != nil {
		f.Fatal(err)
	}
	r := connected(f, vendor).(adapter.Receiver)
	d := a.Describe()
	f.Fuzz(func(t *testing.T, body []byte, stamp string) {
		got, err := r.Decode(&adapter.Inbound{Header: http.Header{"Webhook-Timestamp": {stamp}}, Body: body})
		if err != nil {
			var decode *adapter.DecodeError
			if !errors.As(err, &decode) {
				t.Fatalf("%T: %v", err, err)
			}
			if len(got.Messages) != 0 || got.Reply != nil {
				t.Fatalf("an error and %+v", got)
			}
			return
		}
		for _, m := range got.Messages {
			var p map[string]any
			if !receives(d, m.Type) || event.CheckType(m.Type) != nil || json.Unmarshal(m.Payload, &p) != nil || p == nil {
				t.Fatalf("message %+v", m)
			}
			if _, err := json.Marshal(m.OccurredAt); err != nil {
				t.Fatalf("time %v: %v", m.OccurredAt, err)
			}
		}
	})
}

func FuzzDecodeStudioCloud(f *testing.F)   { fuzzDecode(f, "studiocloud") }
func FuzzDecodeVenueMaster(f *testing.F)   { fuzzDecode(f, "venuemaster") }
func FuzzDecodePartyRental(f *testing.F)   { fuzzDecode(f, "partyrental") }
func FuzzDecodeIrisWorks(f *testing.F)     { fuzzDecode(f, "irisworks") }
func FuzzDecodeShootQ(f *testing.F)        { fuzzDecode(f, "shootq") }
func FuzzDecodeEventPlanning(f *testing.F) { fuzzDecode(f, "eventplanning") }
func FuzzDecodeTripleseat(f *testing.F)    { fuzzDecode(f, "tripleseat") }
func FuzzDecodeWebhook(f *testing.F)       { fuzzDecode(f, "webhook") }
func FuzzDecodeWhatsApp(f *testing.F)      { fuzzDecode(f, "whatsapp") }
func FuzzDecodeSlack(f *testing.F)         { fuzzDecode(f, "slack") }

// FuzzVerify tries to get a webhook past each vendor's signature.
func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "1773480413", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", []byte(`{}`))
	f.Add("", "-1", "v0=00ff", []byte(``))
	f.Add("x", "9223372036854775807", "sha256=00", []byte(`{`))
	f.Add("", "", "t=1773480413,v1=00,v1=g0", []byte(`{}`))
	conns := map[string]adapter.Receiver{}
	for _, vendor := range adapter.Vendors() {
		if r, ok := connected(f, vendor).(adapter.Receiver); ok {
			conns[vendor] = r
		}
	}
	f.Fuzz(func(t *testing.T, id, stamp, signature string, body []byte) {
		h := http.Header{
			"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature},
			"X-Slack-Request-Timestamp": {stamp}, "X-Slack-Signature": {signature}, "X-Hub-Signature-256": {signature}, "X-Signature": {signature},
		}
		for vendor, r := range conns {
			_, err := r.Verify(&adapter.Inbound{Header: h, Body: body}, time.Unix(1773480413, 0))
			var verify *adapter.VerifyError
			if !errors.As(err, &verify) || verify.Code == "" {
				t.Fatalf("%s takes it: %v", vendor, err)
			}
		}
	})
}

// FuzzConnect decodes settings; what it takes must be able to build a call.
func FuzzConnect(f *testing.F) {
	for i, vendor := range adapter.Vendors() {
		settings, _ := settled(vendor)
		f.Add(i, settings, testSecret)
	}
	f.Add(slices.Index(adapter.Vendors(), "whatsapp"), `{"phone_number_id":"106540352242922","to":"+33612345678","mode":"text","templates":{"*":{"name":"x","parameters":["$title"]}}}`, "t")
	f.Add(slices.Index(adapter.Vendors(), "slack"), `{"channel":"C1"}`, "xoxb-1")
	f.Fuzz(func(t *testing.T, which int, settings, secret string) {
		all := adapter.Vendors()
		a, err := adapter.Lookup(all[(which%len(all)+len(all))%len(all)])
		if err != nil {
			t.Fatal(err)
		}
		d := a.Describe()
		given := []event.Secrets{nil}
		for _, field := range d.Secrets {
			given = append(given, event.Secrets{field.Name: {event.SecretOf(secret)}})
		}
		for _, secrets := range given {
			conn, err := a.Connect(event.Integration{ID: "i", Settings: json.RawMessage(settings)}, secrets)
			var wrong *adapter.SettingsError
			if err != nil {
				if !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			for i := range d.Samples {
				body, err := conn.Encode(&d.Samples[i])
				if err != nil {
					continue // a template can ask for a field that the sample lacks
				}
				if _, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Unix(1, 0)); err != nil && !noChannel(err) {
					t.Fatal(err)
				}
			}
		}
	})
}

// noChannel reports that an event cannot fill the template of the channel that it is to go to.
func noChannel(err error) bool {
	var channel *event.ChannelError
	return errors.As(err, &channel)
}

// FuzzReceiptOf reads any payload; what it takes must be one of the four statuses of a delivery's id.
func FuzzReceiptOf(f *testing.F) {
	f.Add([]byte(`{"status":"failed","deliveryId":"dlv_089318c064e34e185cf701a2f985e98e","errors":[{"code":131026,"detail":"x"}]}`))
	f.Add([]byte(`{"status":7}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, ok := adapter.ReceiptOf(&event.Event{ID: "whk_1", Type: adapter.TypeDeliveryStatus, Source: "webhook:wa", Payload: payload})
		statuses := []event.ReceiptStatus{event.ReceiptSent, event.ReceiptDelivered, event.ReceiptRead, event.ReceiptFailed}
		if ok && (!slices.Contains(statuses, r.Status) || len(r.DeliveryID) != 36 || len(r.Detail) > 1<<10 || r.Integration != "wa") {
			t.Fatalf("%+v", r)
		}
	})
}

// FuzzEncode gives each adapter a payload of any form; it must give JSON or an EncodeError.
func FuzzEncode(f *testing.F) {
	for _, vendor := range adapter.Vendors() {
		a, err := adapter.Lookup(vendor)
		if err != nil {
			f.Fatal(err)
		}
		for _, ev := range a.Describe().Samples {
			f.Add(ev.Type, []byte(ev.Payload))
		}
	}
	conns := map[string]adapter.Connection{}
	for _, vendor := range adapter.Vendors() {
		conns[vendor] = connected(f, vendor)
	}
	f.Fuzz(func(t *testing.T, eventType string, payload []byte) {
		ev := event.Event{ID: "evt", Type: eventType, Payload: payload, WeddingID: "w", OccurredAt: time.Unix(1, 0)}
		for vendor, conn := range conns {
			body, err := conn.Encode(&ev)
			var encode *adapter.EncodeError
			switch {
			case err == nil && !json.Valid(body):
				t.Fatalf("%s gives %s", vendor, body)
			case err != nil && !errors.As(err, &encode) && !errors.Is(err, adapter.ErrUnsupported):
				t.Fatalf("%s: %T %v", vendor, err, err)
			case err == nil:
				if _, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Unix(1, 0)); err != nil && !noChannel(err) {
					t.Fatalf("%s: %v", vendor, err)
				}
			}
		}
	})
}

// FuzzClassify answers with anything; every verdict must be one that the actor can act on.
func FuzzClassify(f *testing.F) {
	f.Add(200, []byte(`ok`), "1")
	f.Add(400, []byte(`{"error":{"code":131047,"message":"x","error_data":{"details":"y"}}}`), "")
	f.Add(200, []byte(`{"ok":false,"error":"ratelimited","needed":"chat:write"}`), "30")
	f.Add(550, []byte("5.1.1 no such user\r\n"), "Wed, 21 Oct 2026 07:28:00 GMT")
	conns := map[string]adapter.Connection{"bot": connect(f, "slack", `{"channel":"C1"}`, event.Secrets{"bot_token": {event.SecretOf("xoxb-1")}})}
	for _, vendor := range adapter.Vendors() {
		conns[vendor] = connected(f, vendor)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter string) {
		a := &event.Answer{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: body}
		for vendor, conn := range conns {
			for _, d := range []*event.Delivery{nil, {Body: json.RawMessage(`{"text":{},"template":{}}`)}} {
				v := conn.Classify(d, a)
				if v.Kind > adapter.KindInstead || len(v.Detail) > 1<<10 || v.RetryAfter < 0 || v.RetryAfter > event.MaxRetryAfter {
					t.Fatalf("%s: %+v", vendor, v)
				}
				if v.Kind == adapter.KindInstead && (d == nil || !json.Valid(v.Instead)) || v.Fault && v.Kind != adapter.KindRetry {
					t.Fatalf("%s: %+v", vendor, v)
				}
				if status != 0 && v.Kind != adapter.KindDelivered && v.Reason == "" {
					t.Fatalf("%s: no reason in %+v", vendor, v)
				}
			}
		}
	})
}

// FuzzToken has the token endpoint answer with anything: either a token comes of it that a call can
// bear, or a verdict that is not delivered.
func FuzzToken(f *testing.F) {
	f.Add(200, []byte(`{"access_token":"a","token_type":"Bearer","expires_in":7200}`))
	f.Add(200, []byte(`{"access_token":"a\nb"}`))
	f.Add(401, []byte(`{"error":"invalid_client","error_description":"x"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		conn := connected(t, "tripleseat")
		made := false
		answer := adapter.Exchange(t.Context(), conn, &event.Call{HTTP: &event.HTTPCall{}}, time.Unix(1, 0), func(_ context.Context, call *event.Call) *event.Answer {
			bearer, bears := call.HTTP.Header["Authorization"]
			if made = bears; bears && (len(bearer[0]) <= len("Bearer ") || strings.ContainsAny(bearer[0], "\r\n")) {
				t.Fatalf("a call bears %q", bearer)
			}
			if bears {
				return &event.Answer{Status: http.StatusNoContent}
			}
			return &event.Answer{Status: status, Body: body}
		})
		v := conn.Classify(nil, answer)
		if made != (v.Kind == adapter.KindDelivered) || len(v.Detail) > 1<<10 || v.Fault && v.Kind != adapter.KindRetry || !made && status != 0 && v.Reason == "" {
			t.Fatalf("answer %d %q: made %v, %+v", status, body, made, v)
		}
	})
}
