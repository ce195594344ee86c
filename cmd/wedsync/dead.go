package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/wedsync/wedsync/actors/event"
)

type deadCmd struct {
	List    deadListCmd    `cmd:"" default:"withargs" help:"List dead letters, the oldest first."`
	Show    deadShowCmd    `cmd:"" help:"Show one with its event, the body sent and every attempt."`
	Replay  deadReplayCmd  `cmd:"" help:"Deliver again, in order and with the same idempotency id."`
	Discard deadDiscardCmd `cmd:"" help:"Remove for good."`
}

// deadLetter is one item of GET /api/dead-letters.
type deadLetter struct {
	Seq    uint64           `json:"seq"`
	Letter event.DeadLetter `json:"letter"`
}

type deadPage struct {
	Items []deadLetter `json:"items"`
	Next  uint64       `json:"next"` // after which the next page begins; 0: there is none
}

type deadListCmd struct {
	nodeFlags
	Integration string `help:"Of this integration alone." placeholder:"ID"`
	After       uint64 `help:"Begin behind this number." placeholder:"SEQ"`
	Limit       int    `help:"At most so many." default:"50"`
}

func (c deadListCmd) query() url.Values {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.Integration != "" {
		q.Set("integration", c.Integration)
	}
	if c.After > 0 {
		q.Set("after", strconv.FormatUint(c.After, 10))
	}
	return q
}

func (c deadListCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	page, text, err := ask[deadPage](ctx, node, http.MethodGet, "/api/dead-letters", c.query(), nil)
	if err != nil {
		return err
	}
	if p.json {
		return p.object(text)
	}
	if len(page.Items) == 0 {
		p.say("no dead letters")
		return nil
	}
	rows := make([][]string, 0, len(page.Items))
	for _, d := range page.Items {
		l := &d.Letter
		rows = append(rows, []string{
			strconv.FormatUint(d.Seq, 10), clock(l.DiedAt), l.Delivery.Integration, l.Event.Type, l.Event.Channel,
			strconv.Itoa(len(l.Attempts)), l.Reason, short(l.Detail, 60),
		})
	}
	if err := p.table([]string{"seq", "died", "integration", "type", "channel", "attempts", "reason", "detail"}, rows); err != nil {
		return err
	}
	if page.Next > 0 {
		p.say("more: --after %d", page.Next)
	}
	return nil
}

type deadShowCmd struct {
	nodeFlags
	Seq uint64 `arg:"" help:"Its number, as listed."`
}

func (c deadShowCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	_, text, err := ask[deadLetter](ctx, node, http.MethodGet, fmt.Sprintf("/api/dead-letters/%d", c.Seq), nil, nil)
	if err != nil {
		return err
	}
	return p.object(text)
}

type deadReplayCmd struct {
	nodeFlags
	Seq []uint64 `arg:"" help:"Their numbers, as listed."`
}

func (c deadReplayCmd) Run(ctx context.Context, p printer) error {
	return eachDead(ctx, p, c.nodeFlags, c.Seq, http.MethodPost, "/replay", "is on its way again")
}

type deadDiscardCmd struct {
	nodeFlags
	Seq []uint64 `arg:"" help:"Their numbers, as listed."`
}

func (c deadDiscardCmd) Run(ctx context.Context, p printer) error {
	return eachDead(ctx, p, c.nodeFlags, c.Seq, http.MethodDelete, "", "is discarded")
}

// eachDead does one thing to each of the dead letters, and stops at the first that fails.
func eachDead(ctx context.Context, p printer, f nodeFlags, seqs []uint64, method, action, said string) error {
	node, err := f.client()
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		text, err := node.call(ctx, method, fmt.Sprintf("/api/dead-letters/%d%s", seq, action), nil, nil)
		if err != nil {
			return fmt.Errorf("dead letter %d: %w", seq, err)
		}
		if !p.json {
			p.say("dead letter %d %s", seq, said)
			continue
		}
		if len(text) == 0 {
			text = json.RawMessage(fmt.Sprintf(`{"seq":%d}`, seq))
		}
		if err := p.line(text); err != nil {
			return err
		}
	}
	return nil
}
