package event

import (
	"strconv"
	"time"
)

// Record is one entry of the record log on its way to analytics: what became of a delivery, or an
// audited action. It holds no payload and no secret.
type Record struct {
	V        int             `json:"v"`
	Node     string          `json:"node"`
	Delivery *DeliveryRecord `json:"delivery,omitempty"`
	Audit    *Audit          `json:"audit,omitempty"`
}

// RecordEntry is a record as the record log holds it. Record is nil where the log leaves the decoding
// to its reader; Data is the record's JSON and is the reader's to keep.
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
	AcceptedAt  time.Time `json:"acceptedAt"`
	RoutedAt    time.Time `json:"routedAt"`
	Attempts    []Attempt `json:"attempts,omitempty"` // made since the last record of this delivery
	Result      *Result   `json:"result,omitempty"`   // nil while it goes on
}

// RecordOf returns a record of the delivery with what it has in common with it filled in.
func RecordOf(d *Delivery) *DeliveryRecord {
	return &DeliveryRecord{
		ID: d.ID, Replay: d.Replay, EventID: d.EventID, EventType: d.EventType, Channel: d.Channel,
		Integration: d.Integration, Vendor: d.Vendor, Category: d.Category, WeddingID: d.WeddingID,
		AcceptedAt: d.AcceptedAt, RoutedAt: d.RoutedAt,
	}
}

// Audit is one admin action or webhook verdict.
type Audit struct {
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`   // "admin:<key>", "webhook:<integration>", "system"
	Action  string    `json:"action"`  // such as "integration.put", "webhook.receive", "dead.replay"
	Target  string    `json:"target"`  // the id acted upon
	Outcome string    `json:"outcome"` // "ok" or an error code
	Detail  string    `json:"detail,omitempty"`
	From    string    `json:"from,omitempty"` // remote address
}

// ResultID is the id under which the result of a delivery, replayed so many times, enters the log: it
// does so once, even when a crash between the vendor's answer and the record makes it known twice.
func ResultID(delivery string, replay int) string {
	return delivery + ":" + strconv.Itoa(replay)
}
