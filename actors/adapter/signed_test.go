package adapter_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// TestSignedVector is the specification's own test vector.
func TestSignedVector(t *testing.T) {
	t.Parallel()
	const body, stamp, want = `{"test": 2432232314}`, 1614265330, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	conn := connected(t, "studiocloud")
	at := time.Unix(stamp, 0)
	call, err := conn.Call(&event.Delivery{ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", Body: []byte(body)}, at)
	if err != nil {
		t.Fatal(err)
	}
	if got := call.HTTP.Header.Get("webhook-signature"); got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
	id, err := conn.(adapter.Receiver).Verify(&adapter.Inbound{Header: call.HTTP.Header, Body: []byte(body)}, at)
	if err != nil || id != "msg_p5jXN8AQM9LWM0D4loKWxJek" {
		t.Errorf("verified %q, %v", id, err)
	}
}

// TestSignedAgainstLibrary checks both directions against the specification's own library.
func TestSignedAgainstLibrary(t *testing.T) {
	t.Parallel()
	lib, err := standardwebhooks.NewWebhook(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, body := range []string{`{}`, `{"name":"Amélie & Jonas ♥"}`, strings.Repeat(" ", 5000) + "{}"} {
		conn := connected(t, "venuemaster")
		call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: []byte(body)}, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := lib.Verify(call.HTTP.Body, call.HTTP.Header); err != nil {
			t.Errorf("the library refuses what we sign: %v", err)
		}
		signature, err := lib.Sign("msg_2", now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set("webhook-id", "msg_2")
		h.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		h.Set("webhook-signature", "v1a,bm90IG91cnM= v2,x "+signature)
		if _, err := conn.(adapter.Receiver).Verify(&adapter.Inbound{Header: h, Body: []byte(body)}, now); err != nil {
			t.Errorf("we refuse what the library signs: %v", err)
		}
	}
}

// TestSignedRotation signs with the new and the old secret, and takes either.
func TestSignedRotation(t *testing.T) {
	t.Parallel()
	fresh := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", 24)))
	settings, _ := settled("studiocloud")
	both := []event.Secret{event.SecretOf(fresh), event.SecretOf(testSecret)}
	conn := connect(t, "studiocloud", settings, event.Secrets{"signing": both, "webhook": both})
	now := time.Now()
	call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: []byte(`{}`)}, now)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(call.HTTP.Header.Get("webhook-signature"))); n != 2 {
		t.Errorf("%d signatures, want 2", n)
	}
	for _, secret := range []string{fresh, testSecret} {
		lib, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := lib.Verify(call.HTTP.Body, call.HTTP.Header); err != nil {
			t.Errorf("a receiver with one of the two secrets refuses it: %v", err)
		}
		only := connect(t, "studiocloud", settings, event.Secrets{"signing": {event.SecretOf(secret)}, "webhook": {event.SecretOf(secret)}})
		one, err := only.Call(&event.Delivery{ID: "dlv_1", Body: []byte(`{}`)}, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.(adapter.Receiver).Verify(&adapter.Inbound{Header: one.HTTP.Header, Body: []byte(`{}`)}, now); err != nil {
			t.Errorf("a sender with one of the two secrets is refused: %v", err)
		}
	}
}

func TestSignedBounds(t *testing.T) {
	t.Parallel()
	conn := connected(t, "studiocloud")
	r := conn.(adapter.Receiver)
	at := time.Unix(1_700_000_000, 0)
	signed := func(id string) http.Header {
		call, err := conn.Call(&event.Delivery{ID: id, Body: []byte(`{}`)}, at)
		if err != nil {
			t.Fatal(err)
		}
		return call.HTTP.Header
	}
	verify := func(h http.Header, now time.Time) string {
		_, err := r.Verify(&adapter.Inbound{Header: h, Body: []byte(`{}`)}, now)
		var v *adapter.VerifyError
		if err != nil && !errors.As(err, &v) {
			t.Fatal(err)
		}
		if v == nil {
			return ""
		}
		return v.Code
	}
	for off, want := range map[time.Duration]string{
		0: "", 5 * time.Minute: "", -5 * time.Minute: "",
		5*time.Minute + time.Second: adapter.CodeTimestampOld, -5*time.Minute - time.Second: adapter.CodeTimestampOld,
	} {
		if got := verify(signed("id"), at.Add(off)); got != want {
			t.Errorf("%s after signing: %q, want %q", off, got, want)
		}
	}
	if got := verify(signed(strings.Repeat("i", event.MaxIDBytes)), at); got != "" {
		t.Errorf("an id of 128 bytes: %q", got)
	}
	if got := verify(signed(strings.Repeat("i", event.MaxIDBytes+1)), at); got != adapter.CodeSignatureInvalid {
		t.Errorf("an id of 129 bytes: %q", got)
	}
	for before, want := range map[int]string{15: "", 16: adapter.CodeSignatureInvalid} {
		h := signed("id")
		h.Set("Webhook-Signature", strings.Repeat("v1,AAAA ", before)+h.Get("Webhook-Signature"))
		if got := verify(h, at); got != want {
			t.Errorf("the good signature after %d others: %q, want %q", before, got, want)
		}
	}
}

func TestSignedHeaders(t *testing.T) {
	t.Parallel()
	d := &event.Delivery{ID: "dlv_1", EventID: "evt", EventType: "timeline.updated", Body: []byte(`{}`)}
	for trace, want := range map[string]bool{"": false, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": true} {
		d.TraceParent = trace
		call, err := connected(t, "studiocloud").Call(d, time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		h := call.HTTP.Header
		if _, given := h["Traceparent"]; given != want {
			t.Errorf("traceparent %q: %v", trace, h)
		}
		if h.Get("wedsync-event-id") != "evt" || h.Get("wedsync-event-type") != "timeline.updated" || h.Get("webhook-id") != "dlv_1" {
			t.Errorf("headers %v", h)
		}
	}
}

// TestSignedBy signs by hand, with the key that the secret stands for.
func TestSignedBy(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(testSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("channel.type.1.{}"))
	sum := mac.Sum(nil)
	settings, secrets := settled("venuemaster")
	signs := connect(t, "venuemaster", settings, secrets).(adapter.Keyholder)
	if !signs.SignedBy(sum, []byte("channel.type."), []byte("1."), []byte("{}")) {
		t.Error("a good signature is refused")
	}
	if signs.SignedBy(sum, []byte("channel.type."), []byte("1."), []byte("[]")) || signs.SignedBy(nil, nil) {
		t.Error("a wrong signature is taken")
	}
	delete(secrets, "webhook")
	if connect(t, "venuemaster", settings, secrets).(adapter.Keyholder).SignedBy(sum, []byte("channel.type.1.{}")) {
		t.Error("without a secret something is signed")
	}
}
