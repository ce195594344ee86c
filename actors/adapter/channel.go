package adapter

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func init() {
	for category, name := range map[event.Category]string{
		event.SupplierDashboards:   "Supplier dashboards",
		event.ClientCommunications: "Client communications",
		event.TimelineCoordination: "Timeline coordination",
		event.ProjectManagement:    "Project management",
	} {
		register(newChannelVendor(category, name))
	}
}

// channelVendor is a target of wedsync's own: a delivery becomes an event on another channel. The
// event is the one delivered, with its payload, time, correlation and trace, under an id that derives
// from the delivery's.
//
// Settings: channel, a template whose names are looked up among the owner variables, what the
// mapping's pattern captured, and the payload's fields, in this order; type. No secrets.
type channelVendor struct{ desc Description }

var (
	_ Adapter    = (*channelVendor)(nil)
	_ Connection = (*channelConn)(nil)
)

func newChannelVendor(category event.Category, name string) *channelVendor {
	return &channelVendor{desc: Description{
		Vendor:     string(category),
		Name:       name,
		Category:   category,
		Documented: "All of it: the far side is a channel of wedsync itself.",
		Internal:   true,
		Settings: []Field{
			{
				Name: "channel", Label: "Channel", Required: true, Example: "supplier:dashboard:{supplierId}",
				Help: "where the event goes; {name} is an owner variable, what the mapping's pattern captured, or a field of the payload",
			},
			{
				Name: "type", Label: "Event type", Example: "schedule.changed",
				Help: "of the event there; without it that of the event delivered",
			},
		},
		Samples: samples(sampleTypes()...),
	}}
}

func (v *channelVendor) Describe() Description { return v.desc }

func (v *channelVendor) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&v.desc, in, secrets)
	c := &channelConn{id: in.ID, owner: in.Owner, eventType: f.text("type")}
	if text := f.text("channel"); text != "" {
		var err error
		if c.channel, err = event.ParseTemplate(text); err != nil {
			f.problem("settings.channel", clip(err.Error(), 400))
		}
	}
	if c.eventType != "" {
		if err := event.CheckType(c.eventType); err != nil {
			f.problem("settings.type", err.Error())
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// channelConn is a channelVendor bound to one integration.
type channelConn struct {
	id        string
	owner     map[string]string
	channel   event.Template
	eventType string // "": as it comes
}

// channelBody is what a delivery does not know of the event that it will become.
type channelBody struct {
	Type       string          `json:"type"`
	Payload    json.RawMessage `json:"payload"`
	OccurredAt time.Time       `json:"occurredAt"`
	Via        []string        `json:"via"`
}

// Encode keeps the event's payload, and adds this integration to the way it came.
func (c *channelConn) Encode(ev *event.Event) (json.RawMessage, error) {
	if _, err := readPayload(ev); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // which would make the payload larger than what was accepted
	err := e.Encode(channelBody{
		Type: firstOf(c.eventType, ev.Type), Payload: ev.Payload, OccurredAt: ev.OccurredAt,
		Via: append(slices.Clone(ev.Via), c.id),
	})
	return bytes.TrimSpace(b.Bytes()), err
}

// Call fills in the channel, and an id that is the same on every try, so that the log takes the event
// once.
func (c *channelConn) Call(d *event.Delivery, now time.Time) (*event.Call, error) {
	var b channelBody
	if err := json.Unmarshal(d.Body, &b); err != nil || b.Type == "" || len(b.Payload) == 0 {
		return nil, &EncodeError{Reason: "the stored body is not an event; it was not written by this adapter"}
	}
	var p payload
	channel, err := c.channel.Fill(func(name string) (string, bool) {
		for _, vars := range []map[string]string{c.owner, d.Vars} {
			if v, ok := vars[name]; ok {
				return v, true
			}
		}
		if p == nil && json.Unmarshal(b.Payload, &p) != nil {
			return "", false
		}
		return scalar(p[name])
	})
	if err == nil {
		err = event.CheckNotSystem(channel)
	}
	if err != nil {
		return nil, err
	}
	return &event.Call{Event: &event.Event{
		V: event.Version, ID: "evt_" + strings.TrimPrefix(d.ID, "dlv_"), Channel: channel, Type: b.Type, Payload: b.Payload,
		OccurredAt: b.OccurredAt, AcceptedAt: now.UTC(), Source: event.IntegrationSource + c.id,
		CorrelationID: d.CorrelationID, TraceParent: d.TraceParent, WeddingID: d.WeddingID, Via: b.Via,
	}}, nil
}

// The reasons of what did not become an event.
const (
	reasonEventTooLarge = "event_too_large"
	reasonLogFull       = "log_full"
)

// Classify reads what the log answered. A log that is full or silent takes the event later: deliveries
// wait for it as they do for a vendor that is down.
func (c *channelConn) Classify(_ *event.Delivery, a *event.Answer) Verdict {
	switch a.Status {
	case http.StatusCreated, http.StatusOK:
		return Verdict{Kind: KindDelivered}
	case http.StatusRequestEntityTooLarge:
		return Verdict{Kind: KindDead, Reason: reasonEventTooLarge, Detail: detail(string(a.Body))}
	case http.StatusInsufficientStorage:
		return Verdict{Kind: KindRetry, Reason: reasonLogFull, Detail: detail(string(a.Body)), Fault: true}
	}
	return byStatus(a)
}
