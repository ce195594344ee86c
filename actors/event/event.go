package event

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Version is the version of the records that this release writes into the log.
const Version = 1

// Limits on events.
const (
	MaxPayloadBytes = 256 << 10
	MaxTypeBytes    = 64
	MaxIDBytes      = 128
)

// Event is something that happened on a channel. Its position is the log's sequence.
type Event struct {
	V             int             `json:"v"`
	ID            string          `json:"id"` // UUIDv7, or the sender's; its own on its channel, see DedupKey
	Channel       string          `json:"channel"`
	Type          string          `json:"type"`                    // such as "timeline.updated"
	Payload       json.RawMessage `json:"payload"`                 // a JSON object, at most MaxPayloadBytes
	OccurredAt    time.Time       `json:"occurredAt"`              // as the sender says
	AcceptedAt    time.Time       `json:"acceptedAt"`              // when a node took it in; latency counts from here
	Source        string          `json:"source"`                  // "client:<user>", "api", "webhook:<integration>", "integration:<id>", "system"
	CorrelationID string          `json:"correlationId,omitempty"` // follows an event through all it causes
	TraceParent   string          `json:"traceparent,omitempty"`   // W3C trace context
	WeddingID     string          `json:"weddingId,omitempty"`     // the couple it is about
	Via           []string        `json:"via,omitempty"`           // integrations whose deliveries led to it, the first first: one a hop

	Seq uint64 `json:"-"` // position in the event log; 0 before it is appended
}

// What comes of an integration has one of these and its id for a source.
const (
	WebhookSource     = "webhook:"     // its webhooks say so
	IntegrationSource = "integration:" // it is a delivery that became an event
)

// DedupKey is the same for two events of which the log keeps the first only, 22 of A-Za-z0-9_-: they
// have one id and one channel, as clients choose their ids without knowing of each other. Of a webhook
// the id is derived from its signature or message, which is good for one event wherever it goes.
func (ev *Event) DedupKey() string {
	scope := ev.Channel
	if strings.HasPrefix(ev.Source, WebhookSource) {
		scope = "/" + ev.Source // no channel begins so
	}
	sum := sha256.Sum256([]byte(scope + "\x00" + ev.ID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// CheckType returns an error unless t can name an event type: 1 to 64 of a-z 0-9 _ . -, beginning
// with a letter.
func CheckType(t string) error {
	if t == "" || len(t) > MaxTypeBytes {
		return fmt.Errorf("event type %.80q: must have 1 to %d bytes", t, MaxTypeBytes)
	}
	for i := range len(t) {
		c := t[i]
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("event type %q: write it like timeline.updated, with a-z 0-9 . _ and -, beginning with a letter", t)
		}
	}
	return nil
}
