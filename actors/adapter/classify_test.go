package adapter_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// TestRetryAfter reads both forms; a date counts from the answer's own.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const date = "Sat, 14 Mar 2026 09:26:53 GMT"
	for _, test := range []struct {
		retry, date string
		want        time.Duration
	}{
		{"", date, 0},
		{"7", "", 7 * time.Second},
		{"99999999", "", event.MaxRetryAfter},
		{"Sat, 14 Mar 2026 09:27:23 GMT", date, 30 * time.Second},
		{"Sat, 14 Mar 2026 09:26:00 GMT", date, 0},
		{"Sat, 14 Mar 2026 09:27:23 GMT", "", 0},
		{"later", date, 0},
	} {
		h := http.Header{"Retry-After": {test.retry}, "Date": {test.date}}
		v := connected(t, "studiocloud").Classify(nil, &event.Answer{Status: 429, Header: h})
		if v.RetryAfter != test.want || v.Kind != adapter.KindRetry {
			t.Errorf("Retry-After %q at %q: %+v, want %s", test.retry, test.date, v, test.want)
		}
	}
}

// TestNoAnswer is the vendor's fault, with a reason that only the caller knows.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	for _, vendor := range adapter.Vendors() {
		for _, a := range []*event.Answer{{}, {Err: errors.New("reset")}} {
			if v := connected(t, vendor).Classify(nil, a); v.Kind != adapter.KindRetry || !v.Fault || v.Reason != "" {
				t.Errorf("%s: %+v", vendor, v)
			}
		}
	}
	// A success whose body broke off: a signed webhook was taken; of the others nobody can say.
	broken := &event.Answer{Status: 200, Err: errors.New("unexpected EOF"), Body: []byte(`{"ok":tr`)}
	for vendor, want := range map[string]adapter.Kind{
		"venuemaster": adapter.KindDelivered, "whatsapp": adapter.KindRetry, "slack": adapter.KindRetry,
	} {
		if v := connected(t, vendor).Classify(nil, broken); v.Kind != want {
			t.Errorf("%s: %+v, want %s", vendor, v, want)
		}
	}
}

// TestDetail is bounded, on one line, and without secrets.
func TestDetail(t *testing.T) {
	t.Parallel()
	settings, secrets := settled("whatsapp")
	secrets["access_token"] = []event.Secret{event.SecretOf("EAAGtoken")}
	v := connect(t, "whatsapp", settings, secrets).Classify(nil, &event.Answer{
		Status: 401, Body: []byte(`{"error":{"code":190,"message":"bad\n\ttoken EAAGtoken ` + strings.Repeat("é", 3000) + `"}}`),
	})
	if v.Reason != "190" || len(v.Detail) > 1<<10 || !utf8.ValidString(v.Detail) || strings.Contains(v.Detail, "EAAG") ||
		!strings.HasPrefix(v.Detail, "bad token [secret] é") {
		t.Errorf("verdict %+v", v)
	}
	settings, secrets = settled("slack")
	v = connect(t, "slack", settings, secrets).Classify(nil, &event.Answer{
		Status: 502, Body: []byte("<html>cannot reach /services/T/B/X \xff</html>"),
	})
	if v.Reason != "http_502" || strings.Contains(v.Detail, "T/B/X") || !v.Fault || !utf8.ValidString(v.Detail) {
		t.Errorf("verdict %+v", v)
	}
	v = connected(t, "studiocloud").Classify(nil, &event.Answer{Status: 301, Body: []byte("Moved")})
	if v.Kind != adapter.KindPause || !strings.Contains(v.Detail, "redirects are not followed") {
		t.Errorf("verdict %+v", v)
	}
}

func TestSlackAnswers(t *testing.T) {
	t.Parallel()
	bot := connect(t, "slack", `{"channel":"C1"}`, event.Secrets{"bot_token": {event.SecretOf("xoxb-1")}})
	hook := connected(t, "slack")
	for _, test := range []struct {
		conn   adapter.Connection
		status int
		body   string
		kind   adapter.Kind
		reason string
		detail string
	}{
		{hook, 200, " ok\n", adapter.KindDelivered, "", ""},
		{hook, 404, "<html>no such page</html>", adapter.KindPause, "http_404", "<html>no such page</html>"},
		{hook, 400, "invalid_blocks", adapter.KindDead, "invalid_blocks", ""},
		{bot, 200, `{"ok":true,"ts":"1.2"}`, adapter.KindDelivered, "", ""},
		{bot, 200, `{"ok":false,"error":"missing_scope","needed":"chat:write"}`, adapter.KindPause, "missing_scope", "needs the scope chat:write;"},
		{bot, 200, `{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] a","b"]}}`, adapter.KindDead, "invalid_blocks", "[ERROR] a; b"},
		{bot, 200, `<html>`, adapter.KindRetry, "unexpected_answer", "<html>"},
		{bot, 200, `{"ok":false}`, adapter.KindRetry, "unexpected_answer", `{"ok":false}`},
		{bot, 502, `<html>`, adapter.KindRetry, "http_502", "<html>"},
	} {
		v := test.conn.Classify(nil, &event.Answer{Status: test.status, Body: []byte(test.body)})
		if v.Kind != test.kind || v.Reason != test.reason || v.Detail != test.detail {
			t.Errorf("%d %s: %+v, want %s, %q, %q", test.status, test.body, v, test.kind, test.reason, test.detail)
		}
	}
}

