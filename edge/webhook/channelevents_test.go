package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/webhook"
)

const channelEvents = "/api/webhooks/channel-events"

// inBody signs as VENDORS.md says, by code of its own.
func inBody(secret, channel, kind, timestamp, payload string) string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s.%s", channel, kind, timestamp, payload)
	return hex.EncodeToString(mac.Sum(nil))
}

func from(integration string) http.Header {
	return http.Header{"Content-Type": {"application/json"}, webhook.IntegrationHeader: {integration}}
}

func TestChannelEventSignedInTheBody(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, nil)
	now := n.clock.now().Truncate(time.Second)
	payload := "{ \"coupleId\" : \"c9\",\n\t\"notes\":\"caf\\u00e9 <b>x</b>\", \"n\": 1.50 }" // signed as it stands
	for i, c := range []struct{ inJSON, text string }{
		{strconv.Quote(now.UTC().Format(time.RFC3339)), now.UTC().Format(time.RFC3339)},
		{strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.Unix(), 10)},
		{strconv.Quote(strconv.FormatInt(now.Unix()-1, 10)), strconv.FormatInt(now.Unix()-1, 10)},
	} {
		signature := inBody(venueSecret, "supplier:dashboard:42", "timeline.updated", c.text, payload)
		body := fmt.Sprintf(`{"channelName":"supplier:dashboard:42", "eventType":"timeline.updated","payload":  %s ,"timestamp":%s,"signature":%q}`,
			payload, c.inJSON, signature)
		a := n.do(t, "POST", channelEvents, from(venueID), []byte(body))
		if a.status != 202 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		got := a.events(t).Events[0]
		if got.Seq != uint64(i+1) {
			t.Errorf("answered %s", a.body)
		}
		ev := n.event(t, got.Seq)
		if string(ev.Payload) != `{"coupleId":"c9","notes":"caf\u00e9 <b>x</b>","n":1.50}` && string(ev.Payload) != `{"coupleId":"c9","notes":"café x","n":1.50}` {
			t.Errorf("payload %s", ev.Payload)
		}
		if ev.Channel != "supplier:dashboard:42" || ev.Type != "timeline.updated" || ev.Source != "webhook:venue" || ev.WeddingID != "c9" ||
			ev.OccurredAt.Sub(now).Abs() > time.Second {
			t.Errorf("appended %+v", ev)
		}
		again := n.do(t, "POST", channelEvents+"?integration="+venueID, http.Header{"Content-Type": {"application/json"}}, []byte(body))
		if e := again.events(t); again.status != 200 || !e.Duplicate || e.Events[0].ID != got.ID {
			t.Errorf("sent again: %d %s", again.status, again.body)
		}
	}
	audits := n.audited()
	if len(audits) != 6 || audits[0].Action != "webhook.channel_event" || audits[0].Outcome != "ok" || audits[1].Outcome != "duplicate" {
		t.Errorf("audited %+v", audits)
	}
}

// TestSignatureIsGoodForOneEvent: "a:b.c" + "d" and "a:b" + "c.d" are signed alike.
func TestSignatureIsGoodForOneEvent(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, func(in *event.Integration) { in.Channel = "a:{x}" })
	stamp := strconv.FormatInt(n.clock.now().Unix(), 10)
	signature := inBody(venueSecret, "a:b.c", "d", stamp, "{}")
	send := func(channel, kind string) answer {
		return n.do(t, "POST", channelEvents, from(venueID), fmt.Appendf(nil,
			`{"channelName":%q,"eventType":%q,"payload":{},"timestamp":%s,"signature":%q}`, channel, kind, stamp, signature))
	}
	if a := send("a:b.c", "d"); a.status != 202 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := send("a:b", "c.d"); a.status != 200 || !a.events(t).Duplicate {
		t.Errorf("cut elsewhere: %d %s", a.status, a.body)
	}
	if n.appended(t) != 1 {
		t.Errorf("%d events", n.appended(t))
	}
}

