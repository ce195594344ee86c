package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/wedsync/wedsync/edge/ingest"
)

type publishCmd struct {
	nodeFlags
	Channel     string    `arg:"" help:"Such as supplier:dashboard:42."`
	Type        string    `arg:"" help:"Such as timeline.updated."`
	Payload     string    `arg:"" optional:"" default:"{}" help:"A JSON object; @FILE reads it from a file, - from standard input."`
	ID          string    `help:"Publish once however often it is sent: an event whose id the channel has had in the last ten minutes is not taken again." placeholder:"ID"`
	Wedding     string    `help:"The couple that the event is about. Default: the payload's weddingId or coupleId." placeholder:"ID"`
	Correlation string    `help:"Correlation id. Default: the event's own." placeholder:"ID"`
	OccurredAt  time.Time `help:"When it happened, in RFC 3339. Default: now." placeholder:"TIME"`
}

func (publishCmd) Help() string {
	return `The event is in the log durably when the command returns.

Examples:

    wedsync publish supplier:dashboard:42 timeline.updated '{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00"}'

    wedsync publish supplier:dashboard:42 timeline.updated @timeline.json`
}

// publication is the body of POST /api/channels/{name}/publish.
type publication struct {
	Type          string          `json:"type"`
	Payload       json.RawMessage `json:"payload"`
	ID            string          `json:"id,omitempty"`
	OccurredAt    time.Time       `json:"occurredAt,omitzero"`
	CorrelationID string          `json:"correlationId,omitempty"`
	WeddingID     string          `json:"weddingId,omitempty"`
}

func (c publishCmd) Run(ctx context.Context, w world, p printer) error {
	payload, err := readArgument(c.Payload, w.stdin)
	if err != nil {
		return err
	}
	if !json.Valid(payload) {
		return usageError{fmt.Errorf("the payload is not JSON: %s", short(string(payload), 80))}
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	receipt, text, err := ask[ingest.Receipt](ctx, node, http.MethodPost, "/api/channels/"+url.PathEscape(c.Channel)+"/publish", nil,
		publication{c.Type, payload, c.ID, c.OccurredAt, c.Correlation, c.Wedding})
	switch {
	case err != nil:
		return err
	case p.json:
		return p.line(text)
	case receipt.Duplicate:
		p.say("event %s is in the log already, at %d", receipt.ID, receipt.Seq)
	default:
		p.say("event %s is in the log at %d", receipt.ID, receipt.Seq)
	}
	return nil
}

// readArgument returns the text itself, or what a file (@name) or standard input (-) holds.
func readArgument(text string, stdin io.Reader) ([]byte, error) {
	var out []byte
	var err error
	switch name, isFile := strings.CutPrefix(text, "@"); {
	case text == "-":
		out, err = io.ReadAll(stdin)
	case isFile:
		out, err = os.ReadFile(name)
	default:
		return []byte(text), nil
	}
	if err != nil {
		return nil, usageError{err}
	}
	return bytes.TrimSpace(out), nil
}
