package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// findFlags say which part of what ClickHouse has is wanted.
type findFlags struct {
	Since string `help:"A time in RFC 3339, or how long ago, such as 24h. Default: all that is kept." placeholder:"TIME"`
	Until string `help:"The same, for where it ends. Default: now." placeholder:"TIME"`
	After string `help:"Begin behind this cursor, which the page before ended with." placeholder:"CURSOR"`
	Limit int    `help:"At most so many." default:"50"`
}

// query makes a query of the flags and of filters, leaving out what is empty.
func (f findFlags) query(filters map[string]string) url.Values {
	q := url.Values{"limit": {strconv.Itoa(f.Limit)}}
	for name, v := range map[string]string{"since": f.Since, "until": f.Until, "after": f.After} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, v := range filters {
		if v != "" {
			q.Set(name, v)
		}
	}
	return q
}

// found asks for a page and prints it, for people as a table of what row says.
func found[T any](ctx context.Context, p printer, f nodeFlags, path string, query url.Values, head []string, row func(T) []string) error {
	node, err := f.client()
	if err != nil {
		return err
	}
	part, text, err := ask[page[T]](ctx, node, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if p.json {
		return p.object(text)
	}
	if len(part.Items) == 0 {
		p.say("nothing found")
		return nil
	}
	rows := make([][]string, len(part.Items))
	for i, item := range part.Items {
		rows[i] = row(item)
	}
	if err := p.table(head, rows); err != nil {
		return err
	}
	if part.Next != "" {
		p.say("more: --after %s", plain(part.Next))
	}
	return nil
}

type auditCmd struct {
	nodeFlags
	findFlags
	Actor   string `help:"Who: admin:NAME, key:NAME, key:NAME/ID, webhook:INTEGRATION or system." placeholder:"WHO"`
	Action  string `help:"What, such as integration.put; integration is all that is done to integrations." placeholder:"WHAT"`
	Target  string `help:"The id acted upon." placeholder:"ID"`
	Outcome string `help:"ok, or an error's code." placeholder:"CODE"`
}

func (auditCmd) Help() string {
	return `The newest first. The records come from ClickHouse and lag behind by a second or two.

Examples:

    wedsync audit --action key --since 168h

    wedsync audit --actor key:alice --outcome scope_missing

    wedsync audit --action webhook.receive --outcome signature_invalid --json`
}

func (c auditCmd) Run(ctx context.Context, p printer) error {
	query := c.query(map[string]string{"actor": c.Actor, "action": c.Action, "target": c.Target, "outcome": c.Outcome})
	head := []string{"when", "who", "what", "on", "outcome", "from", "detail"}
	return found(ctx, p, c.nodeFlags, "/api/audit", query, head, func(r analytics.AuditRow) []string {
		return []string{clock(r.At), r.Actor, r.Action, r.Target, r.Outcome, r.From, short(r.Detail, 60)}
	})
}

type deliveriesCmd struct {
	List deliveriesListCmd `cmd:"" default:"withargs" help:"Find deliveries that ended, the latest first."`
	Show deliveriesShowCmd `cmd:"" help:"Show one with every attempt and receipt."`
}

type deliveriesListCmd struct {
	nodeFlags
	findFlags
	Channel     string `help:"Of events on this channel." placeholder:"CHANNEL"`
	Integration string `help:"To this integration." placeholder:"ID"`
	Event       string `help:"Of this event." placeholder:"ID"`
	Wedding     string `help:"About this wedding." placeholder:"ID"`
	Outcome     string `help:"That ended so: ${enum}." enum:",delivered,dead,skipped" default:""`
}

func (deliveriesListCmd) Help() string {
	return `One that was replayed is there once for each end. The records come from ClickHouse and lag behind by a second or two.

Examples:

    wedsync deliveries --channel supplier:dashboard:42 --since 24h

    wedsync deliveries --event evt-1

    wedsync deliveries --outcome dead --integration alices-crm`
}

func (c deliveriesListCmd) Run(ctx context.Context, p printer) error {
	query := c.query(map[string]string{
		"channel": c.Channel, "integration": c.Integration, "eventId": c.Event, "weddingId": c.Wedding, "outcome": c.Outcome,
	})
	head := []string{"id", "ended", "outcome", "integration", "type", "channel", "event", "attempts", "took", "reason"}
	return found(ctx, p, c.nodeFlags, "/api/deliveries", query, head, func(d analytics.DeliveryRow) []string {
		return []string{
			d.ID, clock(d.FinishedAt), string(d.Outcome), d.Integration, d.EventType, d.Channel, d.EventID, strconv.Itoa(d.Attempts), took(d.Latency), d.Reason,
		}
	})
}

func took(d event.Duration) string { return time.Duration(d).Round(time.Millisecond / 10).String() }

type deliveriesShowCmd struct {
	nodeFlags
	ID string `arg:"" help:"The delivery, dlv_ and 32 hex digits."`
}

func (deliveriesShowCmd) Help() string {
	return `The receipts are what the vendor says became of the message: sent, delivered, read or failed.

Example:

    wedsync deliveries show dlv_0123456789abcdef0123456789abcdef`
}

// tracedDelivery is the answer of GET /api/deliveries/{id}.
type tracedDelivery struct {
	Ends     []analytics.DeliveryRow `json:"ends"`
	Attempts []analytics.AttemptRow  `json:"attempts"`
	Receipts []analytics.ReceiptRow  `json:"receipts"`
}

func (c deliveriesShowCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	d, text, err := ask[tracedDelivery](ctx, node, http.MethodGet, "/api/deliveries/"+url.PathEscape(c.ID), nil, nil)
	if err != nil {
		return err
	}
	if p.json {
		return p.object(text)
	}
	if len(d.Ends) == 0 {
		p.say("under way")
	}
	for _, e := range d.Ends {
		p.say("%s", strings.TrimSpace(plain(string(e.Outcome)+" "+e.Reason)))
		p.say("  %s on %s to %s, event %s", plain(e.EventType), plain(e.Channel), plain(e.Integration), plain(e.EventID))
		p.say("  accepted %s, ended %s, replay %d", clock(e.AcceptedAt), clock(e.FinishedAt), e.Replay)
	}
	rows := make([][]string, len(d.Attempts))
	for i, a := range d.Attempts {
		rows[i] = []string{strconv.Itoa(a.Number), clock(a.StartedAt), took(a.Duration), strconv.Itoa(a.Status), a.Verdict, a.Reason, a.Node, short(a.Detail, 60)}
	}
	if err := p.table([]string{"attempt", "started", "took", "status", "verdict", "reason", "node", "detail"}, rows); err != nil || len(d.Receipts) == 0 {
		return err
	}
	receipts := make([][]string, len(d.Receipts))
	for i, r := range d.Receipts {
		receipts[i] = []string{string(r.Status), clock(r.At), r.Reason, short(r.Detail, 60)}
	}
	p.say("")
	return p.table([]string{"receipt", "at", "reason", "detail"}, receipts)
}
