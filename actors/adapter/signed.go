package adapter

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// The generic signed webhook: Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks,
// spec/standard-webhooks.md), in both directions.
const (
	headerID        = "Webhook-Id"        // the same across retries: the receiver's idempotency key
	headerTimestamp = "Webhook-Timestamp" // Unix seconds of this attempt
	headerSignature = "Webhook-Signature" // "v1,<base64>", several separated by spaces

	secretPrefix   = "whsec_"
	minSecretBytes = 24
	maxSecretBytes = 64
	signedFor      = 5 * time.Minute // either way
	maxSignatures  = 16              // looked at, of one webhook

	// A sender following the specification's example schedule gives up after some 76 hours; each
	// retry is signed anew, with the same id.
	signedReplayWindow = 96 * time.Hour
)

// Headers that tell a receiver what it got, beside the body. The delivery's id has one of its own where
// the protocol has no place for it.
const (
	headerDeliveryID = "Wedsync-Delivery-Id"
	headerEventID    = "Wedsync-Event-Id"
	headerEventType  = "Wedsync-Event-Type"
)

// signedVendor is an adapter whose vendor publishes no API of its own: generic signed webhooks with
// bodies of the vendor's field names.
type signedVendor struct {
	desc   Description
	encode func(*event.Event) (json.RawMessage, error)
	decode func([]byte) (Message, error)
}

var (
	_ Adapter    = (*signedVendor)(nil)
	_ Connection = (*signedConn)(nil)
	_ Receiver   = (*signedConn)(nil)
)

func (s *signedVendor) Describe() Description { return s.desc }

// Connect reads the settings and secrets that signedSettings and signedSecrets declare.
func (s *signedVendor) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&s.desc, in, secrets)
	c := s.bind(f)
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (s *signedVendor) bind(f *form) *signedConn {
	return &signedConn{
		signedVendor: s,
		encode:       s.encode,
		url:          f.address("url"),
		signing:      keys(f.secret("signing", checkSecret)),
		webhook:      keys(f.secret("webhook", checkSecret)),
	}
}

func signedSettings(example string) []Field {
	return []Field{{
		Name: "url", Label: "Webhook address", Required: true, Example: example,
		Help: "where the vendor, or the service that connects it, takes webhooks; https",
	}}
}

func signedSecrets() []Field {
	const format = "whsec_ and base64 of 24 to 64 random bytes"
	return []Field{
		{Name: "signing", Label: "Signing secret", Required: true, Help: "signs what is sent; " + format, Example: "whsec_...", Makeable: true},
		{Name: "webhook", Label: "Webhook secret", Help: "verifies what the vendor sends; " + format + "; without it every webhook is refused", Example: "whsec_...", Makeable: true},
	}
}

// NewSecret makes a secret of Standard Webhooks: 32 random bytes.
func NewSecret() event.Secret {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	return event.SecretOf(secretPrefix + base64.StdEncoding.EncodeToString(key[:]))
}

// checkSecret says what is wrong with a Standard Webhooks secret, or "".
func checkSecret(s string) string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, secretPrefix))
	if !strings.HasPrefix(s, secretPrefix) || err != nil {
		return "must be written as whsec_ followed by base64"
	}
	if len(key) < minSecretBytes || len(key) > maxSecretBytes {
		return "has " + strconv.Itoa(len(key)) + " bytes; 24 to 64 are allowed"
	}
	return ""
}

// keys decodes checked secrets.
func keys(secrets []event.Secret) []event.Secret {
	all := make([]event.Secret, len(secrets))
	for i, s := range secrets {
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Reveal(), secretPrefix))
		all[i] = event.SecretOf(string(key))
	}
	return all
}

// signedConn is a signedVendor bound to one integration.
type signedConn struct {
	*signedVendor
	encode  func(*event.Event) (json.RawMessage, error)
	url     string
	signing []event.Secret // the key in force first; during a rotation all of them sign
	webhook []event.Secret
}

// Encode makes the vendor's body of the event types it takes.
func (c *signedConn) Encode(ev *event.Event) (json.RawMessage, error) {
	if c.desc.Sends != nil && !slices.Contains(c.desc.Sends, ev.Type) {
		return nil, ErrUnsupported
	}
	return c.encode(ev)
}

