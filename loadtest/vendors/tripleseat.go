package vendors

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/actors/event"
)

// Tripleseat simulates a venue's account at Tripleseat with one event: OAuth 2.0 client credentials,
// the Events API and webhooks.
type Tripleseat struct {
	*web
	client, clientSecret, signing string
	limits                        *pace // nil without Config.RateLimits

	mu      sync.Mutex
	granted map[string]time.Time // until when, by token
	grants  int                  // of all time
}

var _ Sender = (*Tripleseat)(nil)

const (
	tripleseatEvent     = "61680687"
	tripleseatTokenLife = 7200 * time.Second
	tripleseatClock     = "01/02/2006 03:04 PM" // MM/DD/YYYY hh:mm AM
)

// StartTripleseat starts the simulator. ctx bounds the start only.
func StartTripleseat(ctx context.Context, cfg Config) (*Tripleseat, error) {
	v := &Tripleseat{
		client: secret("tripleseat", "client"), clientSecret: secret("tripleseat", "client_secret"),
		signing: secret("tripleseat", "signing"), granted: map[string]time.Time{},
	}
	if cfg.RateLimits {
		v.limits = newPace(10, 10, 0, 0)
	}
	_, err := startWeb(ctx, "tripleseat", cfg, func(mux *http.ServeMux, s *web) {
		v.web = s
		control(mux, s, v)
		mux.HandleFunc("POST /oauth2/token", s.handle(taker{take: v.grant, fail: tripleseatFailure, probe: true}))
		mux.HandleFunc("GET /v1/sites.json", s.handle(taker{take: v.sites, fail: tripleseatFailure, probe: true}))
		mux.HandleFunc("PUT /v1/events/", s.handle(taker{read: readWedsync, take: v.put, fail: tripleseatFailure}))
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Integration gives an integration with this simulator's one event.
func (v *Tripleseat) Integration(id string) (event.Integration, event.Secrets) {
	in := v.integrationOf(id, "Tripleseat", event.VenueManagement, map[string]any{
		"base_url": v.url, "client_id": v.client, "event_id": tripleseatEvent,
	})
	return in, event.Secrets{"client_secret": {event.SecretOf(v.clientSecret)}, "signing_key": {event.SecretOf(v.signing)}}
}

// Revoke makes every token that was given out worthless.
func (v *Tripleseat) Revoke() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.granted)
}

// Grants is how many tokens were given out.
func (v *Tripleseat) Grants() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.grants
}

func readWedsync(h http.Header, r *Receipt) {
	r.ID, r.EventID, r.EventType = h.Get("Wedsync-Delivery-Id"), h.Get("Wedsync-Event-Id"), h.Get("Wedsync-Event-Type")
}

func (v *Tripleseat) grant(req *http.Request, body []byte) reply {
	form, err := url.ParseQuery(string(body))
	switch {
	case err != nil || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded":
		return tripleseatRefusal(http.StatusBadRequest, "invalid_request", "The request is not a form")
	case form.Get("grant_type") != "client_credentials":
		return tripleseatRefusal(http.StatusBadRequest, "unsupported_grant_type", "The authorization grant type is not supported")
	case form.Get("client_id") != v.client || !hmac.Equal([]byte(form.Get("client_secret")), []byte(v.clientSecret)):
		return tripleseatRefusal(http.StatusUnauthorized, "invalid_client", "Client authentication failed")
	}
	token, now := uuid.NewString(), v.cfg.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.granted[token] = now.Add(tripleseatTokenLife)
	v.grants++
	return jsonReply(http.StatusOK, map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int(tripleseatTokenLife / time.Second), "created_at": now.Unix(),
	})
}

func (v *Tripleseat) knows(req *http.Request) bool {
	token, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cfg.Now().Before(v.granted[token])
}

func (v *Tripleseat) sites(req *http.Request, _ []byte) reply {
	if !v.knows(req) {
		return tripleseatFailure(http.StatusUnauthorized, "")
	}
	return jsonReply(http.StatusOK, []any{map[string]any{"site": map[string]any{"id": 4, "name": "Château de Vaux"}}})
}

