package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newWhatsApp()) }

// whatsApp sends messages by the WhatsApp Business Cloud API and takes its webhooks
// (developers.facebook.com/docs/whatsapp/cloud-api).
type whatsApp struct {
	desc   Description
	teller *teller
}

var (
	_ Adapter    = (*whatsApp)(nil)
	_ Addresser  = (*whatsApp)(nil)
	_ Connection = (*whatsAppConn)(nil)
	_ Receiver   = (*whatsAppConn)(nil)
	_ Handshaker = (*whatsAppConn)(nil)
	_ Prober     = (*whatsAppConn)(nil)
)

// Sizes, in characters (reference of messages and of templates).
const (
	whatsAppMaxText = 4096
	// A template's body may have 1024 with its parameters filled in. Its own words are not known
	// here; a quarter is left to them.
	whatsAppMaxParameters = 768
	whatsAppMaxParamCount = 20
)

func newWhatsApp() *whatsApp {
	return &whatsApp{teller: newTeller(), desc: Description{
		Vendor:   "whatsapp",
		Name:     "WhatsApp Business",
		Category: event.WhatsAppBusiness,
		Documented: "All of it, at developers.facebook.com/docs/whatsapp/cloud-api: messages, templates, " +
			"error codes, throughput, webhooks.",
		Receives: []string{TypeDeliveryStatus, TypeMessageReceived},
		Settings: []Field{
			{Name: "phone_number_id", Label: "Phone number ID", Required: true, Example: "106540352242922", Help: "of the business's number, from WhatsApp > API Setup"},
			{Name: "to", Label: "Recipient", Required: true, Example: "+33612345678", Help: "the number that gets the messages, in E.164: + and country code first"},
			{Name: "mode", Label: "Mode", Default: "template", Help: "template, or text; text reaches only who wrote within 24 hours, others get the template"},
			{Name: "language", Label: "Template language", Default: "en_US", Example: "en_US", Help: "of the approved templates"},
			{
				Name: "templates", Label: "Templates", Example: `{"timeline.updated":{"name":"timeline_updated","parameters":["$couple","ceremonyTime"]}}`,
				Help: `name and body parameters by event type, or "*" for all others; a parameter is a payload field, $title, $couple or $summary; ` +
					`without: the type's name with _ for . and the parameters $couple and $summary`,
			},
			{Name: "version", Label: "Graph API version", Default: "v24.0", Help: "such as v24.0"},
			{Name: "base_url", Label: "Graph API address", Default: "https://graph.facebook.com", Help: "other than Meta's own for a test server only"},
		},
		Secrets: []Field{
			{Name: "access_token", Label: "Access token", Required: true, Help: "of a system user, with whatsapp_business_messaging"},
			{Name: "app_secret", Label: "App secret", Help: "verifies webhooks; without it every webhook is refused"},
			{Name: "verify_token", Label: "Verify token", Help: "the text entered beside the webhook address at Meta"},
		},
		// 80 messages a second for a number, and one to each recipient every 6 s, up to 45 of them at
		// once. What must wait for a day (131049) must not die of having waited for a day.
		Limits: event.Limits{
			PerSecond: 80, Burst: 80, PerRecipient: event.Duration(6 * time.Second), RecipientBurst: 45,
			ParkLimit: event.Duration(48 * time.Hour),
		},
		Samples: samples(sampleTypes()...),
	}}
}

func (w *whatsApp) Describe() Description { return w.desc }

