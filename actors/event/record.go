package event

import (
	"strconv"
	"time"
)

// Record is one entry of the record log on its way to analytics: what became of a delivery, what its
// vendor said of it later, an audited action, or how an integration does from now on. It holds no payload and no secret.
type Record struct {
	V        int             `json:"v"`
	Node     string          `json:"node"`
	Delivery *DeliveryRecord `json:"delivery,omitempty"`
	Receipt  *Receipt        `json:"receipt,omitempty"`
	Audit    *Audit          `json:"audit,omitempty"`
	Health   *HealthChange   `json:"health,omitempty"`
}

// RecordEntry is a record as the record log holds it. Record is nil where Data, its JSON, is not decoded or cannot be.
// Data is the reader's to keep.
type RecordEntry struct {
	Seq    uint64
	Record *Record
	Data   []byte
}

// DeliveryRecord tells of attempts made and, when it has ended, of the result.
type DeliveryRecord struct {
	ID          string    `json:"id"`
	Replay      int       `json:"replay,omitempty"`
	EventID     string    `json:"eventId"`
	EventType   string    `json:"eventType"`
	Channel     string    `json:"channel"`
	Integration string    `json:"integration"`
	Vendor      string    `json:"vendor"`
	Category    Category  `json:"category"`
	WeddingID   string    `json:"weddingId,omitempty"`
	TraceParent string    `json:"traceparent,omitempty"` // of the last try
	AcceptedAt  time.Time `json:"acceptedAt"`
	RoutedAt    time.Time `json:"routedAt"`
	NotBefore   time.Time `json:"notBefore,omitzero"`   // of one that a rule held back
	PausedUntil time.Time `json:"pausedUntil,omitzero"` // of one that waited while an admin paused the integration: when that ended, or the delivery did
	Died        time.Time `json:"died,omitzero"`        // the delivery's
	Attempts    []Attempt `json:"attempts,omitempty"`   // made since the last record of this delivery
	Result      *Result   `json:"result,omitempty"`     // nil while it goes on
}

// CountsFrom is when its latency begins to count: when the event was accepted, or when the delivery was no
// longer held back by a rule or an admin, since a night's quiet hours say nothing of how fast anybody was.
func (r *DeliveryRecord) CountsFrom() time.Time {
	from := r.AcceptedAt
	for _, held := range []time.Time{r.NotBefore, r.PausedUntil} {
		if held.After(from) {
			from = held
		}
	}
	return from
}

// RecordOf returns a record of the delivery with what it has in common with it filled in.
func RecordOf(d *Delivery) *DeliveryRecord {
	return &DeliveryRecord{
		ID: d.ID, Replay: d.Replay, EventID: d.EventID, EventType: d.EventType, Channel: d.Channel,
		Integration: d.Integration, Vendor: d.Vendor, Category: d.Category, WeddingID: d.WeddingID,
		TraceParent: d.TraceParent, AcceptedAt: d.AcceptedAt, RoutedAt: d.RoutedAt, NotBefore: d.NotBefore, Died: d.Died,
	}
}

// Empty reports that the record tells of nothing.
func (r *Record) Empty() bool {
	return r.Delivery == nil && r.Receipt == nil && r.Audit == nil && r.Health == nil
}

// ReceiptStatus is what a vendor says became of a message that it had accepted.
type ReceiptStatus string

// The statuses. One can be left out: a message that is read at once may never be called delivered.
const (
	ReceiptSent      ReceiptStatus = "sent"
	ReceiptDelivered ReceiptStatus = "delivered"
	ReceiptRead      ReceiptStatus = "read"
	ReceiptFailed    ReceiptStatus = "failed"
)

// Receipt is one status of a delivery's message. It is the integration's word: a delivery to another one
// is none of its business, whatever id it gives.
type Receipt struct {
	DeliveryID  string        `json:"deliveryId"`
	Integration string        `json:"integration"`
	Vendor      string        `json:"vendor"`
	EventID     string        `json:"eventId"` // of the delivery.status that said so; its own for each status of a message
	Status      ReceiptStatus `json:"status"`
	At          time.Time     `json:"at"`               // by the vendor's clock
	Reason      string        `json:"reason,omitempty"` // the vendor's code, where it failed
	Detail      string        `json:"detail,omitempty"` // the vendor's words, at most 1 KiB
}

// Erased stands in records for what identified a wedding that was erased.
const Erased = "erased"

// Audit is one admin action or webhook verdict.
type Audit struct {
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`   // "admin:<key>", "webhook:<integration>", "system"
	Action  string    `json:"action"`  // such as "integration.put", "webhook.receive", "dead.replay"
	Target  string    `json:"target"`  // the id acted upon
	Outcome string    `json:"outcome"` // "ok" or an error code
	Detail  string    `json:"detail,omitempty"`
	From    string    `json:"from,omitempty"` // remote address
	// Owner are the owner variables of what was acted upon, as they were then; of nobody's, those of who acted.
	Owner map[string]string `json:"owner,omitempty"`
}

// ResultID is the id under which the result of a delivery, replayed so many times, enters the log: it
// does so once, even when a crash between the vendor's answer and the record makes it known twice.
func ResultID(delivery string, replay int) string {
	return delivery + ":" + strconv.Itoa(replay)
}
