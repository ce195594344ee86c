package wsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/centrifugal/protocol"
)

// Event is what a client publishes. Type and Payload are required.
type Event struct {
	Type          string          `json:"type"`
	Payload       json.RawMessage `json:"payload"`
	ID            string          `json:"id,omitempty"` // the same id twice within ten minutes is one event
	OccurredAt    time.Time       `json:"occurredAt,omitzero"`
	CorrelationID string          `json:"correlationId,omitempty"`
	TraceParent   string          `json:"traceparent,omitempty"`
	WeddingID     string          `json:"weddingId,omitempty"`
}

// Publish publishes an event and returns when the log has it. A refusal is an *Error. After another
// error the event may have been published; with the same ID, publishing it again is safe.
func (c *Client) Publish(ctx context.Context, channel string, e Event) error {
	data, err := json.Marshal(e)
	if err == nil {
		_, err = c.do(ctx, &protocol.Command{Publish: &protocol.PublishRequest{Channel: channel, Data: data}})
	}
	if err != nil {
		return fmt.Errorf("publishing on %s: %w", channel, err)
	}
	return nil
}

// HistoryQuery asks for publications: after Since (nil: from the oldest) in order, or, with Newest, the
// last ones, newest first. The server may return less than Limit; with Limit 0 it returns none, only
// the position.
type HistoryQuery struct {
	Since  *Position
	Limit  int
	Newest bool
}

// History returns publications of a channel and the position of the log's end. A refusal is an *Error.
func (c *Client) History(ctx context.Context, channel string, q HistoryQuery) ([]Publication, Position, error) {
	req := &protocol.HistoryRequest{Channel: channel, Limit: int32(min(q.Limit, 1<<30)), Reverse: q.Newest}
	if q.Since != nil {
		req.Since = &protocol.StreamPosition{Offset: q.Since.Offset, Epoch: q.Since.Epoch}
	}
	reply, err := c.do(ctx, &protocol.Command{History: req})
	if err != nil {
		return nil, Position{}, fmt.Errorf("reading the history of %s: %w", channel, err)
	}
	res := reply.History
	pubs := make([]Publication, 0, len(res.GetPublications()))
	for _, p := range res.GetPublications() {
		pubs = append(pubs, Publication{Channel: channel, Offset: p.Offset, Data: json.RawMessage(p.Data)})
	}
	return pubs, Position{Offset: res.GetOffset(), Epoch: res.GetEpoch()}, nil
}
