package main

import (
	"context"
	"encoding/json"
	"errors"
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

// deadFilter says which dead letters are meant.
type deadFilter struct {
	Integration string `help:"Of this integration alone." placeholder:"ID"`
	Vendor      string `help:"Of integrations with this vendor alone." placeholder:"NAME"`
	Reason      string `help:"That died of this alone, such as attempts_exhausted." placeholder:"CODE"`
	Type        string `help:"Of events of this type alone." placeholder:"TYPE"`
	Channel     string `help:"Of events on this channel alone, or on those that a pattern selects." placeholder:"PATTERN"`
	Since       string `help:"That died then or later: a time in RFC 3339, or how long ago, such as 24h." placeholder:"TIME"`
	Until       string `help:"That died before, likewise." placeholder:"TIME"`
}

// fields are what is given, by the API's names.
func (f deadFilter) fields() map[string]string {
	given := map[string]string{}
	for name, v := range map[string]string{
		"integration": f.Integration, "vendor": f.Vendor, "reason": f.Reason, "type": f.Type, "channel": f.Channel, "since": f.Since, "until": f.Until,
	} {
		if v != "" {
			given[name] = v
		}
	}
	return given
}

type deadListCmd struct {
	nodeFlags
	deadFilter
	After uint64 `help:"Begin behind this number." placeholder:"SEQ"`
	Limit int    `help:"At most so many." default:"50"`
}

func (c deadListCmd) query() url.Values {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, v := range c.fields() {
		q.Set(name, v)
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
	deadFilter
	Seq    []uint64 `arg:"" optional:"" help:"Their numbers, as listed."`
	All    bool     `help:"All that the filter takes, the oldest first, instead of numbers."`
	DryRun bool     `help:"With --all: only show which."`
}

func (deadReplayCmd) Help() string {
	return `By number, or all that a filter takes:

    wedsync dead replay 17 18
    wedsync dead replay --all --integration=alices-crm --reason=attempts_exhausted --dry-run`
}

func (c deadReplayCmd) Run(ctx context.Context, p printer) error {
	switch {
	case c.All == (len(c.Seq) > 0):
		return usageError{errors.New("give either numbers, or --all and what else selects them")}
	case !c.All && (c.deadFilter != deadFilter{} || c.DryRun):
		return usageError{errors.New("numbers need no filter and no --dry-run")}
	case c.All:
		return c.replayAll(ctx, p)
	}
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

// replayedDead is one dead letter that was replayed, or would be.
type replayedDead struct {
	Seq         uint64 `json:"seq"`
	Integration string `json:"integration"`
	Delivery    string `json:"delivery"`
	Reason      string `json:"reason"`
	Problem     string `json:"problem"`
}

// replayAll goes through all pages.
func (c deadReplayCmd) replayAll(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	body := map[string]any{"dryRun": c.DryRun, "limit": 1000}
	for name, v := range c.fields() {
		body[name] = v
	}
	var rows [][]string
	failed := 0
	for {
		page, text, err := ask[struct {
			Items []replayedDead `json:"items"`
			Next  uint64         `json:"next"`
		}](ctx, node, http.MethodPost, "/api/dead-letters/replay", nil, body)
		if err != nil {
			return err
		}
		if p.json {
			if err := p.line(text); err != nil {
				return err
			}
		}
		for _, d := range page.Items {
			said := d.Problem
			if said == "" {
				said = "-"
			} else {
				failed++
			}
			rows = append(rows, []string{strconv.FormatUint(d.Seq, 10), d.Integration, d.Reason, said})
		}
		if page.Next == 0 {
			break
		}
		body["after"] = page.Next
	}
	if !p.json {
		if err := c.showReplayed(p, rows); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d could not be replayed; they stay dead letters", failed, len(rows))
	}
	return nil
}

func (c deadReplayCmd) showReplayed(p printer, rows [][]string) error {
	if len(rows) > 0 {
		if err := p.table([]string{"seq", "integration", "died of", "problem"}, rows); err != nil {
			return err
		}
	}
	if c.DryRun {
		p.say("%d would be replayed", len(rows))
	} else {
		p.say("%d were looked at", len(rows))
	}
	return nil
}