// Connect checks the numbers, the templates and the tokens.
func (w *whatsApp) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&w.desc, in, secrets)
	c := &whatsAppConn{
		whatsApp:    w,
		numberID:    f.matching("phone_number_id", `^[0-9]{5,32}$`, "digits, such as 106540352242922"),
		to:          f.matching("to", whatsAppNumber, "a number such as +33612345678"),
		textMode:    f.oneOf("mode", "template", "text") == "text",
		language:    f.matching("language", whatsAppLanguage, "a language such as en_US or fr"),
		base:        strings.TrimSuffix(f.address("base_url"), "/"),
		version:     f.matching("version", `^v[0-9]{1,3}\.[0-9]{1,2}$`, "a version such as v24.0"),
		token:       first(f.secret("access_token", checkToken)),
		appSecrets:  f.secret("app_secret", checkToken),
		verifyToken: f.secret("verify_token", anyText),
	}
	if f.decode("templates", "an object of templates by event type", &c.templates) {
		for _, eventType := range sortedKeys(c.templates) {
			t := c.templates[eventType]
			if reason := t.check(eventType); reason != "" {
				f.problem("settings.templates."+clip(eventType, 64), reason)
			}
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

const (
	whatsAppLanguage = `^[a-z]{2,3}(_[A-Z]{2,4})?$`
	whatsAppNumber   = `^\+[1-9][0-9]{6,14}$` // E.164
)

// CheckRecipient takes numbers in E.164.
func (w *whatsApp) CheckRecipient(address string) error {
	if !regexp.MustCompile(whatsAppNumber).MatchString(address) {
		return fmt.Errorf("%.80q is not a number such as +33612345678", address)
	}
	return nil
}

// whatsAppConn is WhatsApp bound to one integration.
type whatsAppConn struct {
	*whatsApp
	numberID    string
	to          string
	textMode    bool
	language    string
	templates   map[string]whatsAppTemplate
	base        string
	version     string
	token       event.Secret
	appSecrets  []event.Secret
	verifyToken []event.Secret
}

// whatsAppContent is what Encode makes: what is said, not yet to whom. With both, the text is sent,
// and the template in its place where the recipient's 24 hours are over.
type whatsAppContent struct {
	Text     json.RawMessage `json:"text,omitempty"`
	Template json.RawMessage `json:"template,omitempty"`
}

type (
	whatsAppText struct {
		PreviewURL bool   `json:"preview_url"`
		Body       string `json:"body"`
	}
	whatsAppTemplateBody struct {
		Name       string              `json:"name"`
		Language   whatsAppCode        `json:"language"`
		Components []whatsAppComponent `json:"components,omitempty"`
	}
	whatsAppCode struct {
		Code string `json:"code"`
	}
	whatsAppComponent struct {
		Type       string              `json:"type"`
		Parameters []whatsAppParameter `json:"parameters"`
	}
	whatsAppParameter struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
)

// Encode makes the template, and in text mode the text too.
func (c *whatsAppConn) Encode(ev *event.Event) (json.RawMessage, error) {
	n, p, err := c.teller.tell(ev)
	if err != nil {
		return nil, err
	}
	return c.content(ev.Type, n, p)
}

// content makes the template of a type, and in text mode the text too.
func (c *whatsAppConn) content(eventType string, n *notice, p payload) (json.RawMessage, error) {
	template, err := c.template(eventType, n, p)
	if err != nil {
		return nil, err
	}
	var content whatsAppContent
	if content.Template, err = json.Marshal(template); err != nil {
		return nil, fmt.Errorf("write the template of %s: %w", eventType, err)
	}
	if c.textMode {
		content.Text, err = json.Marshal(whatsAppText{Body: shorten(n.plain(), whatsAppMaxText)})
		if err != nil {
			return nil, fmt.Errorf("write the text of %s: %w", eventType, err)
		}
	}
	return json.Marshal(content)
}

// whatsAppMessage is the message on the wire.
type whatsAppMessage struct {
	Product      string          `json:"messaging_product"`
	RecipientTyp string          `json:"recipient_type"`
	To           string          `json:"to"`
	Type         string          `json:"type"`
	Text         json.RawMessage `json:"text,omitempty"`
	Template     json.RawMessage `json:"template,omitempty"`
	CallbackData string          `json:"biz_opaque_callback_data"` // comes back in statuses
}

// Call addresses the message: to the number that the mapping names, else to the one that is set when it
// is sent, also where the delivery waited or is replayed. There is no idempotency key; biz_opaque_callback_data carries the delivery id, so
// that statuses tell what became of a call that timed out.
func (c *whatsAppConn) Call(d *event.Delivery, _ time.Time) (*event.Call, error) {
	var content whatsAppContent
	if err := json.Unmarshal(d.Body, &content); err != nil {
		return nil, fmt.Errorf("the stored body was not written by this adapter: %w", err)
	}
	to := firstOf(d.Recipient, c.to)
	m := whatsAppMessage{
		Product: "whatsapp", RecipientTyp: "individual", To: to, CallbackData: d.ID,
		Type: "text", Text: content.Text,
	}
	if content.Text == nil {
		m.Type, m.Template = "template", content.Template
	}
	if m.Text == nil && m.Template == nil {
		return nil, errors.New("the stored body has neither text nor template; it was not written by this adapter")
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("address the message: %w", err)
	}
	return &event.Call{Recipient: to, HTTP: &event.HTTPCall{
		Method: http.MethodPost, URL: c.endpoint() + "/messages", Body: body,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + c.token.Reveal()}},
	}}, nil
}