func TestChannelEventSignedInHeaders(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, func(in *event.Integration) { in.Channel = "couple:{coupleId}" })
	send := func(id, body string) answer {
		h := sign(t, venueSecret, id, n.clock.now(), []byte(body))
		h.Set(webhook.IntegrationHeader, venueID)
		return n.do(t, "POST", channelEvents, h, []byte(body))
	}
	body := `{"channelName":"couple:c1","eventType":"guest_count.changed","payload":{"guestCount":80}}`
	a := send("msg_1", body)
	if a.status != 202 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if ev := n.event(t, a.events(t).Events[0].Seq); ev.Channel != "couple:c1" || ev.OccurredAt.Before(time.Now().Add(-time.Minute)) {
		t.Errorf("appended %+v", ev)
	}
	if _, err := n.seen.Seen.Get(t.Context(), a.events(t).Events[0].ID); err != nil {
		t.Errorf("not remembered beyond the log: %v", err)
	}
	if a := send("msg_1", body); a.status != 200 {
		t.Errorf("replay: %d %s", a.status, a.body)
	}
	both := func(id, signature string) answer {
		stamp := strconv.FormatInt(n.clock.now().Unix(), 10)
		if signature == "" {
			signature = inBody(venueSecret, "couple:c1", "guest_count.changed", stamp, `{"guestCount":80}`)
		}
		return send(id, strings.TrimSuffix(body, "}")+`,"timestamp":`+stamp+`,"signature":"`+signature+`"}`)
	}
	if a := both("msg_2", ""); a.status != 202 {
		t.Errorf("signed twice: %d %s", a.status, a.body)
	}
	if a := both("msg_3", strings.Repeat("ab", 32)); a.code(t) != problem.SignatureInvalid {
		t.Errorf("signed rightly in the headers and wrongly in the body: %d %s", a.status, a.body)
	}
}

