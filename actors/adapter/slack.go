package adapter

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newSlack()) }

// slack posts Block Kit messages, either to an incoming webhook (docs.slack.dev, "Sending messages
// using incoming webhooks") or by chat.postMessage with a bot token, and takes the Events API.
type slack struct {
	desc   Description
	teller *teller
}

var (
	_ Adapter    = (*slack)(nil)
	_ Addresser  = (*slack)(nil)
	_ Connection = (*slackConn)(nil)
	_ Receiver   = (*slackConn)(nil)
	_ Prober     = (*slackBot)(nil)
)

func newSlack() *slack {
	return &slack{teller: newTeller(), desc: Description{
		Vendor:   "slack",
		Name:     "Slack",
		Category: event.SlackNotifications,
		Documented: "All of it, at docs.slack.dev: incoming webhooks, chat.postMessage, Block Kit, " +
			"the Events API and request signing.",
		Receives: []string{TypeMessageReceived, TypeReactionReceived},
		Settings: []Field{
			{Name: "channel", Label: "Channel ID", Example: "C024BE91L", Help: "with a bot token: the channel to post to; an incoming webhook has its channel already"},
			{Name: "base_url", Label: "API address", Default: "https://slack.com/api", Help: "other than Slack's own for a test server only"},
		},
		Secrets: []Field{
			{Name: "webhook_url", Label: "Incoming webhook URL", Example: "https://hooks.slack.com/services/T000/B000/XXXX", Help: "post by incoming webhook; either this or a bot token"},
			{Name: "bot_token", Label: "Bot User OAuth Token", Example: "xoxb-...", Help: "post by chat.postMessage, with the scope chat:write; either this or an incoming webhook"},
			{Name: "signing_secret", Label: "Signing Secret", Help: "verifies what the Events API sends; without it every webhook is refused"},
		},
		// "Generally 1 message per second per channel, short bursts allowed."
		Limits:  event.Limits{PerSecond: 1, Burst: 3},
		Samples: samples(sampleTypes()...),
	}}
}

func (s *slack) Describe() Description { return s.desc }

// slackChannel is a channel's name, or the id of a channel, a conversation or a user.
var slackChannel = regexp.MustCompile(`^(#[^\s#@.A-Z]{1,80}|[CDGUW][A-Z0-9]{2,30})$`)

// CheckRecipient takes channels.
func (s *slack) CheckRecipient(address string) error {
	if !slackChannel.MatchString(address) {
		return fmt.Errorf("%.80q is not a channel such as #weddings or C024BE91L", address)
	}
	return nil
}

// Connect takes either the secret webhook_url, or the secret bot_token and the setting channel.
func (s *slack) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&s.desc, in, secrets)
	c := &slackConn{
		slack:   s,
		id:      in.ID,
		channel: f.text("channel"),
		base:    strings.TrimSuffix(f.address("base_url"), "/"),
		hook:    first(f.secret("webhook_url", checkURL)),
		token:   first(f.secret("bot_token", checkToken)),
		signing: f.secret("signing_secret", checkToken),
	}
	switch hook, bot := f.given("webhook_url"), f.given("bot_token"); {
	case !hook && !bot:
		f.problem("secrets.webhook_url", "is required, unless a bot_token is given")
	case hook && bot:
		f.problem("secrets.webhook_url", "give either this or a bot_token, not both")
	case bot && c.channel == "":
		f.problem("settings.channel", "is required with a bot_token: the channel to post to")
	case hook && c.channel != "":
		f.problem("settings.channel", "goes with a bot_token; an incoming webhook posts to its own channel")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if c.token.Reveal() != "" {
		return &slackBot{c}, nil
	}
	return c, nil
}

// slackConn is Slack bound to one integration.
type slackConn struct {
	*slack
	id      string // the integration's
	channel string
	base    string
	hook    event.Secret // "" in bot mode
	token   event.Secret // "" in webhook mode
	signing []event.Secret
}

// slackBot is a slackConn with a bot token, which can be tested without posting anything.
type slackBot struct{ *slackConn }

// Probe asks auth.test who the token belongs to.
func (b *slackBot) Probe(time.Time) (*event.Call, error) {
	return &event.Call{HTTP: &event.HTTPCall{
		Method: http.MethodPost, URL: b.base + "/auth.test", Header: b.header(),
	}}, nil
}

func (c *slackConn) header() http.Header {
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	if c.token.Reveal() != "" {
		h["Authorization"] = []string{"Bearer " + c.token.Reveal()}
	}
	return h
}

// slackMetadata marks a message for programs: the event's id lets a reader see a message posted twice.
type slackMetadata struct {
	EventType    string            `json:"event_type"`
	EventPayload map[string]string `json:"event_payload"`
}

