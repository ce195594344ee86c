package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// Adapter speaks one vendor's protocol. It is stateless and safe for concurrent use.
type Adapter interface {
	// Describe tells what the vendor is, what must be entered, and what it understands.
	Describe() Description
	// Connect binds the adapter to one integration. It fails with a *SettingsError that names every
	// setting and secret that is missing or wrong; it calls nobody.
	Connect(in event.Integration, secrets event.Secrets) (Connection, error)
}

// Addresser is an Adapter whose deliveries go to a recipient that a mapping names, where it names one.
type Addresser interface {
	// CheckRecipient returns an error unless the address is in the form that the service has.
	CheckRecipient(address string) error
}

// Connection is an adapter bound to the settings of one integration: immutable but for an access token
// that it may hold, and safe for concurrent use. It may also be a [Receiver], a [Handshaker], a [Prober]
// or an [Exchanger].
type Connection interface {
	// Encode makes the vendor's body of an event. It fails with ErrUnsupported where the vendor has
	// nothing to do with that event type, and with an *EncodeError where the payload lacks something.
	Encode(ev *event.Event) (json.RawMessage, error)
	// Call builds one attempt: addressed, signed as of now. An error is final for the delivery.
	Call(d *event.Delivery, now time.Time) (*event.Call, error)
	// Classify says what an answer means for the delivery.
	Classify(d *event.Delivery, a *event.Answer) Verdict
}

// ProfileKeeper is a Connection whose vendor keeps profiles of clients, so that they can be synced there.
type ProfileKeeper interface {
	// EncodeProfile makes the vendor's body of a client's profile, for a delivery of
	// event.TypeClientProfile; the same for the same profile. It fails with an *EncodeError.
	EncodeProfile(p *event.Profile) (json.RawMessage, error)
}

// Receiver takes the vendor's webhooks.
type Receiver interface {
	// Verify checks the signature over the raw bytes, in constant time, and fails closed with a
	// *VerifyError. It returns the sender's message id, or "" where the protocol has none.
	Verify(r *Inbound, now time.Time) (id string, err error)
	// Decode reads a verified webhook. It fails with a *DecodeError and never panics.
	Decode(r *Inbound) (Reception, error)
	// ReplayWindow is how long ids must be remembered: beyond it Verify refuses a replay by itself.
	ReplayWindow() time.Duration
}

// Handshaker answers the vendor's check, by GET, that the webhook address is ours.
type Handshaker interface {
	// Handshake returns the text to answer with, or a *VerifyError.
	Handshake(query url.Values) (string, error)
}

// Prober has something to ask the vendor that changes nothing.
type Prober interface {
	Probe(now time.Time) (*event.Call, error)
}

// Inbound is a webhook as it arrived.
type Inbound struct {
	Header http.Header
	Body   []byte // raw; not to be kept or changed
}

// Reception is what a webhook said.
type Reception struct {
	Reply    []byte // answered with 200 as it stands, such as a challenge; nil: the server's own 202
	Messages []Message
}

// Message becomes an event on the integration's channel.
type Message struct {
	ID         string // the vendor's id of this message, for replays; "": the webhook's own
	Type       string // event type
	Payload    json.RawMessage
	OccurredAt time.Time // zero: now
	WeddingID  string
}

// Description is shown to admins and drives forms, validation and tests.
type Description struct {
	Vendor     string         `json:"vendor"`             // the id, such as "studiocloud"
	Name       string         `json:"name"`               // such as "Studio Cloud"
	Category   event.Category `json:"category"`           // "": each integration gives its own
	Documented string         `json:"documented"`         // what of the protocol is the vendor's own, and where it is written
	Internal   bool           `json:"internal,omitempty"` // there is no system outside: deliveries become events on a channel
	Sends      []string       `json:"sends"`              // event types that Encode understands; nil: all
	Receives   []string       `json:"receives"`           // event types that Decode gives, or AnyType; nil: none
	Profiles   bool           `json:"profiles,omitempty"` // it keeps clients' profiles: its connections are ProfileKeepers
	Settings   []Field        `json:"settings"`
	Secrets    []Field        `json:"secrets"`
	Limits     event.Limits   `json:"limits"`
	Samples    []event.Event  `json:"samples"` // one an event type it sends, encodable
}

