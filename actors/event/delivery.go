package event

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Delivery is one event on its way to one integration, or a client's profile, which is of no event: its EventID
// is the sync's and its WeddingID the client's. It is immutable once it is in the log.
type Delivery struct {
	V             int               `json:"v"`
	ID            string            `json:"id"` // see DeliveryID; the receiver's idempotency key
	EventID       string            `json:"eventId"`
	EventSeq      uint64            `json:"eventSeq"`
	EventType     string            `json:"eventType"`
	Channel       string            `json:"channel"`
	Integration   string            `json:"integration"`
	Vendor        string            `json:"vendor"`
	Category      Category          `json:"category"`
	WeddingID     string            `json:"weddingId,omitempty"`
	CorrelationID string            `json:"correlationId,omitempty"`
	TraceParent   string            `json:"traceparent,omitempty"`
	Recipient     string            `json:"recipient,omitempty"` // whom the mapping names; "": whom the integration's settings do
	Vars          map[string]string `json:"vars,omitempty"`      // what the mapping's pattern captured of the channel
	AcceptedAt    time.Time         `json:"acceptedAt"`          // the event's
	RoutedAt      time.Time         `json:"routedAt"`            // when it was put before the integration
	NotBefore     time.Time         `json:"notBefore,omitzero"`  // it is held until then; zero: it is not
	Quiet         *QuietHours       `json:"quiet,omitempty"`     // in which no attempt begins
	Critical      bool              `json:"critical,omitempty"`  // it passes what quiet hours or a digest hold
	Replay        int               `json:"replay,omitempty"`    // how often it came back from the dead letters
	Died          time.Time         `json:"died,omitzero"`       // of one that came back: when it first ended, if that counts against the objectives
	Queued        uint64            `json:"queued,omitempty"`    // position in the work queue, of one that was parked
	Digest        []uint64          `json:"digest,omitempty"`    // the events that it tells of together, or its own, to be told with others
	Profile       string            `json:"profile,omitempty"`   // of a client's profile: what tells it from another one
	Body          json.RawMessage   `json:"body"`                // what the adapter encoded
}

// DeliveryID derives the id of the delivery of an event to an integration: "dlv_" and 32 hex digits,
// the same on every node and every try. The channel is part of it, since an event's id is its own on
// its channel only.
func DeliveryID(channel, eventID, integration string) string {
	sum := sha256.Sum256([]byte(channel + "\x00" + eventID + "\x00" + integration))
	return "dlv_" + hex.EncodeToString(sum[:16])
}

// AddressedID derives the id of a delivery to a recipient that the mapping names from the id that it has
// without one.
func AddressedID(id, recipient string) string {
	if recipient == "" {
		return id
	}
	sum := sha256.Sum256([]byte(id + "\x00" + recipient))
	return "dlv_" + hex.EncodeToString(sum[:16])
}

// Due is when it could be sent at the earliest; parkLimit counts from here.
func (d *Delivery) Due() time.Time {
	if d.NotBefore.After(d.RoutedAt) {
		return d.NotBefore
	}
	return d.RoutedAt
}

// Lane names the deliveries to one integration among which order holds: those of one channel and recipient.
func (d *Delivery) Lane() string {
	if d.Recipient == "" {
		return d.Channel
	}
	return d.Channel + "\x00" + d.Recipient
}

// Outcome is how a delivery ended.
type Outcome string

// The outcomes. Dead and skipped ones have a reason.
const (
	Delivered Outcome = "delivered"
	Dead      Outcome = "dead"
	Skipped   Outcome = "skipped"
)

// Reasons that the system itself gives; adapters give those of their vendors.
const (
	ReasonExhausted     = "attempts_exhausted" // first try and all retries failed while the vendor was up
	ReasonExpired       = "park_limit"         // waited longer than the integration's parkLimit
	ReasonEncode        = "encode_failed"      // the adapter could not make the vendor's body from the event
	ReasonExpression    = "expression_failed"  // an expression of the mapping failed on it
	ReasonPanic         = "adapter_panic"      // the adapter broke on it
	ReasonUnsupported   = "unsupported_type"   // skipped: the vendor has nothing to do with that event type
	ReasonEcho          = "own_event"          // skipped: the event came from that very integration
	ReasonLoop          = "loop"               // skipped: the event came of one that had gone through that integration
	ReasonHops          = "hop_limit"          // skipped: the event came of too many others, one after the other
	ReasonErased        = "wedding_erased"     // skipped: its wedding was erased while it waited
	ReasonDigested      = "digested"           // skipped: a later event's delivery tells it too
	ReasonOptedOut      = "opted_out"          // the recipient told the vendor to be left alone
	ReasonDisabled      = "integration_disabled"
	ReasonDeleted       = "integration_deleted"
	ReasonMisconfigured = "integration_misconfigured"
	ReasonClock         = "clock_wrong" // the vendor refused what was signed at a time that is not the vendor's
	ReasonTimeout       = "timeout"
	ReasonConnection    = "connection_failed"
	ReasonBlocked       = "address_blocked" // the SSRF guard refused the address
)

// Attempt is one call to the vendor.
type Attempt struct {
	Number    int       `json:"number"` // from 1, over the delivery's life
	StartedAt time.Time `json:"startedAt"`
	Duration  Duration  `json:"duration"`
	Status    int       `json:"status,omitempty"` // HTTP status or SMTP reply code; 0: no answer
	Verdict   string    `json:"verdict"`          // "delivered", "retry", "pause", "dead"
	Reason    string    `json:"reason,omitempty"` // the vendor's code, or one of ours
	Detail    string    `json:"detail,omitempty"` // the vendor's words, at most 1 KiB
	Probe     bool      `json:"probe,omitempty"`  // the one call that a half-open breaker let through
}

// Result is how a delivery stands, or ended.
type Result struct {
	Outcome    Outcome   `json:"outcome"`
	Reason     string    `json:"reason,omitempty"`
	FinishedAt time.Time `json:"finishedAt"`
	Attempts   int       `json:"attempts"`
}

// DeadLetter is a delivery that ended dead, with everything needed to see why and to replay it.
type DeadLetter struct {
	V        int       `json:"v"`
	Delivery Delivery  `json:"delivery"` // Body is what was sent last
	Event    Event     `json:"event"`
	EventSeq uint64    `json:"eventSeq"`
	Attempts []Attempt `json:"attempts"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail,omitempty"`
	DiedAt   time.Time `json:"diedAt"`
}
