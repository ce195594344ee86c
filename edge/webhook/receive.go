package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// maxMessages bounds what one webhook makes events of; WhatsApp, which joins the most, sends up to 1,000
// (developers.facebook.com/docs/graph-api/webhooks/getting-started, "updates are aggregated").
const maxMessages = 1000

// webhook takes POST /api/webhooks/{vendor}/{integrationId}.
func (h *Handler) webhook(ctx context.Context, c *call) (*answer, error) {
	c.action = "webhook.receive"
	body, err := problem.ReadBody(c.w, c.r, int64(h.cfg.MaxBytes))
	if err != nil {
		return nil, err
	}
	in, conn, err := h.vendorParty(c)
	if err != nil {
		return nil, err
	}
	receiver, ok := conn.(adapter.Receiver)
	if !ok {
		return nil, problem.New(problem.NotAReceiver, "%s sends no webhooks", c.vendor)
	}
	inbound := &adapter.Inbound{Header: c.r.Header, Body: body}
	id, err := receiver.Verify(inbound, c.now)
	if err != nil {
		return nil, verifyFailed(err)
	}
	c.verified = true
	if err := h.spend(c, in); err != nil {
		return nil, err
	}
	if err := ingest.CheckObject(body, h.limits); err != nil {
		return nil, err
	}
	got, err := receiver.Decode(inbound)
	if err != nil {
		return nil, decodeFailed(err)
	}
	if n := len(got.Messages); n > maxMessages {
		return nil, problem.New(problem.TooManyMessages, "the webhook holds %d messages, at most %d are taken at once; send it in parts", n, maxMessages)
	}
	return h.publish(ctx, c, in, receiver.ReplayWindow(), batch{id: id, body: body, Reception: got})
}

// vendorParty is party for an address that names the vendor too.
func (h *Handler) vendorParty(c *call) (event.Integration, adapter.Connection, error) {
	vendor := c.r.PathValue("vendor")
	if _, err := adapter.Lookup(vendor); err != nil {
		return event.Integration{}, nil, problem.New(problem.VendorUnknown, "%v", err)
	}
	c.vendor = vendor
	return h.party(c, c.r.PathValue("integrationId"))
}

// handshake takes GET /api/webhooks/{vendor}/{integrationId}.
func (h *Handler) handshake(_ context.Context, c *call) (*answer, error) {
	c.action = "webhook.handshake"
	_, conn, err := h.vendorParty(c)
	if err != nil {
		return nil, err
	}
	hs, ok := conn.(adapter.Handshaker)
	if !ok {
		return nil, problem.New(problem.NoHandshake, "%s checks no addresses; send webhooks by POST", c.vendor)
	}
	text, err := hs.Handshake(c.r.URL.Query())
	if err != nil {
		return nil, verifyFailed(err)
	}
	c.verified = true
	return &answer{reply: []byte(text)}, nil
}

// spend takes one webhook from the integration's budget.
func (h *Handler) spend(c *call, in event.Integration) error {
	limit := in.Limits.WebhooksPerHour
	if limit == 0 {
		limit = h.perHour[in.Vendor]
	}
	if limit == 0 {
		limit = h.cfg.PerHour
	}
	ok, after := h.budgets.spend(in.ID, limit, c.now)
	if ok {
		return nil
	}
	return problem.New(problem.RateLimited, "the integration %q has sent the %d webhooks an hour that it may", in.ID, limit).After(after)
}

func decodeFailed(err error) error {
	var bad *adapter.DecodeError
	if errors.As(err, &bad) {
		return problem.New(problem.WebhookUndecodable, "%v", bad)
	}
	return fmt.Errorf("webhook: decode: %w", err)
}

// batch is a decoded webhook.
type batch struct {
	id   string // the webhook's own; "" where the protocol has none
	body []byte
	adapter.Reception
	channel string // where all of it goes; "": as the integration's template says
}

// publish makes events of the messages. One that can never become an event does not keep the others
// from it; where the log fails, the sender has to come again with all, and those that are in are known. All that
// it asks of the log together waits for that no longer than one publish does.
func (h *Handler) publish(ctx context.Context, c *call, in event.Integration, window time.Duration, b batch) (*answer, error) {
	ctx = journal.Patient(ctx)
	a := &answer{Events: make([]ingest.Receipt, 0, len(b.Messages)), reply: b.Reply}
	var first error
	known := 0
	for i := range b.Messages {
		receipt, err := h.publishOne(ctx, c, in, window, &b, i)
		if err != nil {
			p := problem.Of(err)
			if p.Status >= 500 {
				return nil, err
			}
			if first == nil {
				first = err
			}
			a.Refused = append(a.Refused, refused{Message: i, Code: p.Code, Detail: p.Detail})
			if len(b.Messages) > 1 {
				h.audit(c, p.Code, fmt.Sprintf("message %d of %d, %s", i+1, len(b.Messages), auditDetail(c, p)))
			}
			continue
		}
		if receipt.Duplicate {
			known++
		}
		a.Events = append(a.Events, receipt)
	}
	if len(a.Events) == 0 && first != nil {
		return nil, first
	}
	a.Duplicate = known > 0 && known == len(b.Messages)
	return a, nil
}

func (h *Handler) publishOne(ctx context.Context, c *call, in event.Integration, window time.Duration, b *batch, i int) (ingest.Receipt, error) {
	m := &b.Messages[i]
	id := eventID(in.ID, b.messageID(i))
	if window > logRemembers {
		if seq, known, err := h.recall(ctx, id); err != nil || known {
			return ingest.Receipt{ID: id, Seq: seq, Duplicate: known}, err
		}
	}
	channel := b.channel
	if channel == "" {
		var err error
		if channel, err = channelOf(in, m.Payload); err != nil {
			return ingest.Receipt{}, err
		}
	}
	receipt, err := h.cfg.Publisher.Publish(ctx, ingest.Draft{
		Channel: channel, Type: m.Type, Payload: m.Payload, ID: id, OccurredAt: m.OccurredAt,
		Source: event.WebhookSource + in.ID, TraceParent: c.r.Header.Get(problem.TraceHeader), WeddingID: m.WeddingID,
	})
	if err != nil || window <= logRemembers {
		return receipt, err
	}
	return receipt, h.remember(ctx, id, receipt.Seq)
}
