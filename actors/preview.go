package actors

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// Reasons for which a preview has no delivery, beside those of package event.
const (
	ReasonNoMapping = "no_mapping"      // no mapping leads from the event to the integration
	ReasonCondition = "condition_false" // the conditions of all that do are false
	ReasonHeld      = "held"            // it is sent, but later: by the rules of the mapping's target
)

// Preview is what an event would become for one integration.
type Preview struct {
	Integration string          `json:"integration"`
	Mapping     string          `json:"mapping,omitempty" doc:"The mapping that chooses the integration, or the first whose condition is false."`
	Sends       bool            `json:"sends" doc:"Whether the event would be sent."`
	Reason      string          `json:"reason,omitempty" doc:"Why it would not be sent, or not at once."`
	Detail      string          `json:"detail,omitempty" doc:"The same in words."`
	Payload     json.RawMessage `json:"payload,omitempty" doc:"As the mapping's fields make it; left out where they change nothing."`
	Request     *PreviewRequest `json:"request,omitempty" doc:"The request, if it goes by HTTP."`
	Mail        *PreviewMail    `json:"mail,omitempty" doc:"The message, if it goes by mail."`
}

// PreviewRequest is an HTTP request without its secrets.
type PreviewRequest struct {
	Method string              `json:"method"`
	URL    string              `json:"url"`
	Header map[string][]string `json:"header"`
	Body   string              `json:"body"`
}

// PreviewMail is a message without its secrets.
type PreviewMail struct {
	Server   string            `json:"server" doc:"Host and port of the mail server."`
	Header   map[string]string `json:"header"`
	Text     string            `json:"text"`
	HTML     string            `json:"html,omitempty"`
	Calendar string            `json:"calendar,omitempty"`
}

// Preview tells what the event would become for an integration, down to the request, without calling
// anybody or storing anything. It fails with ErrUnknown where there is no such integration.
func (s *System) Preview(ev *event.Event, id string) (Preview, error) {
	if _, ok := s.cfg.Registry.Lookup(id); !ok {
		return Preview{}, fmt.Errorf("%w: %q", ErrUnknown, id)
	}
	p := Preview{Integration: id}
	chosen, passed := s.cfg.Registry.Explain(ev)
	match, found := matchOf(chosen, id)
	if !found {
		p.Reason, p.Detail = ReasonNoMapping, "no mapping leads from events of this type on this channel to the integration"
		if match, found = matchOf(passed, id); found {
			p.Mapping, p.Reason, p.Detail = match.Mapping, ReasonCondition, "the condition of the mapping is false for the event"
		}
		return p, nil
	}
	p.Mapping = match.Mapping
	err := s.preview(&p, match, ev)
	return p, err
}

func matchOf(matches []registry.Match, id string) (registry.Match, bool) {
	for _, m := range matches {
		if m.Entry.Integration.ID == id {
			return m, true
		}
	}
	return registry.Match{}, false
}

// preview completes the preview of a match. What would make a dead letter is told, and is no error.
func (s *System) preview(p *Preview, match registry.Match, ev *event.Event) error {
	entry := match.Entry
	now := s.cfg.Now().UTC()
	d, skipped, err := s.route(match, ev, now)
	if skipped != "" {
		p.Reason, p.Detail = skipped, inWords(skipped)
		return nil
	}
	if err == nil {
		if mapped, _ := match.Event(ev); mapped != ev {
			p.Payload = mapped.Payload
		}
		err = s.show(p, entry, d, now)
	}
	if err != nil {
		p.Reason, p.Detail = reasonOf(err), err.Error()
		p.Detail, err = entry.Mask(p.Detail)
		return err
	}
	p.Sends = true
	if until := match.Held(ev.Type, now); !until.IsZero() {
		p.Reason, p.Detail = ReasonHeld, "it would wait until "+until.Format(time.RFC3339)+", as the rules of the mapping's target say"
	}
	if pause := entry.Integration.Paused; pause != nil {
		p.Reason, p.Detail = "integration_paused", "it would wait: the integration is paused: "+pause.Reason
	}
	return nil
}

func inWords(skipped string) string {
	switch skipped {
	case event.ReasonDisabled:
		return "the integration is disabled"
	case event.ReasonEcho:
		return "the event came from this very integration"
	}
	return "the vendor takes no events of this type"
}

// show builds the delivery's call and takes its secrets out.
func (s *System) show(p *Preview, entry *registry.Entry, d *event.Delivery, now time.Time) (err error) {
	defer recovered(&err)
	conn, err := entry.Connection()
	if err != nil {
		return err
	}
	call, err := conn.Call(d, now)
	if err != nil {
		return err
	}
	m := &masker{entry: entry}
	if call.HTTP != nil {
		p.Request = &PreviewRequest{
			Method: call.HTTP.Method, URL: m.url(call.HTTP.URL), Header: m.header(call.HTTP.Header), Body: m.text(string(call.HTTP.Body)),
		}
	} else {
		p.Mail = m.mail(call.Mail)
	}
	return m.err
}

// masker takes secrets out of texts until the first error.
type masker struct {
	entry *registry.Entry
	err   error
}

func (m *masker) text(s string) string {
	if m.err != nil {
		return ""
	}
	var out string
	out, m.err = m.entry.Mask(s)
	return out
}

// url masks too what an address holds of a user's name and password.
func (m *masker) url(s string) string {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		authority, path, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			s = scheme + "://[secret]@" + authority[at+1:] + "/" + path
		}
	}
	return m.text(s)
}

// header masks too what is made of a secret: what proves who sends.
func (m *masker) header(h http.Header) map[string][]string {
	out := make(map[string][]string, len(h))
	for name, values := range h {
		for _, v := range values {
			if v = m.text(v); proves(name) {
				v = "[secret]"
			}
			out[name] = append(out[name], v)
		}
	}
	return out
}

// proves reports whether a header of that name holds a secret, or what is made of one.
func proves(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"authorization", "signature", "secret", "token", "api-key", "apikey", "password", "cookie", "hmac"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func (m *masker) mail(c *event.Mail) *PreviewMail {
	header := map[string]string{
		"From": c.From, "To": strings.Join(c.To, ", "), "Subject": c.Subject,
		"Date": c.Date.Format(time.RFC1123Z), "Message-Id": "<" + c.MessageID + ">",
	}
	if c.References != "" {
		header["References"], header["In-Reply-To"] = "<"+c.References+">", "<"+c.References+">"
	}
	for name, v := range header {
		header[name] = m.text(v)
	}
	return &PreviewMail{
		Server: m.text(net.JoinHostPort(c.Host, strconv.Itoa(c.Port))), Header: header,
		Text: m.text(c.Text), HTML: m.text(c.HTML), Calendar: m.text(c.Calendar),
	}
}
