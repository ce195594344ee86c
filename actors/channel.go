package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/cluster/journal"
)

// channel routes the events of one channel, one after the other: an event's deliveries are in the log
// before the next event's are made, so that no failure between the two can swap them.
type channel struct {
	t           *tenure
	child       *child
	bag         *channelBag
	incarnation uint64
	self        *actor.PID
	committing  bool // a worker routes the oldest event
}

// channelBag is what a channel's actor holds of the log: events not yet acknowledged, oldest first.
type channelBag struct {
	queue        []*journal.RoutedEvent
	seen         uint64
	incarnations uint64
	noneHeld     bool // no delivery of the channel is held; it alone holds any
}

func newChannel(t *tenure, ch *child) *channel {
	ch.channel.incarnations++
	ch.channel.noneHeld = false // what the one before has held is not known
	return &channel{t: t, child: ch, bag: ch.channel, incarnation: ch.channel.incarnations}
}

// Receive implements actor.Actor.
func (ch *channel) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		ch.self = c.Self()
		ch.route()
	case *journal.RoutedEvent:
		ch.bag.seen++
		ch.bag.queue = append(ch.bag.queue, m)
		if len(ch.bag.queue) == 1 {
			ch.route()
		}
	case routed:
		if m.incarnation == ch.incarnation {
			ch.bag.noneHeld = m.noneHeld
			ch.routed(m.err)
		}
	case resume:
		ch.route()
	case askIdle:
		if len(ch.bag.queue) == 0 {
			c.Send(c.Parent(), idle{child: ch.child, seen: ch.bag.seen})
		}
	}
}

// route works on the oldest event until one needs the log.
func (ch *channel) route() {
	for len(ch.bag.queue) > 0 && !ch.committing && ch.t.routes() {
		plan := ch.t.sys.plan(ch.bag.queue[0].Event)
		if !plan.empty() {
			plan.noneHeld = ch.bag.noneHeld
			ch.committing = ch.t.crew.Go(func(ctx context.Context) { ch.commit(ctx, plan) })
			return
		}
		plan.span.End()
		ch.done()
	}
}

// commit writes the plan into the log, again and again until it is there: each write is idempotent.
func (ch *channel) commit(ctx context.Context, plan *plan) {
	defer plan.span.End()
	err := ch.t.persist(ctx, "routing an event", plan.commit)
	if err == nil {
		for _, r := range plan.records {
			ch.t.sys.ended(r)
		}
	}
	ch.t.sys.root.Send(ch.self, routed{ch.incarnation, plan.noneHeld, err})
}

func (ch *channel) routed(err error) {
	if err != nil {
		return // the tenure ends; the event comes back to the next owner
	}
	ch.committing = false
	ch.done()
	ch.route()
}

func (ch *channel) done() {
	head := ch.bag.queue[0]
	ch.bag.queue[0] = nil
	ch.bag.queue = ch.bag.queue[1:]
	head.Ack()
	ch.t.events.give(1)
	ch.t.sys.metrics.routed.Inc()
}

// plan is what routing one event comes to.
type plan struct {
	sys        *System
	span       tracing.Span
	deliveries []*event.Delivery
	noneHeld   bool // no delivery of the channel is held
	letters    []*event.DeadLetter
	records    []*event.DeliveryRecord // of those that have ended already
	receipt    *event.Receipt          // what the event says of an earlier delivery
	receiptID  string                  // under which that is recorded once
}

func (p *plan) empty() bool {
	return len(p.deliveries)+len(p.letters)+len(p.records) == 0 && p.receipt == nil
}

