package vendors

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/wedsync/wedsync/actors/event"
)

// signed is a vendor without an API of its own: Standard Webhooks in both directions. It signs and
// verifies by the specification's own library, not by the code under test.
type signed struct {
	*web
	title    string
	category event.Category
	check    func(body []byte) error // what is wrong with a body
	clients  *clients                // of a CRM that keeps them; nil: it takes no profiles
	signing  string                  // secret of what comes in
	webhook  string                  // secret of what is sent
	verify   *standardwebhooks.Webhook
	sign     *standardwebhooks.Webhook
	wrong    *standardwebhooks.Webhook
}

// secret makes a text that is the same on every start.
func secret(name, use string) string {
	sum := sha256.Sum256([]byte("wedsync simulator " + name + " " + use))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

func webhookSecret(name, use string) string {
	sum := sha256.Sum256([]byte("wedsync simulator " + name + " " + use))
	return "whsec_" + base64.StdEncoding.EncodeToString(sum[:])
}

const signedPath = "/webhooks/wedding"

func startSigned(ctx context.Context, name, title string, category event.Category, cfg Config, check func([]byte) error, outer func(*signed) Vendor) error {
	v := &signed{
		title: title, category: category, check: check,
		signing: webhookSecret(name, "signing"), webhook: webhookSecret(name, "webhook"),
	}
	var errs [3]error
	v.verify, errs[0] = standardwebhooks.NewWebhook(v.signing)
	v.sign, errs[1] = standardwebhooks.NewWebhook(v.webhook)
	v.wrong, errs[2] = standardwebhooks.NewWebhook(webhookSecret(name, "wrong"))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := startWeb(ctx, name, cfg, func(mux *http.ServeMux, s *web) {
		v.web = s
		control(mux, s, outer(v))
		mux.HandleFunc("POST "+signedPath, s.handle(taker{read: v.read, take: v.take, fail: signedFailure}))
	})
	return err
}

// Integration gives an integration with this simulator and its secrets.
func (v *signed) Integration(id string) (event.Integration, event.Secrets) {
	in := v.integrationOf(id, v.title, v.category, map[string]any{"url": v.url + signedPath})
	return in, event.Secrets{"signing": {event.SecretOf(v.signing)}, "webhook": {event.SecretOf(v.webhook)}}
}

func (v *signed) read(h http.Header, r *Receipt) {
	r.ID, r.EventID, r.EventType = h.Get("Webhook-Id"), h.Get("Wedsync-Event-Id"), h.Get("Wedsync-Event-Type")
}

func (v *signed) take(req *http.Request, body []byte) reply {
	if err := v.verify.Verify(body, req.Header); err != nil {
		return signedError(http.StatusUnauthorized, "signature_invalid", err)
	}
	if err := checkMedia(req.Header.Get("Content-Type"), body); err != nil {
		return signedError(http.StatusUnprocessableEntity, "invalid_body", err)
	}
	if v.clients != nil && req.Header.Get("Wedsync-Event-Type") == profileType {
		return v.clients.take(req.Header.Get("Webhook-Id"), body)
	}
	if err := v.check(body); err != nil {
		return signedError(http.StatusUnprocessableEntity, "invalid_body", err)
	}
	return reply{status: http.StatusNoContent, taken: true}
}

// checkMedia holds a body against its type: CloudEvents have one of their own.
func checkMedia(media string, body []byte) error {
	var b struct {
		SpecVersion string `json:"specversion"`
	}
	want := "application/json"
	if json.Unmarshal(body, &b) == nil && b.SpecVersion != "" {
		want = "application/cloudevents+json"
	}
	if media != want {
		return fmt.Errorf("the content type is %q, not %s", media, want)
	}
	return nil
}

func signedError(status int, code string, err error) reply {
	return jsonReply(status, map[string]string{"error": code, "message": err.Error()})
}

func signedFailure(status int, code string) reply {
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if code == "" {
		code = "http_" + strconv.Itoa(status)
	}
	return signedError(status, code, errors.New(http.StatusText(status)))
}

// Send posts a signed webhook {type, timestamp, data}.
func (v *signed) Send(ctx context.Context, to string, w Webhook) ([]Sent, error) {
	if w.ID == "" {
		w.ID = "msg_" + uuid.NewString()
	}
	body, err := json.Marshal(map[string]any{
		"type": w.Type, "timestamp": v.cfg.Now().UTC().Format(time.RFC3339), "data": w.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: write the webhook: %w", v.name, err)
	}
	return v.sendSigned(ctx, to, w.ID, body, func(at time.Time, wrong bool) http.Header {
		key := v.sign
		if wrong {
			key = v.wrong
		}
		signature, _ := key.Sign(w.ID, at, body) // it never fails
		h := http.Header{}
		h.Set(standardwebhooks.HeaderWebhookID, w.ID)
		h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
		h.Set(standardwebhooks.HeaderWebhookSignature, signature)
		return h
	})
}

// missing names the first field that is not there as a text.
func missing(data map[string]any, fields ...string) error {
	for _, f := range fields {
		if s, ok := data[f].(string); !ok || s == "" {
			return fmt.Errorf("%s is missing", f)
		}
	}
	return nil
}

// isTime checks an RFC 3339 time, where the field is there.
func isTime(data map[string]any, field string) error {
	v, given := data[field]
	if !given {
		return nil
	}
	s, _ := v.(string)
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return fmt.Errorf("%s: %v is not an RFC 3339 time", field, v)
	}
	return nil
}