func TestChannelEventsRefused(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, nil)
	url := json.RawMessage(`{"url":"https://x.example"}`)
	both := event.Secrets{"signing": {event.SecretOf(venueSecret)}, "webhook": {event.SecretOf(venueSecret)}}
	n.connect(t, event.Integration{ID: "everybody", Vendor: "venuemaster", Settings: url, Channel: "couple:{coupleId}:news"}, both)
	n.connect(t, event.Integration{ID: "nochannel", Vendor: "venuemaster", Settings: url}, both)
	n.connect(t, event.Integration{ID: "off", Vendor: "venuemaster", Settings: url, Disabled: true}, both)
	n.connect(t, event.Integration{ID: "nosecret", Vendor: "venuemaster", Settings: url, Channel: "a"}, event.Secrets{"signing": {event.SecretOf(venueSecret)}})
	sims := simulators(t)
	slack, secrets := sims.Slack.Integration("slack")
	slack.Channel = "a"
	n.connect(t, slack, secrets)
	n.connect(t, event.Integration{
		ID: "mail", Vendor: "email", Settings: json.RawMessage(`{"host":"mail.example.com","from":"a@example.com","to":"b@example.com"}`),
	}, nil)

	const channel = "supplier:dashboard:42"
	stamp := strconv.FormatInt(n.clock.now().Unix(), 10)
	full := func(channel, kind, stamp, payload string) string {
		return fmt.Sprintf(`{"channelName":%q,"eventType":%q,"payload":%s,"timestamp":%q,"signature":%q}`,
			channel, kind, payload, stamp, inBody(venueSecret, channel, kind, stamp, payload))
	}
	deep := strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17)
	for _, c := range []struct {
		name, integration, body, code string
		status                        int
	}{
		{"nobody named", "", full(channel, "a.b", stamp, `{}`), problem.IntegrationUnnamed, 400},
		{"unknown", "nobody", full(channel, "a.b", stamp, `{}`), problem.IntegrationUnknown, 404},
		{"disabled", "off", full(channel, "a.b", stamp, `{}`), problem.IntegrationDisabled, 409},
		{"too large", venueID, full(channel, "a.b", stamp, `{"a":"`+strings.Repeat("x", 270<<10)+`"}`), problem.BodyTooLarge, 413},
		{"malformed", venueID, `{"channelName":`, problem.JSONMalformed, 400},
		{"an array", venueID, `[]`, problem.PayloadNotObject, 422},
		{"not UTF-8", venueID, "{\"channelName\":\"\xff\"}", problem.UTF8Invalid, 400},
		{"a number for a name", venueID, `{"channelName":5}`, problem.FieldInvalid, 422},
		{"no channel", venueID, `{"eventType":"a","payload":{}}`, problem.FieldInvalid, 422},
		{"no type", venueID, `{"channelName":"a","payload":{}}`, problem.FieldInvalid, 422},
		{"no payload", venueID, `{"channelName":"a","eventType":"a"}`, problem.FieldInvalid, 422},
		{"a key twice", venueID, `{"channelName":"a","channelName":"b"}`, problem.DuplicateKey, 422},
		{"nested deeply", venueID, full(channel, "a.b", stamp, deep), problem.PayloadTooDeep, 422},
		{"timestamp is an object", venueID, `{"channelName":"a","eventType":"a","payload":{},"timestamp":{}}`, problem.TimestampInvalid, 401},
		{"timestamp is no time", venueID, full(channel, "a.b", "noon", `{}`), problem.TimestampInvalid, 401},
		{"signature without a time", venueID, `{"channelName":"a","eventType":"a","payload":{},"signature":"ab"}`, problem.TimestampInvalid, 401},
		{"old", venueID, full(channel, "a.b", strconv.FormatInt(n.clock.now().Unix()-301, 10), `{}`), problem.TimestampOld, 401},
		{"ahead", venueID, full(channel, "a.b", strconv.FormatInt(n.clock.now().Unix()+330, 10), `{}`), problem.TimestampOld, 401},
		{"unsigned", venueID, `{"channelName":"a","eventType":"a","payload":{}}`, problem.SignatureMissing, 401},
		{"unsigned, to one that cannot", "mail", `{"channelName":"a","eventType":"a","payload":{}}`, problem.SignatureMissing, 401},
		{"signed for one that cannot", "slack", full("a", "a.b", stamp, `{}`), problem.SignatureInvalid, 401},
		{"no secret to verify with", "nosecret", full("a", "a.b", stamp, `{}`), problem.SignatureInvalid, 401},
		{"not hex", venueID, strings.Replace(full(channel, "a.b", stamp, `{}`), `"signature":"`, `"signature":"z`, 1), problem.SignatureInvalid, 401},
		{"altered channel", venueID, strings.Replace(full(channel, "a.b", stamp, `{}`), `board:42`, `board:43`, 1), problem.SignatureInvalid, 401},
		{"altered payload", venueID, strings.Replace(full(channel, "a.b", stamp, `{}`), `{}`, `{ }`, 1), problem.SignatureInvalid, 401},
		{"not its channel", venueID, full("couple:c1", "a.b", stamp, `{}`), problem.ChannelNotAllowed, 403},
		{"another owner's channel", venueID, full("supplier:dashboard:43", "a.b", stamp, `{}`), problem.ChannelNotAllowed, 403},
		{"longer than its channel", "everybody", full("couple:c1:news:x", "a.b", stamp, `{}`), problem.ChannelNotAllowed, 403},
		{"without a channel", "nochannel", full(channel, "a.b", stamp, `{}`), problem.ChannelUnset, 409},
		{"wildcard", venueID, full("supplier:*", "a.b", stamp, `{}`), problem.ChannelWildcard, 422},
		{"bad channel", venueID, full("supplier:a b", "a.b", stamp, `{}`), problem.ChannelInvalid, 422},
		{"bad type", venueID, full(channel, "A B", stamp, `{}`), problem.TypeInvalid, 422},
		{"payload is a text", venueID, full(channel, "a.b", stamp, `"x"`), problem.PayloadNotObject, 422},
	} {
		n.audited()
		a := n.do(t, "POST", channelEvents, from(c.integration), []byte(c.body))
		if got := a.code(t); got != c.code || a.status != c.status {
			t.Errorf("%s: got %d %s\nwant %d %s", c.name, a.status, a.body, c.status, c.code)
		}
		if audits := n.audited(); len(audits) != 1 || audits[0].Outcome != c.code {
			t.Errorf("%s: audited %+v", c.name, audits)
		}
	}
	if got := n.appended(t); got != 0 {
		t.Errorf("%d events were appended", got)
	}
	if a := n.do(t, "POST", channelEvents, from("everybody"), []byte(full("couple:c1:news", "a.b", stamp, `{}`))); a.status != 202 {
		t.Errorf("a channel of its own: %d %s", a.status, a.body)
	}
}