func TestWhatsAppAnswers(t *testing.T) {
	t.Parallel()
	conn := connected(t, "whatsapp")
	text := &event.Delivery{Body: []byte(`{"text":{"body":"x"},"template":{"name":"t"}}`)}
	for _, test := range []struct {
		d      *event.Delivery
		status int
		body   string
		want   adapter.Verdict
	}{
		{nil, 200, `{"messages":[{"id":"wamid.1","message_status":"held_for_quality_assessment"}]}`, adapter.Verdict{Kind: adapter.KindDelivered, Detail: "wamid.1 held_for_quality_assessment"}},
		{nil, 200, `{"id":"106540352242922"}`, adapter.Verdict{Kind: adapter.KindDelivered}},
		{nil, 200, `{"messages":[]}`, adapter.Verdict{Kind: adapter.KindRetry, Reason: "unexpected_answer", Detail: `{"messages":[]}`, Fault: true}},
		{nil, 200, `hello`, adapter.Verdict{Kind: adapter.KindRetry, Reason: "unexpected_answer", Detail: `hello`, Fault: true}},
		{nil, 502, `hello`, adapter.Verdict{Kind: adapter.KindRetry, Reason: "http_502", Detail: `hello`, Fault: true}},
		{nil, 400, `{"error":{"message":"no code"}}`, adapter.Verdict{Kind: adapter.KindDead, Reason: "http_400", Detail: `{"error":{"message":"no code"}}`}},
		{text, 400, `{"error":{"code":131047,"message":"late"}}`, adapter.Verdict{Kind: adapter.KindInstead, Reason: "131047", Detail: "late", Instead: []byte(`{"template":{"name":"t"}}`)}},
		{nil, 400, `{"error":{"code":131047,"message":"late"}}`, adapter.Verdict{Kind: adapter.KindDead, Reason: "131047", Detail: "late"}},
		{&event.Delivery{Body: []byte(`{"template":{"name":"t"}}`)}, 400, `{"error":{"code":131047,"message":"late"}}`, adapter.Verdict{Kind: adapter.KindDead, Reason: "131047", Detail: "late"}},
	} {
		got := conn.Classify(test.d, &event.Answer{Status: test.status, Body: []byte(test.body)})
		if string(got.Instead) != string(test.want.Instead) || got.Kind != test.want.Kind || got.Reason != test.want.Reason ||
			got.Detail != test.want.Detail || got.Fault != test.want.Fault {
			t.Errorf("%d %s: %+v, want %+v", test.status, test.body, got, test.want)
		}
	}
}

func TestSMTPAnswers(t *testing.T) {
	t.Parallel()
	conn := connected(t, "email")
	for _, test := range []struct {
		status int
		body   string
		kind   adapter.Kind
	}{
		{250, "queued", adapter.KindDelivered},
		{251, "will forward", adapter.KindDelivered},
		{454, "TLS not available", adapter.KindRetry},
		{502, "Please authenticate first", adapter.KindPause},
		{502, "Command not implemented", adapter.KindDead},
		{538, "Encryption required", adapter.KindPause},
		{571, "blocked", adapter.KindDead},
	} {
		if v := conn.Classify(nil, &event.Answer{Status: test.status, Body: []byte(test.body)}); v.Kind != test.kind {
			t.Errorf("%d %s: %+v, want %s", test.status, test.body, v, test.kind)
		}
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	h := connected(t, "whatsapp").(adapter.Handshaker)
	query := func(mode, token, challenge string) map[string][]string {
		return map[string][]string{"hub.mode": {mode}, "hub.verify_token": {token}, "hub.challenge": {challenge}}
	}
	if got, err := h.Handshake(query("subscribe", "verify me", "1158201444")); err != nil || got != "1158201444" {
		t.Errorf("handshake gives %q, %v", got, err)
	}
	for name, q := range map[string]map[string][]string{
		"mode": query("unsubscribe", "verify me", "1"), "token": query("subscribe", "verify", "1"), "no token": query("subscribe", "", "1"),
		"challenge": query("subscribe", "verify me", "<script>"), "no challenge": query("subscribe", "verify me", ""), "nothing": nil,
		"long challenge": query("subscribe", "verify me", strings.Repeat("1", 513)),
	} {
		got, err := h.Handshake(q)
		var verify *adapter.VerifyError
		if got != "" || !errors.As(err, &verify) {
			t.Errorf("%s: %q, %v; want a VerifyError", name, got, err)
		}
	}
	settings, secrets := settled("whatsapp")
	delete(secrets, "verify_token")
	if got, err := connect(t, "whatsapp", settings, secrets).(adapter.Handshaker).Handshake(query("subscribe", "", "1")); err == nil {
		t.Errorf("without a verify token every handshake is answered: %q", got)
	}
}

// TestWhatsAppWaits: 131056 asks to wait 4^n s, and 131049 for a day that must not end the delivery.
func TestWhatsAppWaits(t *testing.T) {
	t.Parallel()
	conn := connected(t, "whatsapp")
	verdict := func(code string) adapter.Verdict {
		return conn.Classify(nil, &event.Answer{Status: 400, Body: []byte(`{"error":{"code":` + code + `}}`)})
	}
	pair := verdict("131056")
	for i, want := range []time.Duration{4 * time.Second, 16 * time.Second, 64 * time.Second} {
		if got := pair.After(i + 1); got != want {
			t.Errorf("after %d failed tries: %v, want %v", i+1, got, want)
		}
	}
	if got := pair.After(1000); got < event.MaxRetryAfter || got > 4*event.MaxRetryAfter {
		t.Errorf("after a thousand: %v", got)
	}
	spared := verdict("131049")
	a, err := adapter.Lookup("whatsapp")
	if err != nil {
		t.Fatal(err)
	}
	if limit := time.Duration(a.Describe().Limits.ParkLimit); spared.After(3) != 24*time.Hour || limit < spared.After(3)+time.Hour {
		t.Errorf("waits %v, and dies after %v", spared.After(3), limit)
	}
}