// Call signs the body as of now. Its type goes by the body, which may have been made before the
// integration's format was changed.
func (c *signedConn) Call(d *event.Delivery, now time.Time) (*event.Call, error) {
	stamp := strconv.FormatInt(now.Unix(), 10)
	media := "application/json"
	if bytes.HasPrefix(d.Body, []byte(cloudEventStart)) {
		media = cloudEventType
	}
	h := http.Header{
		"Content-Type":  {media},
		headerID:        {d.ID},
		headerTimestamp: {stamp},
		headerSignature: {signAll(c.signing, d.ID, stamp, d.Body)},
		headerEventID:   {d.EventID},
		headerEventType: {d.EventType},
	}
	if d.TraceParent != "" {
		h["Traceparent"] = []string{d.TraceParent}
	}
	return &event.Call{HTTP: &event.HTTPCall{Method: http.MethodPost, URL: c.url, Header: h, Body: d.Body}}, nil
}

// Classify goes by the status; the detail is what the vendor wrote.
func (c *signedConn) Classify(_ *event.Delivery, a *event.Answer) Verdict {
	v := byStatus(a)
	if v.Kind != KindDelivered && v.Detail == "" {
		v.Detail = detail(string(a.Body))
	}
	return v
}

// Verify checks the three headers; the id is the webhook's.
func (c *signedConn) Verify(r *Inbound, now time.Time) (string, error) {
	if len(c.webhook) == 0 {
		return "", &VerifyError{CodeSignatureInvalid, "this integration has no webhook secret, so no webhook can be verified"}
	}
	return verifySigned(c.webhook, r, now)
}

// Decode reads the body as the vendor's own decoder does, with the header's time for a default.
func (c *signedConn) Decode(r *Inbound) (Reception, error) {
	m, err := c.decode(r.Body)
	if err != nil {
		return Reception{}, err
	}
	if m.OccurredAt.IsZero() {
		if seconds, err := strconv.ParseInt(r.Header.Get(headerTimestamp), 10, 64); err == nil {
			m.OccurredAt = unixTime(seconds)
		}
	}
	return Reception{Messages: []Message{m}}, nil
}

// ReplayWindow covers the retries of a patient sender.
func (c *signedConn) ReplayWindow() time.Duration { return signedReplayWindow }

// signAll gives the signature header: one signature a key.
func signAll(keys []event.Secret, id, stamp string, body []byte) string {
	var b strings.Builder
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("v1,")
		b.WriteString(base64.StdEncoding.EncodeToString(signature(key, id, stamp, body)))
	}
	return b.String()
}

// signature is HMAC-SHA256 over "{id}.{timestamp}.{body}".
func signature(key event.Secret, id, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// verifySigned accepts a webhook if any signature of a known version fits any key.
func verifySigned(keys []event.Secret, r *Inbound, now time.Time) (string, error) {
	id, stamp, given := r.Header.Get(headerID), r.Header.Get(headerTimestamp), r.Header.Get(headerSignature)
	if id == "" || stamp == "" || given == "" {
		return "", &VerifyError{CodeSignatureMissing, "webhook-id, webhook-timestamp and webhook-signature must all be given"}
	}
	if len(id) > event.MaxIDBytes {
		return "", &VerifyError{CodeSignatureInvalid, "webhook-id is longer than 128 bytes"}
	}
	if err := checkStamp(stamp, "webhook-timestamp", now); err != nil {
		return "", err
	}
	candidates := strings.SplitN(given, " ", maxSignatures+1)
	for _, key := range keys {
		want := signature(key, id, stamp, r.Body)
		for _, candidate := range candidates[:min(len(candidates), maxSignatures)] {
			text, ok := strings.CutPrefix(candidate, "v1,")
			if !ok {
				continue
			}
			if got, err := base64.StdEncoding.DecodeString(text); err == nil && hmac.Equal(got, want) {
				return id, nil
			}
		}
	}
	return "", &VerifyError{CodeSignatureInvalid, "no signature of version v1 fits the body and this integration's secret"}
}

// checkStamp refuses a time of sending, in Unix seconds, more than five minutes off either way.
func checkStamp(stamp, header string, now time.Time) error {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return &VerifyError{CodeTimestampInvalid, header + " is not a whole number of seconds"}
	}
	if off := now.Unix() - seconds; off > int64(signedFor/time.Second) || off < -int64(signedFor/time.Second) {
		return &VerifyError{CodeTimestampOld, header + " is more than five minutes from now"}
	}
	return nil
}
