package analytics

import (
	"math"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// logID names one run of sequences: a log, since it was last set back.
type logID struct {
	epoch      string
	generation uint16
}

// rows is a batch of records as rows of the tables.
type rows struct {
	attempts   attemptRows
	deliveries deliveryRows
	receipts   receiptRows
	audit      auditRows
	health     healthRows
	rollups    rollupRows
}

func newRows() *rows {
	return &rows{attempts: newAttemptRows(), deliveries: newDeliveryRows(), receipts: newReceiptRows(), audit: newAuditRows(), health: newHealthRows(), rollups: newRollupRows()}
}

// blocks are the rows of the tables that keep them as they are.
func (r *rows) blocks() []*block {
	return []*block{&r.attempts.block, &r.deliveries.block, &r.receipts.block, &r.audit.block, &r.health.block}
}

func (r *rows) reset() {
	for _, b := range r.blocks() {
		b.reset()
	}
	r.rollups.reset()
}

// add takes a record. The same record gives the same rows whenever it is added.
func (r *rows) add(log logID, seq uint64, record *event.Record) {
	if d := record.Delivery; d != nil {
		for i := range d.Attempts {
			r.attempts.add(log, place{seq, uint16(i)}, record.Node, d, &d.Attempts[i])
		}
		if d.Result != nil {
			r.deliveries.add(log, place{seq, 0}, record.Node, d)
			r.rollups.add(log, place{seq, 0}, d)
		}
	}
	if record.Receipt != nil {
		r.receipts.add(log, place{seq, 0}, record.Node, record.Receipt)
	}
	if record.Audit != nil {
		r.audit.add(log, place{seq, 0}, record.Node, record.Audit)
	}
	if record.Health != nil {
		r.health.add(log, place{seq, 0}, record.Node, record.Health)
	}
}

// actionUnreadable is the audit action that stands for a record that could not be decoded.
const actionUnreadable = "recorder.unreadable"

// addUnreadable notes that a record was there.
func (r *rows) addUnreadable(log logID, seq uint64, now time.Time, err error) {
	r.audit.add(log, place{seq, 0}, "", &event.Audit{
		At: now, Actor: "system", Action: actionUnreadable, Outcome: "error", Detail: err.Error(),
	})
}

type attemptRows struct {
	block
	started, accepted, routed                                  *values[time.Time]
	duration                                                   *values[uint64]
	replay, number, status                                     *values[uint16]
	delivery, eventID, channel, wedding, detail                *values[string]
	trace                                                      *values[string]
	eventType, integration, vendor, category, verdict, reasons *labels
	node                                                       *labels
	probe                                                      *values[bool]
}

func newAttemptRows() attemptRows {
	a := attemptRows{
		started: newValues[time.Time]("started_at"), accepted: newValues[time.Time]("accepted_at"),
		routed: newValues[time.Time]("routed_at"), duration: newValues[uint64]("duration_us"),
		replay: newValues[uint16]("replay"), number: newValues[uint16]("number"), status: newValues[uint16]("status"),
		delivery: newValues[string]("delivery_id"), eventID: newValues[string]("event_id"),
		channel: newValues[string]("channel"), wedding: newValues[string]("wedding_id"), detail: newValues[string]("detail"),
		eventType: newLabels("event_type"), integration: newLabels("integration"),
		vendor: newLabels("vendor"), category: newLabels("category"),
		verdict: newLabels("verdict"), reasons: newLabels("reason"), node: newLabels("node"),
		trace: newValues[string]("trace_id"), probe: newValues[bool]("probe"),
	}
	a.block = newBlock("attempts", a.started, a.accepted, a.routed, a.duration, a.replay, a.number, a.status,
		a.delivery, a.eventID, a.channel, a.wedding, a.detail, a.eventType, a.integration, a.vendor, a.category,
		a.verdict, a.reasons, a.node, a.trace, a.probe)
	return a
}

func (a *attemptRows) add(log logID, at place, node string, d *event.DeliveryRecord, t *event.Attempt) {
	a.addPlace(log, at)
	a.started.add(instant(t.StartedAt, d.RoutedAt, d.AcceptedAt))
	a.accepted.add(instant(d.CountsFrom()))
	a.routed.add(instant(d.RoutedAt))
	a.duration.add(uint64(max(time.Duration(t.Duration), 0).Microseconds()))
	a.replay.add(small(d.Replay))
	a.number.add(small(t.Number))
	a.status.add(small(t.Status))
	a.delivery.add(d.ID)
	a.eventID.add(d.EventID)
	a.channel.add(d.Channel)
	a.wedding.add(d.WeddingID)
	a.detail.add(t.Detail)
	a.eventType.add(d.EventType)
	a.integration.add(d.Integration)
	a.vendor.add(d.Vendor)
	a.category.add(string(d.Category))
	a.verdict.add(t.Verdict)
	a.reasons.add(t.Reason)
	a.node.add(node)
	a.trace.add(event.TraceID(d.TraceParent))
	a.probe.add(t.Probe)
}

type deliveryRows struct {
	block
	finished, accepted, routed, died         *values[time.Time]
	replay, attempts                         *values[uint16]
	delivery, eventID, channel, wedding      *values[string]
	eventType, integration, vendor, category *labels
	outcome, reasons, excluded, node         *labels
}

func newDeliveryRows() deliveryRows {
	d := deliveryRows{
		finished: newValues[time.Time]("finished_at"), accepted: newValues[time.Time]("accepted_at"),
		routed: newValues[time.Time]("routed_at"), replay: newValues[uint16]("replay"), attempts: newValues[uint16]("attempts"),
		delivery: newValues[string]("delivery_id"), eventID: newValues[string]("event_id"),
		channel: newValues[string]("channel"), wedding: newValues[string]("wedding_id"),
		eventType: newLabels("event_type"), integration: newLabels("integration"),
		vendor: newLabels("vendor"), category: newLabels("category"),
		outcome: newLabels("outcome"), reasons: newLabels("reason"), node: newLabels("node"),
		excluded: newLabels("excluded"), died: newValues[time.Time]("died_at"),
	}
	d.block = newBlock("deliveries", d.finished, d.accepted, d.routed, d.replay, d.attempts, d.delivery, d.eventID,
		d.channel, d.wedding, d.eventType, d.integration, d.vendor, d.category, d.outcome, d.reasons, d.excluded, d.died, d.node)
	return d
}

func (r *deliveryRows) add(log logID, at place, node string, d *event.DeliveryRecord) {
	r.addPlace(log, at)
	r.finished.add(instant(d.Result.FinishedAt, d.RoutedAt, d.AcceptedAt))
	r.accepted.add(instant(d.CountsFrom()))
	r.routed.add(instant(d.RoutedAt))
	r.replay.add(small(d.Replay))
	r.attempts.add(small(d.Result.Attempts))
	r.delivery.add(d.ID)
	r.eventID.add(d.EventID)
	r.channel.add(d.Channel)
	r.wedding.add(d.WeddingID)
	r.eventType.add(d.EventType)
	r.integration.add(d.Integration)
	r.vendor.add(d.Vendor)
	r.category.add(string(d.Category))
	r.outcome.add(string(d.Result.Outcome))
	r.reasons.add(d.Result.Reason)
	r.excluded.add(string(d.Excluded()))
	r.died.add(instant(d.Died))
	r.node.add(node)
}

type receiptRows struct {
	block
	at                                         *values[time.Time]
	delivery, eventID, detail                  *values[string]
	integration, vendor, status, reasons, node *labels
}

func newReceiptRows() receiptRows {
	r := receiptRows{
		at: newValues[time.Time]("at"), delivery: newValues[string]("delivery_id"), integration: newLabels("integration"),
		vendor: newLabels("vendor"), eventID: newValues[string]("event_id"), status: newLabels("status"),
		reasons: newLabels("reason"), detail: newValues[string]("detail"), node: newLabels("node"),
	}
	r.block = newBlock("receipts", r.at, r.delivery, r.integration, r.vendor, r.eventID, r.status, r.reasons, r.detail, r.node)
	return r
}

func (r *receiptRows) add(log logID, at place, node string, said *event.Receipt) {
	r.addPlace(log, at)
	r.at.add(instant(said.At))
	r.delivery.add(said.DeliveryID)
	r.integration.add(said.Integration)
	r.vendor.add(said.Vendor)
	r.eventID.add(said.EventID)
	r.status.add(string(said.Status))
	r.reasons.add(said.Reason)
	r.detail.add(said.Detail)
	r.node.add(node)
}

type auditRows struct {
	block
	at                             *values[time.Time]
	actor, target, detail, remotes *values[string]
	action, outcome, node          *labels
	owner                          *values[map[string]string]
}

func newAuditRows() auditRows {
	a := auditRows{
		at: newValues[time.Time]("at"), actor: newValues[string]("actor"), action: newLabels("action"),
		target: newValues[string]("target"), outcome: newLabels("outcome"), detail: newValues[string]("detail"),
		remotes: newValues[string]("remote"), node: newLabels("node"), owner: newValues[map[string]string]("owner"),
	}
	a.block = newBlock("audit", a.at, a.actor, a.action, a.target, a.outcome, a.detail, a.remotes, a.node, a.owner)
	return a
}

func (r *auditRows) add(log logID, at place, node string, a *event.Audit) {
	r.addPlace(log, at)
	r.at.add(instant(a.At))
	r.actor.add(a.Actor)
	r.action.add(a.Action)
	r.target.add(a.Target)
	r.outcome.add(a.Outcome)
	r.detail.add(a.Detail)
	r.remotes.add(a.From)
	r.node.add(node)
	r.owner.add(a.Owner)
}

type healthRows struct {
	block
	at                                                *values[time.Time]
	integration, vendor, before, state, reasons, node *labels
}

func newHealthRows() healthRows {
	h := healthRows{
		at: newValues[time.Time]("at"), integration: newLabels("integration"), vendor: newLabels("vendor"),
		before: newLabels("before"), state: newLabels("state"), reasons: newLabels("reason"), node: newLabels("node"),
	}
	h.block = newBlock("health_changes", h.at, h.integration, h.vendor, h.before, h.state, h.reasons, h.node)
	return h
}

func (r *healthRows) add(log logID, at place, node string, c *event.HealthChange) {
	r.addPlace(log, at)
	r.at.add(instant(c.At))
	r.integration.add(c.Integration)
	r.vendor.add(c.Vendor)
	r.before.add(string(c.Before))
	r.state.add(string(c.State))
	r.reasons.add(c.Reason)
	r.node.add(node)
}

// What ClickHouse's DateTime and DateTime64 both hold.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Date(2105, 12, 31, 0, 0, 0, 0, time.UTC)
)

// instant returns the first of the times that is set, within what ClickHouse can hold: a wrong clock
// must not keep the record, nor those after it, from being recorded.
func instant(times ...time.Time) time.Time {
	for _, t := range times {
		switch {
		case t.IsZero():
		case t.Before(earliest):
			return earliest
		case t.After(latest):
			return latest
		default:
			return t
		}
	}
	return earliest
}

func small(n int) uint16 { return uint16(min(max(n, 0), math.MaxUint16)) }
