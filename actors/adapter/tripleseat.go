package adapter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newTripleseat()) }

// tripleseat brings events of a venue at Tripleseat up to date by its REST API, and takes its webhooks
// (support.tripleseat.com: "API Authentication", "Events API", "API Webhooks").
//
// Settings: client_id, event_id, base_url. Secrets: client_secret, signing_key.
type tripleseat struct{ desc Description }

var (
	_ Adapter    = (*tripleseat)(nil)
	_ Connection = (*tripleseatConn)(nil)
	_ Exchanger  = (*tripleseatConn)(nil)
	_ Receiver   = (*tripleseatConn)(nil)
	_ Prober     = (*tripleseatConn)(nil)
)

func newTripleseat() *tripleseat {
	sends := []string{TypeGuestCountChanged, TypeWeddingDateChanged, TypeTimelineUpdated, TypeEventDetails}
	return &tripleseat{desc: Description{
		Vendor:   "tripleseat",
		Name:     "Tripleseat",
		Category: event.VenueManagement,
		Documented: "OAuth 2.0, the Events API and webhooks, at support.tripleseat.com. How webhooks are signed " +
			"is known from those who receive them.",
		Sends: sends,
		Receives: []string{
			TypeBookingCancelled, TypeBookingConfirmed, TypeBookingUpdated, TypeEventDetails, TypeGuestCountChanged, TypeWeddingDateChanged,
		},
		Settings: []Field{
			{Name: "client_id", Label: "UID", Required: true, Help: "of the OAuth 2.0 client application, in Settings > Tripleseat API & Webhooks"},
			{Name: "event_id", Label: "Event ID", Example: "61680687", Help: "the event at Tripleseat, where the integration is for one wedding; else each payload must have it as venueEventId"},
			{Name: "base_url", Label: "API address", Default: "https://api.tripleseat.com", Help: "other than Tripleseat's own for a test server only"},
		},
		Secrets: []Field{
			{Name: "client_secret", Label: "Secret", Required: true, Help: "of the OAuth 2.0 client application"},
			{Name: "signing_key", Label: "Signing key", Help: "of the webhook endpoint; verifies what Tripleseat sends; without it every webhook is refused"},
		},
		Limits:  event.Limits{PerSecond: 10}, // on the events endpoint
		Samples: samples(sends...),
	}}
}

func (t *tripleseat) Describe() Description { return t.desc }

// tripleseatTokenLife is how long an access token is good ("API Authentication").
const tripleseatTokenLife = 7200 * time.Second

// Connect reads settings and secrets. An owner's coupleId says whose wedding the webhooks are about.
func (t *tripleseat) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&t.desc, in, secrets)
	client := f.matching("client_id", `^[!-~]{1,200}$`, "a client's UID; copy it again")
	c := &tripleseatConn{
		tripleseat: t,
		eventID:    f.matching("event_id", `^[0-9]{1,18}$`, "the digits of an event's id"),
		coupleID:   in.Owner[fieldCoupleID],
		base:       strings.TrimSuffix(f.address("base_url"), "/"),
		keys:       f.secret("signing_key", checkToken),
	}
	c.tokens = newTokens(c.base+"/oauth2/token", client, first(f.secret("client_secret", checkToken)), tripleseatTokenLife)
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// tripleseatConn is Tripleseat bound to one integration.
type tripleseatConn struct {
	*tripleseat
	eventID  string // "": as each payload says
	coupleID string // "": not known
	base     string
	keys     []event.Secret // of webhooks, the one in force first
	tokens   *tokens
}

// tripleseatBody is what is stored of a delivery. Where it goes is settled when it is sent.
type tripleseatBody struct {
	ID    string          `json:"id,omitempty"` // "": the integration's event
	Event tripleseatEvent `json:"event"`
}

// tripleseatEvent is the part of an event that we change ("Events API"). Times are the venue's own.
type tripleseatEvent struct {
	Start      string `json:"event_start,omitempty"` // MM/DD/YYYY hh:mm AM
	End        string `json:"event_end,omitempty"`
	GuestCount *int   `json:"guest_count,omitempty"`
	SetupTime  *int   `json:"setup_time,omitempty"` // minutes before the start
}

const tripleseatTime = "01/02/2006 03:04 PM"