// Probe reads the number's own id.
func (c *whatsAppConn) Probe(time.Time) (*event.Call, error) {
	return &event.Call{HTTP: &event.HTTPCall{
		Method: http.MethodGet, URL: c.endpoint() + "?fields=id",
		Header: http.Header{"Authorization": {"Bearer " + c.token.Reveal()}},
	}}, nil
}

func (c *whatsAppConn) endpoint() string { return c.base + "/" + c.version + "/" + c.numberID }

// whatsAppAnswer is what the Graph API answers.
type whatsAppAnswer struct {
	ID       string `json:"id"` // of a probe
	Messages []struct {
		ID     string `json:"id"`
		Status string `json:"message_status"`
	} `json:"messages"`
	Error *struct {
		Message string `json:"message"`
		Code    *int   `json:"code"`
		Data    struct {
			Details string `json:"details"`
		} `json:"error_data"`
	} `json:"error"`
}

// Classify goes by error.code, as Meta asks, and by the status only where there is none.
func (c *whatsAppConn) Classify(d *event.Delivery, a *event.Answer) Verdict {
	if a.Err != nil || a.Status == 0 {
		return noAnswer()
	}
	v := byStatus(a)
	var answer whatsAppAnswer
	err := json.Unmarshal(a.Body, &answer)
	switch {
	case err == nil && answer.Error != nil && answer.Error.Code != nil:
		v = whatsAppVerdict(*answer.Error.Code, v)
		if v.Reason != event.ReasonOptedOut {
			v.Reason = strconv.Itoa(*answer.Error.Code)
		}
		v.Detail = detail(firstOf(answer.Error.Data.Details, answer.Error.Message), c.token.Reveal())
		if v.Kind == KindInstead {
			v = c.instead(d, v)
		}
		if v.RetryAfter == 0 && v.Kind == KindRetry {
			v.RetryAfter = retryAfter(a)
		}
	case v.Kind != KindDelivered:
		v.Detail = firstOf(v.Detail, detail(string(a.Body), c.token.Reveal()))
	case err == nil && len(answer.Messages) > 0 && answer.Messages[0].ID != "":
		v.Detail = detail(answer.Messages[0].ID + " " + answer.Messages[0].Status)
	case err != nil || answer.ID == "":
		v = Verdict{Kind: KindRetry, Reason: "unexpected_answer", Detail: detail(string(a.Body), c.token.Reveal()), Fault: true}
	}
	return v
}

// instead puts the template in the place of a text that came too late. A template needs no open
// window, so it is never replaced.
func (c *whatsAppConn) instead(d *event.Delivery, v Verdict) Verdict {
	var content whatsAppContent
	if d != nil && json.Unmarshal(d.Body, &content) == nil && content.Text != nil && content.Template != nil {
		raw, err := json.Marshal(whatsAppContent{Template: content.Template})
		if err == nil {
			v.Instead = raw
			return v
		}
	}
	v.Kind = KindDead
	return v
}

// whatsAppVerdict sorts the error codes (cloud-api/support/error-codes). Codes that are not listed
// there are judged by the HTTP status.
func whatsAppVerdict(code int, byStatus Verdict) Verdict {
	switch code {
	case 2, 131000, 131016, 131057, 133004: // Meta's own trouble, or maintenance
		return Verdict{Kind: KindRetry, Fault: true}
	case 4, 80007, 130429: // too many calls
		return Verdict{Kind: KindRetry}
	case 131056: // too many to this recipient: wait 4^n s
		return Verdict{Kind: KindRetry, RetryAfter: 4 * time.Second, Growth: 4}
	case 131049: // Meta spares this recipient: not before 24 h
		return Verdict{Kind: KindRetry, RetryAfter: 24 * time.Hour}
	case 0, 10, 190, 368, 131031, 131042, 131048:
		return Verdict{Kind: KindPause}
	case 131047: // the 24 hours since the recipient wrote are over
		return Verdict{Kind: KindInstead}
	case 131050:
		return Verdict{Kind: KindDead, Reason: event.ReasonOptedOut}
	case 100, 131008, 131009, 131026, 131051, 132000, 132001, 132005, 132007, 132012, 132015:
		return Verdict{Kind: KindDead}
	}
	if code >= 200 && code <= 299 { // a permission is missing
		return Verdict{Kind: KindPause}
	}
	if byStatus.Kind == KindDelivered { // an error all the same
		return Verdict{Kind: KindDead}
	}
	return byStatus
}
