package adapter

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Meta retries a webhook for up to 7 days and signs no time: what it sends is told from a replay by
// its id and status alone.
const whatsAppReplayWindow = 8 * 24 * time.Hour

// Handshake answers Meta's GET with hub.challenge, if hub.verify_token is ours.
func (c *whatsAppConn) Handshake(query url.Values) (string, error) {
	if query.Get("hub.mode") != "subscribe" {
		return "", &VerifyError{CodeSignatureMissing, "hub.mode must be subscribe"}
	}
	given, known := []byte(query.Get("hub.verify_token")), false
	for _, token := range c.verifyToken {
		known = subtle.ConstantTimeCompare(given, []byte(token.Reveal())) == 1 || known
	}
	if !known {
		return "", &VerifyError{CodeSignatureInvalid, "hub.verify_token is not this integration's verify_token"}
	}
	challenge := query.Get("hub.challenge")
	if reason := checkChallenge(challenge); reason != "" {
		return "", &VerifyError{CodeSignatureInvalid, "hub.challenge " + reason}
	}
	return challenge, nil
}

// Verify checks X-Hub-Signature-256: sha256=hex(HMAC-SHA256(app secret, raw body)). The ids are in
// the messages.
func (c *whatsAppConn) Verify(r *Inbound, _ time.Time) (string, error) {
	if len(c.appSecrets) == 0 {
		return "", &VerifyError{CodeSignatureInvalid, "this integration has no app_secret, so no webhook can be verified"}
	}
	given := r.Header.Get("X-Hub-Signature-256")
	if given == "" {
		return "", &VerifyError{CodeSignatureMissing, "X-Hub-Signature-256 must be given"}
	}
	text, ok := strings.CutPrefix(given, "sha256=")
	got, err := hex.DecodeString(text)
	if ok && err == nil {
		for _, secret := range c.appSecrets {
			mac := hmac.New(sha256.New, []byte(secret.Reveal()))
			mac.Write(r.Body)
			if hmac.Equal(got, mac.Sum(nil)) {
				return "", nil
			}
		}
	}
	return "", &VerifyError{CodeSignatureInvalid, "X-Hub-Signature-256 does not fit the body and this integration's app secret"}
}

// ReplayWindow covers the 7 days in which Meta retries.
func (c *whatsAppConn) ReplayWindow() time.Duration { return whatsAppReplayWindow }