func (p *plan) commit(ctx context.Context) error {
	if len(p.deliveries) > 0 {
		if err := p.lineUp(ctx); err != nil {
			return err
		}
		if err := p.sys.cfg.Journal.Enqueue(ctx, p.deliveries...); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
	}
	for _, letter := range p.letters {
		if err := p.sys.cfg.Journal.Bury(ctx, letter); err != nil {
			return fmt.Errorf("bury: %w", err)
		}
	}
	for _, r := range p.records {
		if err := p.sys.record(ctx, r); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	if p.receipt != nil {
		r := &event.Record{V: event.Version, Node: p.sys.cfg.Node, Receipt: p.receipt}
		if err := p.sys.cfg.Journal.Record(ctx, p.receiptID, r); err != nil {
			return fmt.Errorf("record a receipt: %w", err)
		}
	}
	return nil
}

// lineUp has the deliveries that are not critical wait behind what is held of their lanes, whatever the
// rules are by now.
func (p *plan) lineUp(ctx context.Context) error {
	if !p.noneHeld {
		held, err := p.sys.cfg.Journal.HeldOn(ctx, p.deliveries[0].Channel)
		if err != nil {
			return err
		}
		p.noneHeld = held.None()
		for _, d := range p.deliveries {
			if !d.Critical {
				d.NotBefore = held.Behind(d, p.sys.cfg.Now())
			}
		}
	}
	for _, d := range p.deliveries {
		p.noneHeld = p.noneHeld && d.NotBefore.IsZero()
	}
	return nil
}

// plan resolves the event's mappings and encodes a delivery for each integration they lead to.
func (s *System) plan(ev *event.Event) *plan {
	p := &plan{sys: s, span: s.cfg.Tracer.Start(ev.TraceParent, "route", tracing.Consumer)}
	now := s.cfg.Now().UTC()
	if p.receipt = s.receiptOf(ev); p.receipt != nil {
		p.receiptID = "receipt:" + ev.DedupKey()
	}
	for _, match := range s.cfg.Registry.Resolve(ev) {
		d, skipped, err := s.route(match, ev, now)
		d.TraceParent = p.span.TraceParent()
		switch {
		case err != nil:
			reason := reasonOf(err)
			d.Died = now
			p.letters = append(p.letters, &event.DeadLetter{
				V: event.Version, Delivery: *d, Event: *ev, EventSeq: ev.Seq, Reason: reason, Detail: err.Error(), DiedAt: now,
			})
			p.end(d, event.Dead, reason, now)
		case skipped != "":
			p.end(d, event.Skipped, skipped, now)
		default:
			p.deliveries = append(p.deliveries, d)
			d.NotBefore = match.Held(ev.Type, now)
			d.Quiet, d.Critical = match.Quiet(ev.Type), match.Critical(ev.Type)
			if match.Digests(ev.Type) {
				d.Digest = []uint64{ev.Seq}
			}
		}
	}
	if p.span.Recording() {
		p.span.Set(tracing.EventID.String(ev.ID), tracing.EventType.String(ev.Type), tracing.Channel.String(ev.Channel),
			tracing.Deliveries.Int(len(p.deliveries)))
	}
	return p
}

// route makes the delivery of an event to one integration and recipient. It tells why there is none where it is
// skipped, and fails where it cannot be made.
func (s *System) route(match registry.Match, ev *event.Event, now time.Time) (d *event.Delivery, skipped string, err error) {
	d = deliveryOf(ev, &match.Entry.Integration, match.Vars, now)
	d.Recipient, d.ID = match.Recipient, event.AddressedID(d.ID, match.Recipient)
	if reason := s.passOver(ev, &match.Entry.Integration); reason != "" {
		return d, reason, nil
	}
	d.Body, err = s.encode(match, ev)
	if errors.Is(err, adapter.ErrUnsupported) {
		return d, event.ReasonUnsupported, nil
	}
	return d, "", err
}

// deliveryOf returns the delivery of an event to an integration, but for its body.
func deliveryOf(ev *event.Event, in *event.Integration, vars map[string]string, now time.Time) *event.Delivery {
	return &event.Delivery{
		V: event.Version, ID: event.DeliveryID(ev.Channel, ev.ID, in.ID), EventID: ev.ID, EventSeq: ev.Seq, EventType: ev.Type,
		Channel: ev.Channel, Integration: in.ID, Vendor: in.Vendor, Category: in.Category,
		WeddingID: registry.WeddingID(ev, vars), CorrelationID: ev.CorrelationID, TraceParent: ev.TraceParent,
		Vars: vars, AcceptedAt: ev.AcceptedAt, RoutedAt: now,
	}
}

// receiptOf is what an event says of a delivery by the integration whose webhook it was; nil for others.
func (s *System) receiptOf(ev *event.Event) *event.Receipt {
	r, ok := adapter.ReceiptOf(ev)
	if !ok {
		return nil
	}
	entry, ok := s.cfg.Registry.Lookup(r.Integration)
	if !ok {
		return nil
	}
	a, err := adapter.Lookup(entry.Integration.Vendor)
	if err != nil || !slices.Contains(a.Describe().Receives, adapter.TypeDeliveryStatus) {
		return nil // whoever may send events of any type has no word on deliveries
	}
	r.Vendor = entry.Integration.Vendor
	return &r
}

// passOver tells why an event is not for an integration that a mapping leads to; "" when it is.
func (s *System) passOver(ev *event.Event, in *event.Integration) (reason string) {
	switch {
	case in.Disabled:
		return event.ReasonDisabled
	case ev.Source == event.WebhookSource+in.ID:
		return event.ReasonEcho // it would be told what it said, and say it again
	case slices.Contains(ev.Via, in.ID):
		return event.ReasonLoop
	case len(ev.Via) > s.cfg.MaxHops:
		return event.ReasonHops
	}
	return ""
}

func (p *plan) end(d *event.Delivery, outcome event.Outcome, reason string, now time.Time) {
	r := event.RecordOf(d)
	r.Result = &event.Result{Outcome: outcome, Reason: reason, FinishedAt: now}
	p.records = append(p.records, r)
	p.sys.metrics.deliveries.WithLabelValues(d.Vendor, string(outcome)).Inc()
	p.sys.metrics.limit(reason)
}

// encode makes the vendor's body of an event, as the mapping has it; a panic of the adapter is an error
// like another.
func (s *System) encode(match registry.Match, ev *event.Event) (body []byte, err error) {
	defer recovered(&err)
	conn, err := match.Entry.Connection()
	if err != nil {
		return nil, err
	}
	mapped, err := match.Event(ev)
	if err != nil {
		return nil, err
	}
	return conn.Encode(mapped)
}

// panicError is what an adapter broke with.
type panicError struct{ reason any }

func (e *panicError) Error() string { return fmt.Sprintf("the adapter panicked: %.500v", e.reason) }

func recovered(err *error) {
	if reason := recover(); reason != nil {
		*err = &panicError{reason}
	}
}

func reasonOf(err error) string {
	var settings *adapter.SettingsError
	var broke *panicError
	var expression *registry.ExpressionError
	switch {
	case errors.As(err, &expression):
		return event.ReasonExpression
	case errors.As(err, &broke):
		return event.ReasonPanic
	case errors.As(err, &settings):
		return event.ReasonMisconfigured
	default:
		return event.ReasonEncode
	}
}
