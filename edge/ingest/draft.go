package ingest

import (
	"encoding/json"
	"time"
)

// Draft is an event as its sender gives it. Channel, Type and Payload are required. Publish does not
// change the payload's bytes and does not keep them.
type Draft struct {
	Channel string
	Type    string
	Payload json.RawMessage
	// ID makes publishing idempotent: a second event of the same id on the same channel, within the
	// log's window of ten minutes, is answered as a duplicate; from a webhook, on any channel. 1 to 128
	// of A-Za-z0-9._:- ; "" gives a new UUIDv7.
	ID string
	// OccurredAt is when it happened; zero is now.
	OccurredAt time.Time
	// Source says who sent it: "client:<user>", "api", "webhook:<integration>", or event.SystemSource, which
	// alone may publish on system channels.
	Source string
	// Sender is on whose rate the event counts; "" is on nobody's.
	Sender string
	// CorrelationID follows an event through all it causes; "" is the event's own id.
	CorrelationID string
	// TraceParent is a W3C trace context, or "". One that is malformed is dropped, as the standard says.
	TraceParent string
	// WeddingID names the couple; "" takes the payload's weddingId, else its coupleId, else none.
	WeddingID string
}

// Receipt says where an event stands in the log.
type Receipt struct {
	ID  string `json:"id"`
	Seq uint64 `json:"seq"` // of the first one, when it is a duplicate
	// Duplicate reports that an event of that id was already there, on that channel, and nothing was appended.
	Duplicate bool `json:"duplicate,omitempty"`
}