// whatsAppHook is what Meta posts (cloud-api/webhooks/components).
type whatsAppHook struct {
	Object string `json:"object"`
	Entry  []struct {
		Changes []struct {
			Field string        `json:"field"`
			Value whatsAppValue `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

type whatsAppValue struct {
	Metadata struct {
		NumberID string `json:"phone_number_id"`
	} `json:"metadata"`
	Contacts []struct {
		WaID    string `json:"wa_id"`
		Profile struct {
			Name string `json:"name"`
		} `json:"profile"`
	} `json:"contacts"`
	Statuses []whatsAppStatus  `json:"statuses"`
	Messages []whatsAppInbound `json:"messages"`
}

type whatsAppStatus struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Timestamp string `json:"timestamp"` // Unix seconds
	Recipient string `json:"recipient_id"`
	Callback  string `json:"biz_opaque_callback_data"`
	Errors    []struct {
		Code  int    `json:"code"`
		Title string `json:"title"`
		Data  struct {
			Details string `json:"details"`
		} `json:"error_data"`
	} `json:"errors"`
}

type whatsAppInbound struct {
	ID        string `json:"id"`
	From      string `json:"from"`
	Timestamp string `json:"timestamp"`
	Type      string `json:"type"`
	Text      struct {
		Body string `json:"body"`
	} `json:"text"`
	Button struct {
		Text string `json:"text"`
	} `json:"button"`
	Interactive struct {
		Button struct {
			Title string `json:"title"`
		} `json:"button_reply"`
		List struct {
			Title string `json:"title"`
		} `json:"list_reply"`
	} `json:"interactive"`
	Context struct {
		ID string `json:"id"`
	} `json:"context"`
}

// Decode gives an event for each status and each message. What concerns other numbers of the same
// account, and other fields, gives none. Meta takes nothing but 200 for received, hence the reply.
func (c *whatsAppConn) Decode(r *Inbound) (Reception, error) {
	var hook whatsAppHook
	if err := json.Unmarshal(r.Body, &hook); err != nil {
		return Reception{}, &DecodeError{Reason: "the body is not a Cloud API webhook: " + clip(err.Error(), 200)}
	}
	if hook.Object != "whatsapp_business_account" {
		return Reception{}, &DecodeError{Field: "object", Reason: fmt.Sprintf("%.80q is not whatsapp_business_account", hook.Object)}
	}
	got := Reception{Reply: []byte("EVENT_RECEIVED")}
	for _, entry := range hook.Entry {
		for i := range entry.Changes {
			change := &entry.Changes[i]
			if id := change.Value.Metadata.NumberID; change.Field != "messages" || id != "" && id != c.numberID {
				continue
			}
			if err := change.Value.add(&got); err != nil {
				return Reception{}, err
			}
		}
	}
	return got, nil
}

func (v *whatsAppValue) add(got *Reception) error {
	for i := range v.Statuses {
		m, err := v.Statuses[i].message()
		if err != nil {
			return err
		}
		got.Messages = append(got.Messages, m)
	}
	for i := range v.Messages {
		m, err := v.Messages[i].message(v)
		if err != nil {
			return err
		}
		got.Messages = append(got.Messages, m)
	}
	return nil
}

func (s *whatsAppStatus) message() (Message, error) {
	if s.ID == "" || s.Status == "" {
		return Message{}, &DecodeError{Field: "statuses", Reason: "id and status must both be given"}
	}
	p := statusPayload{
		Vendor: "whatsapp", Status: s.Status, MessageID: s.ID, Recipient: s.Recipient, DeliveryID: s.Callback,
	}
	for _, e := range s.Errors {
		p.Errors = append(p.Errors, statusError{Code: e.Code, Detail: firstOf(e.Data.Details, e.Title)})
	}
	raw, err := json.Marshal(p)
	return Message{
		ID: s.ID + ":" + s.Status, Type: TypeDeliveryStatus, Payload: raw, OccurredAt: secondsText(s.Timestamp),
	}, err
}

// whatsAppMessagePayload is the payload of message.received.
type whatsAppMessagePayload struct {
	Vendor    string `json:"vendor"`
	MessageID string `json:"messageId"`
	From      string `json:"from"`
	Name      string `json:"name,omitempty"`
	Kind      string `json:"kind"` // text, button, interactive, image, ...
	Text      string `json:"text,omitempty"`
	ReplyTo   string `json:"replyTo,omitempty"` // the message answered
}

func (m *whatsAppInbound) message(v *whatsAppValue) (Message, error) {
	if m.ID == "" || m.From == "" {
		return Message{}, &DecodeError{Field: "messages", Reason: "id and from must both be given"}
	}
	p := whatsAppMessagePayload{
		Vendor: "whatsapp", MessageID: m.ID, From: m.From, Kind: m.Type, ReplyTo: m.Context.ID,
		Text: firstOf(m.Text.Body, m.Button.Text, m.Interactive.Button.Title, m.Interactive.List.Title),
	}
	for _, contact := range v.Contacts {
		if contact.WaID == m.From {
			p.Name = contact.Profile.Name
		}
	}
	raw, err := json.Marshal(p)
	return Message{ID: m.ID, Type: TypeMessageReceived, Payload: raw, OccurredAt: secondsText(m.Timestamp)}, err
}

// secondsText reads Unix seconds written as text; the zero time stands for now.
func secondsText(s string) time.Time {
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return unixTime(seconds)
}
