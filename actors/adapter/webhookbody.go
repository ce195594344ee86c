package adapter

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// webhookBody is the body that Standard Webhooks 1.0 recommends: {"type","timestamp","data"}.
type webhookBody struct {
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"` // RFC 3339
	Data      json.RawMessage `json:"data"`
}

// outgoing wraps data in a webhookBody.
func outgoing(ev *event.Event, data any) (json.RawMessage, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("write the data of %s: %w", ev.Type, err)
	}
	return json.Marshal(webhookBody{
		Type: ev.Type, Timestamp: ev.OccurredAt.Format(time.RFC3339), Data: raw,
	})
}

// outgoingBy is outgoing of the payload's fields, each by the rule for the event's type. Fields without
// a rule are left out.
func outgoingBy(ev *event.Event, rules map[string][]rule) (json.RawMessage, error) {
	p, err := readPayload(ev)
	if err != nil {
		return nil, err
	}
	data := make(map[string]any, len(rules[ev.Type]))
	for _, f := range rules[ev.Type] {
		if !p.has(f.ours) {
			if f.required {
				return nil, &EncodeError{Field: f.ours, Reason: "is missing"}
			}
			continue
		}
		v, reason := f.read(p[f.ours])
		if reason == "" && f.required && v == "" {
			reason = "is empty"
		}
		if reason != "" {
			return nil, &EncodeError{Field: f.ours, Reason: reason}
		}
		data[f.theirs] = v
	}
	return outgoing(ev, data)
}

// readWebhookBody reads a webhookBody, and begins the message with what is not in its data.
func readWebhookBody(body []byte) (b webhookBody, m Message, err error) {
	if err := json.Unmarshal(body, &b); err != nil {
		return b, m, &DecodeError{Reason: "the body is not a webhook {type, timestamp, data}: " + clip(err.Error(), 200)}
	}
	m.Type = b.Type
	if b.Timestamp != "" {
		if m.OccurredAt, err = time.Parse(time.RFC3339, b.Timestamp); err != nil {
			return b, m, &DecodeError{Field: "timestamp", Reason: "must be an RFC 3339 time"}
		}
	}
	return b, m, nil
}

// fields gives the data, which must be an object.
func (b *webhookBody) fields() (map[string]json.RawMessage, error) {
	var data map[string]json.RawMessage
	if err := json.Unmarshal(b.Data, &data); err != nil || data == nil {
		return nil, &DecodeError{Field: "data", Reason: "must be an object"}
	}
	return data, nil
}

// incoming translates a webhookBody: each of its data fields by the rule for its type. Fields
// without a rule are left out, so that nothing unknown passes.
func incoming(body []byte, rules map[string][]rule) (Message, error) {
	b, m, err := readWebhookBody(body)
	if err != nil {
		return Message{}, err
	}
	fields, ok := rules[b.Type]
	if !ok {
		return Message{}, &DecodeError{Field: "type", Reason: fmt.Sprintf("%.80q is not one of %s", b.Type, strings.Join(sortedKeys(rules), ", "))}
	}
	data, err := b.fields()
	if err != nil {
		return Message{}, err
	}
	said, err := translate(data, "data.", fields)
	if err != nil {
		return Message{}, err
	}
	m.WeddingID, _ = said[fieldCoupleID].(string)
	m.Payload, err = json.Marshal(said)
	return m, err
}

// translate makes our fields of a vendor's, each by its rule. within is what errors put before a name.
func translate(data map[string]json.RawMessage, within string, rules []rule) (map[string]any, error) {
	said := make(map[string]any, len(rules))
	for _, f := range rules {
		raw, given := data[f.theirs]
		if !given || string(raw) == "null" {
			if f.required {
				return nil, &DecodeError{Field: within + f.theirs, Reason: "is missing"}
			}
			continue
		}
		v, reason := f.read(raw)
		if reason != "" {
			return nil, &DecodeError{Field: within + f.theirs, Reason: reason}
		}
		said[f.ours] = v
	}
	return said, nil
}

// rule says how one field of a vendor's data becomes one of ours.
type rule struct {
	theirs, ours string
	read         func(json.RawMessage) (v any, reason string)
	required     bool
}

// Bounds on what a webhook may say.
const (
	maxWebhookText = 2000 // characters
	maxPeople      = 1_000_000
)

// readAny takes what is there as it stands; of what we send only.
func readAny(raw json.RawMessage) (any, string) { return raw, "" }

func readText(raw json.RawMessage) (any, string) {
	s, ok := scalar(raw)
	if !ok || raw[0] == 't' || raw[0] == 'f' {
		return nil, "must be a text"
	}
	return shorten(s, maxWebhookText), ""
}

// readID takes what identifies something: a text that can stand in a channel name, or a number.
func readID(raw json.RawMessage) (any, string) {
	s, ok := scalar(raw)
	if !ok || !event.ValidSegment(s) {
		return nil, "must be 1 to 64 of A-Z a-z 0-9 _ - and ."
	}
	return s, ""
}

func readPeople(raw json.RawMessage) (any, string) {
	n, err := strconv.ParseUint(string(raw), 10, 32)
	if err != nil || n > maxPeople {
		return nil, "must be a whole number from 0 to 1000000"
	}
	return n, ""
}

func readBool(raw json.RawMessage) (any, string) {
	switch string(raw) {
	case "true":
		return true, ""
	case "false":
		return false, ""
	}
	return nil, "must be true or false"
}

func readTime(raw json.RawMessage) (any, string) {
	s, _ := scalar(raw)
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return nil, "must be a time with its offset (RFC 3339), such as 2026-06-20T16:00:00+02:00"
	}
	return s, ""
}

func readDate(raw json.RawMessage) (any, string) {
	s, _ := scalar(raw)
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return nil, "must be a date such as 2026-06-20"
	}
	return s, ""
}

// unixTime gives the zero time, which stands for now, where JSON could not write the year.
func unixTime(seconds int64) time.Time {
	const year10000 = 253402300800
	if seconds <= 0 || seconds >= year10000 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