// Call posts the message. In bot mode it is addressed here, not in Encode: to the channel that the mapping
// names, else to the one that is set when it is sent, also where the delivery waited.
func (c *slackConn) Call(d *event.Delivery, _ time.Time) (*event.Call, error) {
	if c.hook.Reveal() != "" && d.Recipient != "" {
		return nil, &SettingsError{c.desc.Vendor, []Problem{
			{"secrets.bot_token", "is needed to post to " + d.Recipient + ", which the mapping names; an incoming webhook posts to its own channel"},
		}}
	}
	if c.hook.Reveal() != "" {
		return &event.Call{HTTP: &event.HTTPCall{Method: http.MethodPost, URL: c.hook.Reveal(), Header: c.header(), Body: d.Body}}, nil
	}
	envelope, err := json.Marshal(struct {
		Channel  string        `json:"channel"`
		Metadata slackMetadata `json:"metadata"`
	}{firstOf(d.Recipient, c.channel), slackMetadata{
		EventType:    "wedsync_event",
		EventPayload: map[string]string{"event_id": d.EventID, "event_type": d.EventType, "delivery_id": d.ID},
	}})
	if err != nil {
		return nil, fmt.Errorf("address the message: %w", err)
	}
	body, err := joinObjects(envelope, d.Body)
	if err != nil {
		return nil, err
	}
	return &event.Call{
		HTTP: &event.HTTPCall{Method: http.MethodPost, URL: c.base + "/chat.postMessage", Header: c.header(), Body: body},
	}, nil
}

// Classify goes by Slack's error code: the whole body of an incoming webhook's answer, the field
// "error" of an API answer, which mostly comes with 200.
func (c *slackConn) Classify(_ *event.Delivery, a *event.Answer) Verdict {
	if a.Err != nil || a.Status == 0 {
		return noAnswer()
	}
	text := strings.TrimSpace(string(a.Body))
	if c.hook.Reveal() != "" {
		return c.classifyHook(a, text)
	}
	var answer struct {
		OK       bool   `json:"ok"`
		Error    string `json:"error"`
		Needed   string `json:"needed"` // the scope that is missing
		Metadata struct {
			Messages []string `json:"messages"`
		} `json:"response_metadata"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil || !answer.OK && answer.Error == "" {
		return c.unreadable(a, text)
	}
	if answer.OK {
		return Verdict{Kind: KindDelivered}
	}
	words := strings.Join(answer.Metadata.Messages, "; ")
	if answer.Needed != "" {
		words = "needs the scope " + answer.Needed + "; " + words
	}
	v := slackVerdict(answer.Error)
	v.RetryAfter, v.Detail = retryAfter(a), detail(words, c.token.Reveal())
	return v
}

func (c *slackConn) classifyHook(a *event.Answer, text string) Verdict {
	v := byStatus(a)
	switch {
	case v.Kind == KindDelivered && text != "ok":
		return c.unreadable(a, text)
	case v.Kind == KindDelivered:
		return v
	case a.Status == http.StatusNotFound: // channel_not_found, no_service, no_team: the webhook is gone
		v.Kind = KindPause
	}
	if isCode(text) {
		v.Reason = text
	} else {
		v.Detail = detail(text, c.hook.Reveal(), c.hookPath())
	}
	return v
}

// unreadable is an answer that is not Slack's: a proxy's page, or an address that is not Slack.
func (c *slackConn) unreadable(a *event.Answer, text string) Verdict {
	v := byStatus(a)
	if v.Kind == KindDelivered {
		v = Verdict{Kind: KindRetry, Reason: "unexpected_answer", Fault: true}
	}
	if v.Detail == "" {
		v.Detail = detail(text, c.hook.Reveal(), c.hookPath(), c.token.Reveal())
	}
	return v
}

// hookPath is the secret part of the webhook URL, which an error page may quote without the host.
func (c *slackConn) hookPath() string {
	if u, err := url.Parse(c.hook.Reveal()); err == nil && len(u.Path) > 1 {
		return u.Path
	}
	return ""
}

// slackVerdict sorts the error codes of chat.postMessage and auth.test (docs.slack.dev, "Errors" of
// either method).
func slackVerdict(code string) Verdict {
	v := Verdict{Reason: firstOf(clip(oneLine(code), 64), "unexpected_answer")}
	switch code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		v.Kind = KindRetry
	case "service_unavailable", "request_timeout", "team_added_to_org",
		"fatal_error", "internal_error": // these two may have posted it; the metadata tells
		v.Kind, v.Fault = KindRetry, true
	case "not_authed", "invalid_auth", "account_inactive", "token_expired", "token_revoked",
		"no_permission", "missing_scope", "not_allowed_token_type", "org_login_required",
		"ekm_access_denied", "access_denied", "accesslimited", "two_factor_setup_required",
		"team_access_not_granted", "enterprise_is_restricted", "channel_not_found",
		"not_in_channel", "is_archived", "restricted_action", "restricted_action_read_only_channel",
		"restricted_action_thread_locked", "restricted_action_thread_only_channel",
		"restricted_action_non_threadable_channel", "method_deprecated", "deprecated_endpoint":
		v.Kind = KindPause
	default:
		v.Kind = KindDead
	}
	return v
}