func (v *Tripleseat) put(req *http.Request, body []byte) reply {
	switch {
	case !v.knows(req):
		return tripleseatFailure(http.StatusUnauthorized, "")
	case v.limits != nil && v.limits.allow(v.cfg.Now(), "") != allowed:
		return tripleseatFailure(http.StatusTooManyRequests, "")
	case req.URL.Path != "/v1/events/"+tripleseatEvent+".json":
		return tripleseatFailure(http.StatusNotFound, "")
	}
	var b struct {
		Event map[string]any `json:"event"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return jsonReply(http.StatusBadRequest, map[string]any{"errors": []string{err.Error()}})
	}
	if err := checkTripleseat(b.Event); err != nil {
		return jsonReply(http.StatusUnprocessableEntity, map[string]any{"errors": []string{err.Error()}})
	}
	r := jsonReply(http.StatusOK, map[string]any{"event": b.Event})
	r.taken = true
	return r
}

// checkTripleseat checks the fields that the Events API documents.
func checkTripleseat(fields map[string]any) error {
	if len(fields) == 0 {
		return errors.New("event is missing")
	}
	for name, value := range fields {
		switch name {
		case "guest_count", "setup_time":
			if err := isCount(fields, name); err != nil {
				return err
			}
		case "event_start", "event_end":
			text, _ := value.(string)
			if _, err := time.Parse(tripleseatClock, text); err != nil {
				return fmt.Errorf("%s: %v is not MM/DD/YYYY hh:mm AM", name, value)
			}
		default:
			return fmt.Errorf("%s is not known", name)
		}
	}
	return nil
}

// tripleseatFailure is an error with a body that is not documented.
func tripleseatFailure(status int, code string) reply {
	if status == 0 {
		status = http.StatusInternalServerError
	}
	r := tripleseatRefusal(status, code, http.StatusText(status))
	if status == http.StatusTooManyRequests {
		r.header.Set("Retry-After", "1")
	}
	return r
}

func tripleseatRefusal(status int, code, words string) reply {
	body := map[string]string{"error_description": words}
	if code != "" {
		body["error"] = code
	}
	return jsonReply(status, body)
}

// Send posts a webhook. The type is the trigger's; the data is the event's, beside what every event has.
func (v *Tripleseat) Send(ctx context.Context, to string, w Webhook) ([]Sent, error) {
	of := map[string]any{
		"id": 61680687, "name": "Wedding of Amélie & Jonas", "status": "TENTATIVE", "guest_count": 124, "setup_time": 60,
		"event_date": "06/20/2026", "event_start": "06/20/2026 04:00 PM", "event_end": "06/20/2026 11:30 PM",
		"event_start_iso8601": "2026-06-20T16:00:00+02:00", "event_end_iso8601": "2026-06-20T23:30:00+02:00",
		"location_id": 26059, "location": map[string]any{"id": 26059, "name": "Château de Vaux"},
		"rooms": []any{map[string]any{"id": 232405, "name": "Orangerie"}}, "grand_total": "12250.5", "event_type_id": nil,
		"updated_at": v.cfg.Now().Format("1/2/2006 3:04 PM"),
	}
	for name, value := range w.Data {
		of[name] = value
	}
	body, err := json.Marshal(map[string]any{"webhook_trigger_type": w.Type, "message": "Event changed", "event": of})
	if err != nil {
		return nil, fmt.Errorf("tripleseat: write the webhook: %w", err)
	}
	id := w.ID
	if id == "" {
		id = "ts_" + uuid.NewString() // for the caller alone: Tripleseat's webhooks have none
	}
	var header http.Header // a resend is the same POST
	return v.sendSigned(ctx, to, id, body, func(at time.Time, wrong bool) http.Header {
		if header != nil {
			return header
		}
		key := v.signing
		if wrong {
			key += "x"
		}
		stamp := strconv.FormatInt(at.Unix(), 10)
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s.%s", stamp, body)
		header = http.Header{"X-Signature": {"t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))}}
		return header
	})
}

// Webhooks gives a realistic webhook of each type that the adapter takes.
func (v *Tripleseat) Webhooks() []Webhook {
	return []Webhook{
		{Type: "CREATE_EVENT"},
		{Type: "STATUS_CHANGE_EVENT", Data: map[string]any{"status": "DEFINITE"}},
		{Type: "STATUS_CHANGE_EVENT", Data: map[string]any{"status": "CLOSED"}},
		{Type: "STATUS_CHANGE_EVENT", Data: map[string]any{"status": "LOST"}},
		{Type: "CHANGE_EVENT_DATETIME", Data: map[string]any{
			"event_start_iso8601": "2026-09-05T15:30:00+02:00", "event_end_iso8601": "2026-09-05T23:00:00+02:00",
		}},
		{Type: "CHANGE_EVENT_GUEST_COUNTS", Data: map[string]any{"guest_count": 118}},
	}
}
