package adapter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Slack's Events API retries at once, after a minute and after five; with "delayed events" hourly
// for a day.
const slackReplayWindow = 25 * time.Hour

// Verify checks X-Slack-Signature: v0=hex(HMAC-SHA256(signing secret, "v0:{timestamp}:{body}"))
// (docs.slack.dev, "Verifying requests from Slack"). The ids are in the messages.
func (c *slackConn) Verify(r *Inbound, now time.Time) (string, error) {
	if len(c.signing) == 0 {
		return "", &VerifyError{CodeSignatureInvalid, "this integration has no signing_secret, so no webhook can be verified"}
	}
	stamp, given := r.Header.Get("X-Slack-Request-Timestamp"), r.Header.Get("X-Slack-Signature")
	if stamp == "" || given == "" {
		return "", &VerifyError{CodeSignatureMissing, "X-Slack-Request-Timestamp and X-Slack-Signature must both be given"}
	}
	if err := checkStamp(stamp, "X-Slack-Request-Timestamp", now); err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(given, "v0=")
	got, err := hex.DecodeString(text)
	if ok && err == nil {
		for _, secret := range c.signing {
			mac := hmac.New(sha256.New, []byte(secret.Reveal()))
			mac.Write([]byte("v0:" + stamp + ":"))
			mac.Write(r.Body)
			if hmac.Equal(got, mac.Sum(nil)) {
				return "", nil
			}
		}
	}
	return "", &VerifyError{CodeSignatureInvalid, "X-Slack-Signature does not fit the body and this integration's signing secret"}
}

// ReplayWindow covers Slack's delayed events.
func (c *slackConn) ReplayWindow() time.Duration { return slackReplayWindow }

// slackEnvelope is what the Events API posts.
type slackEnvelope struct {
	Type      string `json:"type"`
	Challenge string `json:"challenge"`
	TeamID    string `json:"team_id"`
	EventID   string `json:"event_id"`
	EventTime int64  `json:"event_time"`
	Event     struct {
		Type     string `json:"type"`
		Subtype  string `json:"subtype"`
		User     string `json:"user"`
		BotID    string `json:"bot_id"`
		Text     string `json:"text"`
		Channel  string `json:"channel"`
		TS       string `json:"ts"`
		ThreadTS string `json:"thread_ts"`
		Reaction string `json:"reaction"`
		Item     struct {
			Channel string `json:"channel"`
			TS      string `json:"ts"`
		} `json:"item"`
	} `json:"event"`
}

// Decode answers the url_verification challenge, and gives what people wrote and how they reacted.
// What bots wrote, this one among them, and edits give no message.
func (c *slackConn) Decode(r *Inbound) (Reception, error) {
	var e slackEnvelope
	if err := json.Unmarshal(r.Body, &e); err != nil {
		return Reception{}, &DecodeError{Reason: "the body is not an Events API request: " + clip(err.Error(), 200)}
	}
	switch e.Type {
	case "url_verification":
		if reason := checkChallenge(e.Challenge); reason != "" {
			return Reception{}, &DecodeError{Field: "challenge", Reason: reason}
		}
		return Reception{Reply: []byte(e.Challenge)}, nil
	case "event_callback":
		return e.messages()
	case "app_rate_limited":
		return Reception{}, nil
	}
	return Reception{}, &DecodeError{Field: "type", Reason: fmt.Sprintf("%.80q is not one of app_rate_limited, event_callback, url_verification", e.Type)}
}

func (e *slackEnvelope) messages() (Reception, error) {
	ev := &e.Event
	m := Message{OccurredAt: unixTime(e.EventTime)}
	said := map[string]string{"vendor": "slack", "from": ev.User, "team": e.TeamID, "channel": ev.Channel}
	switch {
	case ev.User == "" || ev.BotID != "" || ev.Subtype != "" && ev.Subtype != "thread_broadcast" && ev.Subtype != "file_share":
		return Reception{}, nil
	case ev.Type == "message" || ev.Type == "app_mention":
		if ev.Channel == "" || ev.TS == "" {
			return Reception{}, &DecodeError{Field: "event.ts", Reason: "channel and ts must both be given"}
		}
		// A mention comes as both types; they are one message.
		m.Type, m.ID = TypeMessageReceived, ev.Channel+":"+ev.TS
		m.OccurredAt = slackTime(ev.TS, m.OccurredAt)
		said["messageId"], said["text"] = ev.TS, slackUnescape(ev.Text)
		if ev.ThreadTS != "" {
			said["threadId"] = ev.ThreadTS
		}
	case ev.Type == "reaction_added":
		if e.EventID == "" {
			return Reception{}, &DecodeError{Field: "event_id", Reason: "is missing"}
		}
		m.Type, m.ID = TypeReactionReceived, e.EventID
		said["channel"], said["messageId"], said["reaction"] = ev.Item.Channel, ev.Item.TS, ev.Reaction
	default:
		return Reception{}, nil
	}
	raw, err := json.Marshal(said)
	if err != nil {
		return Reception{}, fmt.Errorf("write the payload of %s: %w", m.Type, err)
	}
	m.Payload = raw
	return Reception{Messages: []Message{m}}, nil
}

// slackTime reads a ts such as "1712345678.000200".
func slackTime(ts string, otherwise time.Time) time.Time {
	whole, _, _ := strings.Cut(ts, ".")
	if seconds, err := strconv.ParseInt(whole, 10, 64); err == nil {
		return unixTime(seconds)
	}
	return otherwise
}

// checkChallenge says what keeps a challenge from being answered as it stands, or "".
func checkChallenge(s string) string {
	const maxChallenge = 512
	if s == "" || len(s) > maxChallenge {
		return "must have 1 to 512 bytes"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`<>&"'`, r) }) {
		return "holds a character that no challenge has"
	}
	return ""
}