// Field is one setting or secret to enter.
type Field struct {
	Name     string `json:"name"`
	Label    string `json:"label"` // in the vendor's words
	Help     string `json:"help"`
	Required bool   `json:"required"`
	Default  string `json:"default,omitempty"`
	Example  string `json:"example,omitempty"`
	Makeable bool   `json:"makeable,omitempty"` // a secret whose form is ours, so that NewSecret makes one
}

// Kind is what becomes of a delivery after an attempt.
type Kind uint8

// The kinds.
const (
	KindRetry     Kind = iota // try again, after a while
	KindDelivered             // done
	KindPause                 // nothing more goes to this vendor until an admin mends it; the delivery waits
	KindDead                  // never try this one again
	KindInstead               // send Verdict.Instead at once, in its place
)

func (k Kind) String() string {
	switch k {
	case KindRetry:
		return "retry"
	case KindDelivered:
		return "delivered"
	case KindPause:
		return "pause"
	case KindDead:
		return "dead"
	case KindInstead:
		return "instead"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Verdict is what an answer means.
type Verdict struct {
	Kind       Kind
	Reason     string          // the vendor's code, or one of package event; "" when delivered
	Detail     string          // the vendor's words, at most 1 KiB, without secrets
	RetryAfter time.Duration   // not before; 0: as the retry policy says
	Growth     int             // RetryAfter is so many times longer after each further try; 0: it is not
	Fault      bool            // the vendor's fault: counts against its breaker. Not a 4xx about this one event
	Instead    json.RawMessage // for KindInstead
	// Kept tells, of a profile that was delivered, whether the vendor had the client: created or updated;
	// "": its answer does not say.
	Kept event.ProfileOutcome
}

// After is how long to wait at least after so many failed tries, the first included; 0: as the retry
// policy says.
func (v Verdict) After(failed int) time.Duration {
	wait := v.RetryAfter
	for i := 1; i < failed && v.Growth > 1 && wait < event.MaxRetryAfter; i++ {
		wait *= time.Duration(v.Growth)
	}
	return wait
}

// ErrUnsupported is returned by Encode for event types that the vendor has nothing to do with.
var ErrUnsupported = errors.New("the vendor takes no events of this type")

// EncodeError says which field of a payload was missing or wrong.
type EncodeError struct{ Field, Reason string }

func (e *EncodeError) Error() string { return fmt.Sprintf("payload field %q: %s", e.Field, e.Reason) }

// VerifyError says why a webhook is not taken for the vendor's. Code is one of the Verify codes.
type VerifyError struct{ Code, Reason string }

func (e *VerifyError) Error() string { return e.Reason }

// The codes of VerifyError.
const (
	CodeSignatureMissing = "signature_missing"
	CodeSignatureInvalid = "signature_invalid"
	CodeTimestampInvalid = "timestamp_invalid"
	CodeTimestampOld     = "timestamp_outside_tolerance"
)

// DecodeError says what in a verified webhook could not be read.
type DecodeError struct{ Field, Reason string }

func (e *DecodeError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return fmt.Sprintf("field %q: %s", e.Field, e.Reason)
}

// SettingsError names everything that is wrong with an integration's settings and secrets.
type SettingsError struct {
	Vendor   string
	Problems []Problem
}

// Problem is one field and what is wrong with it.
type Problem struct {
	Field  string `json:"field"` // "settings.url", "secrets.signing"
	Reason string `json:"reason"`
}

func (e *SettingsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", e.Vendor)
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, " %s: %s", p.Field, p.Reason)
	}
	return b.String()
}
