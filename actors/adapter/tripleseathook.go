package adapter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Tripleseat sends a webhook that was not answered 200 again, up to 5 times; it does not say over what
// time.
const tripleseatReplayWindow = 24 * time.Hour

const tripleseatSignature = "X-Signature" // t=<Unix seconds>,v1=<hex>

// Verify checks X-Signature: HMAC-SHA256(signing key, "{t}.{body}"). Webhooks have no ids; the signature
// is one, of this body at this time: the same body can be true again later.
func (c *tripleseatConn) Verify(r *Inbound, now time.Time) (string, error) {
	if len(c.keys) == 0 {
		return "", &VerifyError{CodeSignatureInvalid, "this integration has no signing_key, so no webhook can be verified"}
	}
	given := r.Header.Get(tripleseatSignature)
	if given == "" {
		return "", &VerifyError{CodeSignatureMissing, tripleseatSignature + " must be given"}
	}
	stamp, signatures := readTripleseatSignature(given)
	if stamp == "" || len(signatures) == 0 {
		return "", &VerifyError{CodeSignatureInvalid, tripleseatSignature + " is not t=<seconds>,v1=<signature>"}
	}
	if err := checkStamp(stamp, "t of "+tripleseatSignature, now); err != nil {
		return "", err
	}
	for _, key := range c.keys {
		mac := hmac.New(sha256.New, []byte(key.Reveal()))
		mac.Write([]byte(stamp + "."))
		mac.Write(r.Body)
		want := mac.Sum(nil)
		for _, text := range signatures {
			if got, err := hex.DecodeString(text); err == nil && hmac.Equal(got, want) {
				return hex.EncodeToString(want), nil
			}
		}
	}
	return "", &VerifyError{CodeSignatureInvalid, tripleseatSignature + " does not fit the body and this integration's signing key"}
}

// readTripleseatSignature takes the header apart: its time, and its signatures of version v1.
func readTripleseatSignature(header string) (stamp string, signatures []string) {
	parts := strings.SplitN(header, ",", maxSignatures+2)
	for _, part := range parts[:min(len(parts), maxSignatures+1)] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case value == "":
		case name == "t":
			stamp = value
		case name == "v1":
			signatures = append(signatures, value)
		}
	}
	return stamp, signatures
}

// ReplayWindow covers the vendor's resends.
func (c *tripleseatConn) ReplayWindow() time.Duration { return tripleseatReplayWindow }

// Decode gives an event for each webhook that tells what a couple would want to know. Tripleseat takes
// nothing but 200 for received, hence the reply.
func (c *tripleseatConn) Decode(r *Inbound) (Reception, error) {
	var hook struct {
		Trigger string                     `json:"webhook_trigger_type"`
		Event   map[string]json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(r.Body, &hook); err != nil {
		return Reception{}, &DecodeError{Reason: "the body is not a Tripleseat webhook: " + clip(err.Error(), 200)}
	}
	got := Reception{Reply: []byte("received")}
	kind, rules := tripleseatRules(hook.Trigger)
	switch {
	case hook.Trigger == "":
		return Reception{}, &DecodeError{Field: "webhook_trigger_type", Reason: "is missing"}
	case kind == "":
		return got, nil
	case hook.Event == nil:
		return Reception{}, &DecodeError{Field: "event", Reason: "is missing"}
	}
	said, err := translate(hook.Event, "event.", rules)
	if err != nil {
		return Reception{}, err
	}
	if c.eventID != "" && said[fieldVenueEventID] != c.eventID {
		return got, nil // of another wedding at the same venue
	}
	if at := tripleseatSetup(hook.Event["setup_time"], said[fieldCeremonyTime]); at != "" {
		said[fieldSetupTime] = at
	}
	m := Message{Type: kind, WeddingID: c.coupleID}
	if kind == TypeBookingUpdated {
		m.Type = tripleseatStatus(fmt.Sprint(said["status"]))
	}
	if c.coupleID != "" {
		said[fieldCoupleID] = c.coupleID
	}
	stamp, _ := readTripleseatSignature(r.Header.Get(tripleseatSignature))
	if seconds, err := strconv.ParseInt(stamp, 10, 64); err == nil {
		m.OccurredAt = unixTime(seconds)
	}
	if m.Payload, err = json.Marshal(said); err != nil {
		return Reception{}, err
	}
	got.Messages = []Message{m}
	return got, nil
}

// tripleseatSetup is when the set-up begins, so many minutes before the start; "" where either is not
// known.
func tripleseatSetup(minutes json.RawMessage, start any) string {
	text, _ := scalar(minutes)
	n, err := strconv.ParseUint(text, 10, 16)
	from, _ := start.(string)
	at, wrong := time.Parse(time.RFC3339, from)
	if err != nil || wrong != nil || n == 0 {
		return ""
	}
	return at.Add(-time.Duration(n) * time.Minute).Format(time.RFC3339)
}

// tripleseatStatus is the event type that a change to a status becomes.
func tripleseatStatus(status string) string {
	switch strings.ToUpper(status) {
	case "DEFINITE":
		return TypeBookingConfirmed
	case "LOST":
		return TypeBookingCancelled
	}
	return TypeBookingUpdated
}

// tripleseatRules are the rules for the event in a webhook, and the event type that it becomes; "" of
// triggers that are not for couples.
func tripleseatRules(trigger string) (kind string, rules []rule) {
	var need string
	switch trigger {
	case "CREATE_EVENT":
		kind, need = TypeEventDetails, fieldCeremonyTime
	case "STATUS_CHANGE_EVENT":
		kind, need = TypeBookingUpdated, "status"
	case "CHANGE_EVENT_DATETIME":
		kind, need = TypeWeddingDateChanged, fieldCeremonyTime
	case "CHANGE_EVENT_GUEST_COUNTS":
		kind, need = TypeGuestCountChanged, fieldGuestCount
	default:
		return "", nil
	}
	rules = []rule{
		{theirs: "id", ours: fieldVenueEventID, read: func(raw json.RawMessage) (any, string) { return readDigits(raw) }, required: true},
		{theirs: "name", ours: "eventName", read: readText},
		{theirs: "status", ours: "status", read: readText},
		{theirs: "event_start_iso8601", ours: fieldCeremonyTime, read: readTime},
		{theirs: "event_end_iso8601", ours: fieldEndTime, read: readTime},
		{theirs: "guest_count", ours: fieldGuestCount, read: readPeople},
		{theirs: "location_id", ours: fieldVenueID, read: readID},
		{theirs: "location", ours: fieldVenue, read: readNames},
		{theirs: "rooms", ours: fieldRoom, read: readNames},
	}
	for i := range rules {
		rules[i].required = rules[i].required || rules[i].ours == need
	}
	return kind, rules
}

// readDigits takes one of Tripleseat's ids: a number, or its digits as text.
func readDigits(raw json.RawMessage) (string, string) {
	s, ok := scalar(raw)
	if !ok || s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return "", "must be the digits of an id"
	}
	return s, ""
}

// readNames takes the names of one object or several.
func readNames(raw json.RawMessage) (any, string) {
	type named struct {
		Name string `json:"name"`
	}
	var one named
	var several []named
	if json.Unmarshal(raw, &one) == nil {
		several = []named{one}
	} else if json.Unmarshal(raw, &several) != nil {
		return nil, "must be an object with a name, or an array of such"
	}
	names := make([]string, 0, len(several))
	for _, n := range several {
		names = append(names, n.Name)
	}
	return shorten(strings.Join(names, ", "), maxWebhookText), ""
}