// openKeys is a connection whose every signature fits.
type openKeys struct{ adapter.Connection }

func (openKeys) SignedBy([]byte, ...[]byte) bool { return true }

type everybody struct{}

func (everybody) Find(id string) (webhook.Party, bool) {
	return webhook.Party{
		Integration: event.Integration{ID: id, Vendor: "venuemaster", Channel: "couple:{coupleId}"},
		Connection:  func() (adapter.Connection, error) { return openKeys{}, nil },
	}, true
}

type collector struct{ drafts []ingest.Draft }

func (c *collector) Publish(_ context.Context, d ingest.Draft) (ingest.Receipt, error) {
	c.drafts = append(c.drafts, d)
	return ingest.Receipt{ID: d.ID, Seq: 1}, nil
}

func (*collector) Audit(event.Audit) {}

func (*collector) Get(context.Context, string) (journal.Value, error) {
	return journal.Value{}, journal.ErrNotFound
}

func (*collector) Create(context.Context, string, []byte) (uint64, error) { return 1, nil }

// FuzzChannelEvent: whatever the body is, the answer is a problem with a code and nothing is
// published, or what is published is exactly what the body says, on a channel that is allowed.
func FuzzChannelEvent(f *testing.F) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	stamp := strconv.FormatInt(now.Unix(), 10)
	for _, s := range []string{
		`{"channelName":"couple:c1","eventType":"a.b","payload":{"a":1},"timestamp":` + stamp + `,"signature":"ab"}`,
		`{"channelName":"couple:c1","eventType":"a.b","payload": {"a" : 1} ,"timestamp":"2026-06-01T12:00:00Z","signature":"AB"}`,
		`{"ChannelName":"couple:c1","channelname":"couple:c2","eventType":"a.b","payload":{},"timestamp":` + stamp + `,"signature":"ab"}`,
		`{"channelName":"couple:*","eventType":"a.b","payload":[],"timestamp":null,"signature":""}`,
		`{"channelName":1}`, `{}`, `[`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &collector{}
		h, err := webhook.New(webhook.Config{Directory: everybody{}, Publisher: c, Seen: c, Auditor: c, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		h.Mount(mux)
		r := httptest.NewRequest(http.MethodPost, channelEvents+"?integration=x", bytes.NewReader(body))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted {
			var p problem.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Status != w.Code || w.Code >= 500 {
				t.Fatalf("%q is answered %d %s", body, w.Code, w.Body)
			}
			if len(c.drafts) != 0 {
				t.Fatalf("%q is refused and published", body)
			}
			return
		}
		var said struct {
			ChannelName, EventType, Signature string
			Payload                           json.RawMessage
		}
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatalf("%q is taken: %v", body, err)
		}
		d := c.drafts[0]
		if d.Channel != said.ChannelName || d.Type != said.EventType || !bytes.Equal(d.Payload, said.Payload) || d.Source != "webhook:x" {
			t.Fatalf("%q became %+v", body, d)
		}
		if event.CheckChannel(d.Channel) == nil && !strings.HasPrefix(d.Channel, "couple:") {
			t.Fatalf("published on %s", d.Channel)
		}
		if d.OccurredAt.Sub(now).Abs() > 5*time.Minute {
			t.Fatalf("signed at %v", d.OccurredAt)
		}
	})
}
