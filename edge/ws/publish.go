package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// Publication is the data of a publish command: an event without what the channel, the connection
// and the node know. Type and Payload are required.
type Publication struct {
	Type          string          `json:"type"`
	Payload       json.RawMessage `json:"payload"`
	ID            string          `json:"id,omitempty"` // the same id twice on a channel within ten minutes is one event
	OccurredAt    time.Time       `json:"occurredAt,omitzero"`
	CorrelationID string          `json:"correlationId,omitempty"`
	TraceParent   string          `json:"traceparent,omitempty"`
	WeddingID     string          `json:"weddingId,omitempty"`
}

// publish hands the event to the publisher and answers when the log has it.
func (c *client) publish(ctx context.Context, req *protocol.PublishRequest) (*protocol.PublishResult, *protocol.Error) {
	if err := event.CheckChannel(req.Channel); err != nil {
		return nil, replyError(ErrUnknownChannel, err.Error())
	}
	if !c.who.mayPublish(req.Channel) {
		return nil, replyError(ErrPermissionDenied, "the token's publish claim does not cover "+req.Channel)
	}
	if req.Type != 0 || req.Key != "" || req.Removed {
		return nil, replyError(ErrNotAvailable, "map publications are not available here")
	}
	p, refused := readPublication(req.Data)
	if refused != nil {
		return nil, refused
	}
	_, err := c.server.cfg.Publisher.Publish(ctx, ingest.Draft{
		Channel:       strings.Clone(req.Channel),
		Type:          p.Type,
		Payload:       p.Payload,
		ID:            p.ID,
		OccurredAt:    p.OccurredAt,
		Source:        "client:" + c.who.user,
		Sender:        c.who.sender(),
		CorrelationID: p.CorrelationID,
		TraceParent:   p.TraceParent,
		WeddingID:     p.WeddingID,
	})
	if err == nil {
		return &protocol.PublishResult{}, nil
	}
	reply := rejected(err)
	if reply.Code == ErrInternal {
		c.log().Error().Err(err).Str("channel", req.Channel).Msg("publishing failed")
	}
	return nil, reply
}

// readPublication is strict: a misspelt field is told, not ignored.
func readPublication(data []byte) (Publication, *protocol.Error) {
	var p Publication
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&p)
	if err == nil && d.InputOffset() < int64(len(bytes.TrimRight(data, " \t\r\n"))) {
		err = errors.New("there is something after the object")
	}
	var syntax *json.SyntaxError
	switch {
	case err == nil && p.Payload == nil:
		return p, refusal(problem.PayloadNotObject, "data has no payload; it must be an object")
	case err == nil:
		return p, nil
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return p, refusal(problem.JSONMalformed, "data: "+err.Error())
	default:
		return p, refusal(problem.FieldInvalid, `data must be an object with "type", "payload" and, if you like, `+
			`"id", "occurredAt", "correlationId", "traceparent", "weddingId": `+strings.TrimPrefix(err.Error(), "json: "))
	}
}