// Encode says what is to change of the event.
func (c *tripleseatConn) Encode(ev *event.Event) (json.RawMessage, error) {
	var b tripleseatBody
	p, err := readPayload(ev)
	if err != nil {
		return nil, err
	}
	switch ev.Type {
	case TypeGuestCountChanged:
		err = b.Event.guests(p)
	case TypeWeddingDateChanged, TypeTimelineUpdated:
		err = b.Event.times(p)
	case TypeEventDetails:
		if err = b.Event.times(p); err == nil && p.has(fieldGuestCount) {
			err = b.Event.guests(p)
		}
	default:
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	if p.has(fieldVenueEventID) {
		id, reason := readDigits(p[fieldVenueEventID])
		if reason != "" {
			return nil, &EncodeError{Field: fieldVenueEventID, Reason: reason}
		}
		b.ID = id
	} else if c.eventID == "" {
		return nil, &EncodeError{Field: fieldVenueEventID, Reason: "is missing, and the integration has no event_id"}
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write the body of %s: %w", ev.Type, err)
	}
	return raw, nil
}

func (e *tripleseatEvent) guests(p payload) error {
	n, err := p.needInt(fieldGuestCount)
	e.GuestCount = &n
	return err
}

func (e *tripleseatEvent) times(p payload) error {
	_, start, err := p.needTime(fieldCeremonyTime)
	if err != nil {
		return err
	}
	e.Start = start.Format(tripleseatTime)
	if p.has(fieldEndTime) {
		_, end, err := p.needTime(fieldEndTime)
		if err != nil {
			return err
		}
		e.End = end.In(start.Location()).Format(tripleseatTime)
	}
	if p.has(fieldSetupTime) {
		_, setup, err := p.needTime(fieldSetupTime)
		if err != nil {
			return err
		}
		minutes := int(start.Sub(setup) / time.Minute)
		if minutes < 0 || minutes > 24*60 {
			return &EncodeError{Field: fieldSetupTime, Reason: "must be before ceremonyTime, by a day at most"}
		}
		e.SetupTime = &minutes
	}
	return nil
}

// Call puts the changes to the event. Repeated, it changes nothing more, so that it needs no
// idempotency key; the delivery's id is there for the logs.
func (c *tripleseatConn) Call(d *event.Delivery, _ time.Time) (*event.Call, error) {
	var stored struct {
		ID    string          `json:"id"`
		Event json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(d.Body, &stored); err != nil || len(stored.Event) == 0 {
		return nil, errors.New("the stored body is not an event's; it was not written by this adapter")
	}
	id := firstOf(stored.ID, c.eventID)
	if id == "" {
		return nil, errors.New("the payload had no venueEventId, and the integration no longer has an event_id")
	}
	body, err := json.Marshal(map[string]json.RawMessage{"event": stored.Event})
	if err != nil {
		return nil, fmt.Errorf("address the event: %w", err)
	}
	return &event.Call{HTTP: &event.HTTPCall{
		Method: http.MethodPut, URL: c.base + "/v1/events/" + id + ".json", Body: body,
		Header: http.Header{
			"Content-Type": {"application/json"}, "Accept": {"application/json"},
			headerDeliveryID: {d.ID}, headerEventID: {d.EventID}, headerEventType: {d.EventType},
		},
	}}, nil
}

// Probe asks for the sites that the token may see.
func (c *tripleseatConn) Probe(time.Time) (*event.Call, error) {
	return &event.Call{HTTP: &event.HTTPCall{
		Method: http.MethodGet, URL: c.base + "/v1/sites.json", Header: http.Header{"Accept": {"application/json"}},
	}}, nil
}

// Exchange makes the call with an access token.
func (c *tripleseatConn) Exchange(ctx context.Context, call *event.Call, now time.Time, do Doer) *event.Answer {
	return c.tokens.exchange(ctx, call, now, do)
}

// Classify goes by the status; the errors in the body are not documented.
func (c *tripleseatConn) Classify(_ *event.Delivery, a *event.Answer) Verdict {
	var none *tokenError
	if errors.As(a.Err, &none) {
		return c.tokens.verdict(a)
	}
	v := byStatus(a)
	if v.Kind == KindDelivered && bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("<")) {
		v = Verdict{Kind: KindRetry, Fault: true, Reason: "unexpected_answer"} // a page to log in, or a proxy's
	}
	if v.Kind != KindDelivered && v.Detail == "" {
		v.Detail = detail(string(a.Body), c.tokens.secret.Reveal())
	}
	return v
}
