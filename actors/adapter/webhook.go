package adapter

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newAnySystem()) }

// The formats of what is sent to a system that is not listed.
const (
	formatStandard    = "standard"    // {type, timestamp, data} of Standard Webhooks 1.0, and more of the event
	formatCloudEvents = "cloudevents" // CloudEvents 1.0, structured mode
)

// anySystem connects a system that has no adapter of its own: generic signed webhooks (see signed.go)
// of every event type in both directions, with our own names of fields.
//
// Settings: url, format. Secrets: signing, webhook.
type anySystem struct{ signedVendor }

func newAnySystem() *anySystem {
	return &anySystem{signedVendor{
		desc: Description{
			Vendor: "webhook",
			Name:   "Signed webhook",
			Documented: "All of it: Standard Webhooks 1.0 (standardwebhooks.com) with the body {type, timestamp, data}, " +
				"or CloudEvents 1.0 (cloudevents.io) in JSON.",
			Receives: []string{AnyType},
			Settings: append(signedSettings("https://example.com/webhooks/wedsync"), Field{
				Name: "format", Label: "Format", Default: formatStandard,
				Help: "of what is sent: standard, or cloudevents for CloudEvents 1.0",
			}),
			Secrets: signedSecrets(),
			Samples: samples(sampleTypes()...),
		},
		encode: encodeStandard,
		decode: decodeAny,
	}}
}

// Connect is signedVendor's, with the setting format.
func (a *anySystem) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&a.desc, in, secrets)
	c := a.bind(f)
	if f.oneOf("format", formatStandard, formatCloudEvents) == formatCloudEvents {
		c.encode = encodeCloudEvent
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// standardEvent is an event as a webhookBody with more beside its three fields, which the
// specification allows. Who sent it stays with us.
type standardEvent struct {
	Type          string          `json:"type"`
	Timestamp     string          `json:"timestamp"` // RFC 3339
	ID            string          `json:"id"`        // the event's, unique on its channel
	Channel       string          `json:"channel"`
	WeddingID     string          `json:"weddingId,omitempty"`
	CorrelationID string          `json:"correlationId,omitempty"`
	Data          json.RawMessage `json:"data"`
}

func encodeStandard(ev *event.Event) (json.RawMessage, error) {
	return encodeWhole(ev, standardEvent{
		Type: ev.Type, Timestamp: ev.OccurredAt.Format(time.RFC3339Nano), ID: ev.ID, Channel: ev.Channel,
		WeddingID: ev.WeddingID, CorrelationID: ev.CorrelationID, Data: ev.Payload,
	})
}

// cloudEvent is an event in the JSON format of CloudEvents 1.0 (cloudevents/formats/json-format.md);
// traceparent is its extension for distributed tracing, weddingid and correlationid are ours. Its first
// field tells a stored body of this format.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"` // with id, unique
	Type            string          `json:"type"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	TraceParent     string          `json:"traceparent,omitempty"`
	WeddingID       string          `json:"weddingid,omitempty"`
	CorrelationID   string          `json:"correlationid,omitempty"`
	Data            json.RawMessage `json:"data"`
}

const (
	cloudEventStart = `{"specversion":`
	cloudEventType  = "application/cloudevents+json"
)

func encodeCloudEvent(ev *event.Event) (json.RawMessage, error) {
	return encodeWhole(ev, cloudEvent{
		SpecVersion: "1.0", ID: ev.ID, Source: "/channels/" + ev.Channel, Type: ev.Type,
		Time: ev.OccurredAt.Format(time.RFC3339Nano), DataContentType: "application/json",
		TraceParent: ev.TraceParent, WeddingID: ev.WeddingID, CorrelationID: ev.CorrelationID, Data: ev.Payload,
	})
}

// encodeWhole writes a body that holds the event's payload as it is.
func encodeWhole(ev *event.Event, body any) (json.RawMessage, error) {
	if _, err := readPayload(ev); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write the body of %s: %w", ev.Type, err)
	}
	return raw, nil
}

// decodeAny takes a webhookBody as it is, whatever its type.
func decodeAny(body []byte) (Message, error) {
	b, m, err := readWebhookBody(body)
	if err != nil {
		return Message{}, err
	}
	if err := event.CheckType(b.Type); err != nil {
		return Message{}, &DecodeError{Field: "type", Reason: err.Error()}
	}
	if _, err := b.fields(); err != nil {
		return Message{}, err
	}
	m.Payload = b.Data
	return m, nil
}
