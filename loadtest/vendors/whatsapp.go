package vendors

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/actors/event"
)

// WhatsApp simulates the WhatsApp Business Cloud API for one number. It takes texts and templates,
// and sends statuses and messages in Meta's escaped form.
type WhatsApp struct {
	*web
	token, appSecret, verifyToken string
	limits                        *pace // nil without Config.RateLimits
}

var _ Sender = (*WhatsApp)(nil)

const (
	whatsAppNumberID  = "106540352242922"
	whatsAppRecipient = "+33612345678"
	whatsAppVersion   = "v24.0"
)

// StartWhatsApp starts the simulator. ctx bounds the start only.
func StartWhatsApp(ctx context.Context, cfg Config) (*WhatsApp, error) {
	v := &WhatsApp{
		token: secret("whatsapp", "token"), appSecret: secret("whatsapp", "app"), verifyToken: secret("whatsapp", "verify"),
	}
	if cfg.RateLimits {
		v.limits = newPace(80, 80, 6*time.Second, 45)
	}
	_, err := startWeb(ctx, "whatsapp", cfg, func(mux *http.ServeMux, s *web) {
		v.web = s
		control(mux, s, v)
		at := "/" + whatsAppVersion + "/" + whatsAppNumberID
		mux.HandleFunc("POST "+at+"/messages", s.handle(taker{read: readWhatsApp, take: v.take, fail: whatsAppFailure}))
		mux.HandleFunc("GET "+at, s.handle(taker{take: v.probe, fail: whatsAppFailure, probe: true}))
		mux.HandleFunc("/", s.handle(taker{probe: true, fail: whatsAppFailure, take: func(*http.Request, []byte) reply {
			return whatsAppError(http.StatusBadRequest, 100, "Unsupported request: the path has no such object")
		}}))
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Integration gives an integration with this simulator and its secrets.
func (v *WhatsApp) Integration(id string) (event.Integration, event.Secrets) {
	in := v.integrationOf(id, "WhatsApp Business", event.WhatsAppBusiness, map[string]any{
		"phone_number_id": whatsAppNumberID, "to": whatsAppRecipient, "base_url": v.url, "version": whatsAppVersion,
	})
	return in, event.Secrets{
		"access_token": {event.SecretOf(v.token)},
		"app_secret":   {event.SecretOf(v.appSecret)},
		"verify_token": {event.SecretOf(v.verifyToken)},
	}
}

func readWhatsApp(_ http.Header, r *Receipt) {
	var m struct {
		Callback string `json:"biz_opaque_callback_data"`
	}
	if json.Unmarshal(r.Body, &m) == nil {
		r.ID = m.Callback
	}
}

func (v *WhatsApp) authorised(req *http.Request) bool {
	return hmac.Equal([]byte(req.Header.Get("Authorization")), []byte("Bearer "+v.token))
}

func (v *WhatsApp) probe(req *http.Request, _ []byte) reply {
	if !v.authorised(req) {
		return whatsAppFailure(http.StatusUnauthorized, "190")
	}
	return jsonReply(http.StatusOK, map[string]string{"id": whatsAppNumberID})
}

func (v *WhatsApp) take(req *http.Request, body []byte) reply {
	if !v.authorised(req) {
		return whatsAppFailure(http.StatusUnauthorized, "190")
	}
	var m whatsAppMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return whatsAppError(http.StatusBadRequest, 100, "The body is not JSON: "+err.Error())
	}
	if code, details := m.check(); code != 0 {
		return whatsAppError(http.StatusBadRequest, code, details)
	}
	if v.limits != nil {
		switch v.limits.allow(v.cfg.Now(), m.To) {
		case tooMany:
			return whatsAppFailure(http.StatusTooManyRequests, "130429")
		case tooManyForOne:
			return whatsAppFailure(http.StatusBadRequest, "131056")
		}
	}
	sent := map[string]string{"id": "wamid." + strings.ReplaceAll(uuid.NewString(), "-", "")}
	if m.Type == "template" {
		sent["message_status"] = "accepted"
	}
	r := jsonReply(http.StatusOK, map[string]any{
		"messaging_product": "whatsapp",
		"contacts":          []map[string]string{{"input": m.To, "wa_id": strings.TrimPrefix(m.To, "+")}},
		"messages":          []map[string]string{sent},
	})
	r.taken = true
	return r
}

type whatsAppMessage struct {
	Product   string `json:"messaging_product"`
	Recipient string `json:"recipient_type"`
	To        string `json:"to"`
	Type      string `json:"type"`
	Callback  string `json:"biz_opaque_callback_data"`
	Text      *struct {
		Body string `json:"body"`
	} `json:"text"`
	Template *struct {
		Name     string `json:"name"`
		Language struct {
			Code string `json:"code"`
		} `json:"language"`
		Components []struct {
			Type       string `json:"type"`
			Parameters []struct {
				Type string `json:"type"`
				Text string `json:"text"`
			} `json:"parameters"`
		} `json:"components"`
	} `json:"template"`
}

// A template's parameter may hold no new line, tab or more than four spaces in a row.
var badParameter = regexp.MustCompile("[\n\r\t]| {5}")

var phoneNumber = regexp.MustCompile(`^\+?[1-9][0-9]{6,14}$`)

// check gives the error code for what is wrong, or 0.
func (m *whatsAppMessage) check() (code int, details string) {
	switch {
	case m.Product != "whatsapp":
		return 100, "messaging_product must be whatsapp"
	case m.Recipient != "" && m.Recipient != "individual":
		return 131009, "recipient_type must be individual"
	case m.To == "":
		return 131008, "to is missing"
	case !phoneNumber.MatchString(m.To):
		return 131009, "to is not a phone number"
	case len(m.Callback) > 512:
		return 100, "biz_opaque_callback_data has more than 512 characters"
	case m.Type == "text" && m.Template != nil || m.Type == "template" && m.Text != nil:
		return 100, "there is content of another type"
	case m.Type == "text" && m.Text != nil:
		return m.checkText()
	case m.Type == "template" && m.Template != nil:
		return m.checkTemplate()
	case m.Type == "text" || m.Type == "template":
		return 131008, m.Type + " is missing"
	}
	return 131051, fmt.Sprintf("type %q is not supported", m.Type)
}

func (m *whatsAppMessage) checkText() (int, string) {
	if n := utf8.RuneCountInString(m.Text.Body); n == 0 || n > 4096 {
		return 100, fmt.Sprintf("text.body has %d characters; 1 to 4096 are allowed", n)
	}
	return 0, ""
}

func (m *whatsAppMessage) checkTemplate() (int, string) {
	t := m.Template
	if t.Name == "" || t.Language.Code == "" {
		return 131008, "template.name and template.language.code must be given"
	}
	total := 0
	for _, c := range t.Components {
		for _, p := range c.Parameters {
			switch {
			case p.Type != "text":
				return 132012, fmt.Sprintf("parameter of type %q; the template has text", p.Type)
			case p.Text == "":
				return 131008, "a parameter's text is missing"
			case badParameter.MatchString(p.Text):
				return 132005, "a parameter has a new line, a tab or more than four spaces in a row"
			}
			total += utf8.RuneCountInString(p.Text)
		}
	}
	if total > 1024 {
		return 132005, "the body is longer than 1024 characters"
	}
	return 0, ""
}

func whatsAppError(status, code int, details string) reply {
	kind := "OAuthException"
	return jsonReply(status, map[string]any{"error": map[string]any{
		"message": fmt.Sprintf("(#%d) %s", code, details), "type": kind, "code": code,
		"error_data": map[string]string{"messaging_product": "whatsapp", "details": details},
		"fbtrace_id": "A" + strings.ReplaceAll(uuid.NewString(), "-", "")[:20],
	}})
}

// whatsAppFailure fills in what a fault leaves open: the code that goes with a status, and the
// other way round.
func whatsAppFailure(status int, code string) reply {
	n, err := strconv.Atoi(code)
	if err != nil {
		n = map[int]int{400: 100, 401: 190, 403: 10, 404: 100, 429: 130429, 500: 131000, 503: 131016}[status]
		if n == 0 {
			n = 131000
		}
	}
	if status == 0 {
		status = http.StatusBadRequest
		switch n {
		case 2, 131016, 131057, 133004:
			status = http.StatusServiceUnavailable
		case 131000:
			status = http.StatusInternalServerError
		case 4, 80007, 130429:
			status = http.StatusTooManyRequests
		case 0, 190:
			status = http.StatusUnauthorized
		}
	}
	return whatsAppError(status, n, "simulated")
}

// Handshake verifies the webhook address as Meta does when it is entered.
func (v *WhatsApp) Handshake(ctx context.Context, to string) error {
	challenge := strconv.FormatInt(v.cfg.Now().UnixNano(), 10)
	query := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {v.verifyToken}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("whatsapp: verify the webhook address: %w", err)
	}
	return v.expect(req, challenge)
}

// Send posts a webhook of the field messages. The type is "status", with data id, status,
// recipient_id and so on, or "message", with data id, from, text and name.
func (v *WhatsApp) Send(ctx context.Context, to string, w Webhook) ([]Sent, error) {
	if w.ID == "" {
		w.ID = "wamid." + strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	item := map[string]any{"id": w.ID, "timestamp": strconv.FormatInt(v.cfg.Now().Unix(), 10)}
	value := map[string]any{
		"messaging_product": "whatsapp",
		"metadata":          map[string]string{"display_phone_number": "33155512345", "phone_number_id": whatsAppNumberID},
	}
	switch w.Type {
	case "status":
		for name, data := range w.Data {
			item[name] = data
		}
		value["statuses"] = []any{item}
	case "message":
		item["from"], item["type"], item["text"] = w.Data["from"], "text", map[string]any{"body": w.Data["text"]}
		value["messages"] = []any{item}
		value["contacts"] = []any{map[string]any{"wa_id": w.Data["from"], "profile": map[string]any{"name": w.Data["name"]}}}
	default:
		return nil, fmt.Errorf("whatsapp: webhook type %q is not one of status, message", w.Type)
	}
	body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": "102290129340398", "changes": []any{map[string]any{"field": "messages", "value": value}},
	}}})
	if err != nil {
		return nil, fmt.Errorf("whatsapp: write the webhook: %w", err)
	}
	body = escapeUnicode(body)
	return v.sendSigned(ctx, to, w.ID, body, func(_ time.Time, wrong bool) http.Header {
		key := v.appSecret
		if wrong {
			key += "x"
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		return http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}
	})
}

// escapeUnicode writes JSON as Meta does: every character beyond ASCII as \uXXXX, in lower case, and
// a slash as \/.
func escapeUnicode(body []byte) []byte {
	var b strings.Builder
	for _, r := range string(body) {
		switch {
		case r == '/':
			b.WriteString(`\/`)
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}

// Webhooks gives a realistic webhook of each type that the vendor sends.
func (v *WhatsApp) Webhooks() []Webhook {
	return []Webhook{
		{Type: "status", Data: map[string]any{
			"status": "delivered", "recipient_id": "33612345678", "biz_opaque_callback_data": "dlv_0123456789abcdef0123456789abcdef",
		}},
		{Type: "message", Data: map[string]any{
			"from": "33612345678", "name": "Amélie", "text": "Parfait, à 16 h alors 🎉 <3",
		}},
	}
}
