package vendors

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/actors/event"
)

// Slack simulates one Slack workspace with an incoming webhook, a bot token and the Events API.
type Slack struct {
	*web
	hook, token, signing string
	limits               *pace // nil without Config.RateLimits
}

var _ Sender = (*Slack)(nil)

const slackChannel = "C024BE91L"

// StartSlack starts the simulator. ctx bounds the start only.
func StartSlack(ctx context.Context, cfg Config) (*Slack, error) {
	v := &Slack{
		hook:  "/services/T024BE7LD/B024BE91L/" + secret("slack", "hook"),
		token: "xoxb-" + secret("slack", "token"), signing: secret("slack", "signing"),
	}
	if cfg.RateLimits {
		v.limits = newPace(1, 5, 0, 0)
	}
	_, err := startWeb(ctx, "slack", cfg, func(mux *http.ServeMux, s *web) {
		v.web = s
		control(mux, s, v)
		mux.HandleFunc("POST /services/", s.handle(taker{read: readSlack, take: v.takeHook, fail: slackHookFailure}))
		mux.HandleFunc("POST /api/chat.postMessage", s.handle(taker{read: readSlack, take: v.takePost, fail: slackFailure}))
		mux.HandleFunc("POST /api/auth.test", s.handle(taker{take: v.takeTest, fail: slackFailure, probe: true}))
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Integration gives an integration that posts to this simulator's incoming webhook.
func (v *Slack) Integration(id string) (event.Integration, event.Secrets) {
	in := v.integrationOf(id, "Slack", event.SlackNotifications, map[string]any{"base_url": v.url + "/api"})
	return in, event.Secrets{
		"webhook_url":    {event.SecretOf(v.url + v.hook)},
		"signing_secret": {event.SecretOf(v.signing)},
	}
}

// BotIntegration gives an integration that posts by chat.postMessage.
func (v *Slack) BotIntegration(id string) (event.Integration, event.Secrets) {
	in := v.integrationOf(id, "Slack bot", event.SlackNotifications, map[string]any{
		"base_url": v.url + "/api", "channel": slackChannel,
	})
	return in, event.Secrets{
		"bot_token":      {event.SecretOf(v.token)},
		"signing_secret": {event.SecretOf(v.signing)},
	}
}

// readSlack finds the ids in the metadata, or in the block ids of the header and the context line.
func readSlack(_ http.Header, r *Receipt) {
	var m slackMessage
	if json.Unmarshal(r.Body, &m) != nil {
		return
	}
	if m.Metadata != nil {
		r.ID, r.EventID = m.Metadata.Payload["delivery_id"], m.Metadata.Payload["event_id"]
		r.EventType = m.Metadata.Payload["event_type"]
	} else if n := len(m.Blocks); n > 0 {
		r.ID, r.EventID = m.Blocks[n-1].BlockID, m.Blocks[0].BlockID
	}
}

func (v *Slack) tooFast() bool { return v.limits != nil && v.limits.allow(v.cfg.Now(), "") != allowed }

func (v *Slack) takeHook(req *http.Request, body []byte) reply {
	if !hmac.Equal([]byte(req.URL.Path), []byte(v.hook)) {
		return slackHookFailure(http.StatusNotFound, "no_service")
	}
	if v.tooFast() {
		r := slackHookFailure(http.StatusTooManyRequests, "")
		r.header.Set("Retry-After", "1")
		return r
	}
	var m slackMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return slackHookFailure(http.StatusBadRequest, "invalid_payload")
	}
	switch m.check() {
	case "":
		return reply{status: http.StatusOK, header: http.Header{"Content-Type": {"text/html"}}, body: []byte("ok"), taken: true}
	case "no_text":
		return slackHookFailure(http.StatusBadRequest, "no_text")
	}
	return slackHookFailure(http.StatusBadRequest, "invalid_blocks")
}

func (v *Slack) takePost(req *http.Request, body []byte) reply {
	if code := v.checkToken(req); code != "" {
		return slackFailure(0, code)
	}
	if v.tooFast() {
		r := slackFailure(http.StatusTooManyRequests, "ratelimited")
		r.header.Set("Retry-After", "1")
		return r
	}
	var m slackMessage
	if !strings.HasPrefix(req.Header.Get("Content-Type"), "application/json") || json.Unmarshal(body, &m) != nil {
		return slackFailure(0, "invalid_json")
	}
	if m.Channel != slackChannel {
		return slackFailure(0, "channel_not_found")
	}
	if code := m.check(); code != "" {
		return slackFailure(0, code)
	}
	now := v.cfg.Now()
	r := jsonReply(http.StatusOK, map[string]any{
		"ok": true, "channel": m.Channel, "ts": fmt.Sprintf("%d.%06d", now.Unix(), now.Nanosecond()/1000),
		"message": map[string]string{"text": m.Text},
	})
	r.taken = true
	return r
}

func (v *Slack) takeTest(req *http.Request, _ []byte) reply {
	if code := v.checkToken(req); code != "" {
		return slackFailure(0, code)
	}
	return jsonReply(http.StatusOK, map[string]any{"ok": true, "team_id": "T024BE7LD", "bot_id": "B024BE91L"})
}

func (v *Slack) checkToken(req *http.Request) string {
	given := req.Header.Get("Authorization")
	switch {
	case given == "":
		return "not_authed"
	case !hmac.Equal([]byte(given), []byte("Bearer "+v.token)):
		return "invalid_auth"
	}
	return ""
}

// slackHookFailure is an incoming webhook's error: a code as plain text.
func slackHookFailure(status int, code string) reply {
	if code == "" {
		code = map[int]string{
			400: "invalid_payload", 403: "action_prohibited", 404: "no_service", 410: "channel_is_archived",
			429: "rate_limited", 500: "rollup_error",
		}[status]
	}
	if status == 0 {
		status = map[string]int{
			"action_prohibited": 403, "channel_not_found": 404, "no_service": 404, "channel_is_archived": 410, "rollup_error": 500,
		}[code]
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	return reply{status: status, header: http.Header{"Content-Type": {"text/html"}}, body: []byte(code)}
}

// slackFailure is an API error: mostly with status 200.
func slackFailure(status int, code string) reply {
	if code == "" {
		code = map[int]string{401: "invalid_auth", 429: "ratelimited", 503: "service_unavailable"}[status]
	}
	if code == "" {
		code = "internal_error"
	}
	if status == 0 {
		status = http.StatusOK
	}
	return jsonReply(status, map[string]any{"ok": false, "error": code})
}

// Send posts an Events API request. The type is that of the inner event: "message", "app_mention" or
// "reaction_added", with its data; "url_verification" has data challenge.
func (v *Slack) Send(ctx context.Context, to string, w Webhook) ([]Sent, error) {
	if w.ID == "" {
		w.ID = "Ev" + strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", "")[:10])
	}
	envelope := map[string]any{"type": w.Type, "token": "deprecated", "challenge": w.Data["challenge"]}
	if w.Type != "url_verification" {
		inner := map[string]any{"type": w.Type}
		for name, data := range w.Data {
			inner[name] = data
		}
		envelope = map[string]any{
			"type": "event_callback", "team_id": "T024BE7LD", "event_id": w.ID, "event_time": v.cfg.Now().Unix(), "event": inner,
		}
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("slack: write the event: %w", err)
	}
	try := 0
	return v.sendSigned(ctx, to, w.ID, body, func(at time.Time, wrong bool) http.Header {
		key := v.signing
		if wrong {
			key += "x"
		}
		stamp := strconv.FormatInt(at.Unix(), 10)
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "v0:%s:%s", stamp, body)
		h := http.Header{
			"X-Slack-Request-Timestamp": {stamp},
			"X-Slack-Signature":         {"v0=" + hex.EncodeToString(mac.Sum(nil))},
		}
		if try > 0 {
			h.Set("X-Slack-Retry-Num", strconv.Itoa(try))
			h.Set("X-Slack-Retry-Reason", "http_timeout")
		}
		try++
		return h
	})
}

// Handshake verifies the request URL as Slack does when it is entered.
func (v *Slack) Handshake(ctx context.Context, to string) error {
	challenge := strings.ReplaceAll(uuid.NewString()+uuid.NewString(), "-", "")
	sent, err := v.Send(ctx, to, Webhook{Type: "url_verification", Data: map[string]any{"challenge": challenge}})
	if err != nil {
		return err
	}
	if body := string(sent[0].Body); sent[0].Status != http.StatusOK || !strings.Contains(body, challenge) {
		return fmt.Errorf("slack: the address answered %d %.200q, not the challenge", sent[0].Status, body)
	}
	return nil
}

// Webhooks gives a realistic webhook of each type that the vendor sends.
func (v *Slack) Webhooks() []Webhook {
	return []Webhook{
		{Type: "message", Data: map[string]any{
			"channel": slackChannel, "user": "U2147483697", "text": "110 guests is fine &amp; noted &lt;3", "ts": "1773480413.000200",
		}},
		{Type: "app_mention", Data: map[string]any{
			"channel": slackChannel, "user": "U2147483697", "text": "<@U0LAN0Z89> can we move the cake?", "ts": "1773480420.000300",
		}},
		{Type: "reaction_added", Data: map[string]any{
			"user": "U2147483697", "reaction": "white_check_mark",
			"item": map[string]any{"type": "message", "channel": slackChannel, "ts": "1773480413.000200"},
		}},
	}
}
