package webhook

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// IntegrationHeader names the integration that sends a channel event; so does the query parameter
// "integration".
const IntegrationHeader = "X-Integration-Id"

// tolerance is how far the time of an in-body signature may lie from now, as in Standard Webhooks.
const tolerance = 5 * time.Minute

// channelEvent is the body of POST /api/webhooks/channel-events.
type channelEvent struct {
	Channel   string          `json:"channelName"`
	Type      string          `json:"eventType"`
	Payload   json.RawMessage `json:"payload"` // byte for byte as it stands in the body
	Timestamp json.RawMessage `json:"timestamp"`
	Signature string          `json:"signature"`

	stamp string    // the timestamp's text, which is signed
	at    time.Time // zero where there is none
}

// channelEvent takes POST /api/webhooks/channel-events.
func (h *Handler) channelEvent(ctx context.Context, c *call) (*answer, error) {
	c.action = "webhook.channel_event"
	body, err := problem.ReadBody(c.w, c.r, int64(h.channel.Bytes))
	if err != nil {
		return nil, err
	}
	in, conn, err := h.channelParty(c)
	if err != nil {
		return nil, err
	}
	ev, err := decodeChannelEvent(body, h.channel)
	if err != nil {
		return nil, err
	}
	id, window, err := ev.verify(conn, &adapter.Inbound{Header: c.r.Header, Body: body}, c.now)
	if err != nil {
		return nil, err
	}
	c.verified = true
	if err := h.spend(c, in); err != nil {
		return nil, err
	}
	if err := event.CheckChannel(ev.Channel); err == nil { // a bad name is for ingest to refuse
		if err := mayPublish(in, ev.Channel); err != nil {
			return nil, err
		}
	}
	return h.publish(ctx, c, in, window, batch{id: id, body: body, channel: ev.Channel, Reception: adapter.Reception{
		Messages: []adapter.Message{{Type: ev.Type, Payload: ev.Payload, OccurredAt: ev.at}},
	}})
}

func (h *Handler) channelParty(c *call) (event.Integration, adapter.Connection, error) {
	id := c.r.Header.Get(IntegrationHeader)
	if id == "" {
		id = c.r.URL.Query().Get("integration")
	}
	if id == "" {
		return event.Integration{}, nil, problem.New(problem.IntegrationUnnamed,
			"name the integration in the header %s or the query parameter integration", IntegrationHeader)
	}
	return h.party(c, id)
}

// decodeChannelEvent reads a body. It checks what the signature is made of and no more: the rest is
// said to a sender that is known.
func decodeChannelEvent(body []byte, limits ingest.Limits) (*channelEvent, error) {
	if err := ingest.CheckObject(body, limits); err != nil {
		return nil, err
	}
	ev := &channelEvent{}
	if err := json.Unmarshal(body, ev); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, problem.New(problem.FieldInvalid, "%s is a %s; it must be a text", kind.Field, kind.Value)
		}
		return nil, problem.New(problem.JSONMalformed, "%v", err)
	}
	for _, f := range []struct {
		name    string
		missing bool
	}{{"channelName", ev.Channel == ""}, {"eventType", ev.Type == ""}, {"payload", len(ev.Payload) == 0}} {
		if f.missing {
			return nil, problem.New(problem.FieldInvalid, "%s is missing", f.name)
		}
	}
	if err := ev.readTime(); err != nil {
		return nil, err
	}
	return ev, nil
}

// readTime reads the timestamp: RFC 3339, or Unix seconds as a number or a text.
func (ev *channelEvent) readTime() error {
	if len(ev.Timestamp) == 0 || string(ev.Timestamp) == "null" {
		return nil
	}
	text, ok := scalar(ev.Timestamp)
	if !ok {
		return problem.New(problem.TimestampInvalid, "timestamp must be an RFC 3339 time or Unix seconds")
	}
	ev.stamp = text
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		ev.at = time.Unix(seconds, 0)
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return problem.New(problem.TimestampInvalid, "timestamp %.40q is neither an RFC 3339 time nor Unix seconds", text)
	}
	ev.at = at
	return nil
}

// verify checks the headers' signature, the body's, or both where both are given. It returns what
// tells this event from others of its sender, and for how long it could come again.
func (ev *channelEvent) verify(conn adapter.Connection, in *adapter.Inbound, now time.Time) (id string, window time.Duration, err error) {
	if ev.Signature != "" {
		if err := ev.verifyBody(conn, now); err != nil {
			return "", 0, err
		}
		if in.Header.Get("Webhook-Signature") == "" {
			// The texts that are signed run into each other, so one signature may fit two ways to cut
			// them; as one signature is one id, it is good for one event.
			return "signature:" + strings.ToLower(ev.Signature), tolerance, nil
		}
	}
	receiver, ok := conn.(adapter.Receiver)
	if !ok {
		return "", 0, problem.New(problem.SignatureMissing, "there is no signature in the body, and this integration knows no other")
	}
	if id, err = receiver.Verify(in, now); err != nil {
		return "", 0, verifyFailed(err)
	}
	return id, receiver.ReplayWindow(), nil
}

func (ev *channelEvent) verifyBody(conn adapter.Connection, now time.Time) error {
	if ev.at.IsZero() {
		return problem.New(problem.TimestampInvalid, "timestamp is missing; a signature in the body needs one")
	}
	if off := now.Sub(ev.at).Abs(); off > tolerance {
		return problem.New(problem.TimestampOld, "timestamp %.40s is %v from now; at most %v are allowed", ev.stamp, off.Round(time.Second), tolerance)
	}
	keys, ok := conn.(adapter.Keyholder)
	if !ok {
		return problem.New(problem.SignatureInvalid, "this integration verifies no signatures in the body")
	}
	mac, err := hex.DecodeString(ev.Signature)
	if err != nil || !keys.SignedBy(mac, []byte(ev.Channel+"."+ev.Type+"."+ev.stamp+"."), ev.Payload) {
		return problem.New(problem.SignatureInvalid,
			"signature is not the hex HMAC-SHA256 of {channelName}.{eventType}.{timestamp}.{payload} by this integration's webhook secret")
	}
	return nil
}
