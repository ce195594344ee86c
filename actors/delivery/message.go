package delivery

import (
	"fmt"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/wedsync/wedsync/actors/event"
)

// message makes the MIME message of a mail: text, HTML and calendar as alternatives of one another,
// and the calendar again as an attachment, since some clients look for the invitation in the one
// place and some in the other. It fails with a *CallError.
func (s *Sender) message(m *event.Mail) (*mail.Msg, error) {
	if err := checkMail(m); err != nil {
		return nil, err
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.From(m.From); err != nil {
		return nil, &CallError{Field: "from", Reason: err.Error()}
	}
	if err := msg.To(m.To...); err != nil {
		return nil, &CallError{Field: "to", Reason: err.Error()}
	}
	date := m.Date
	if date.IsZero() {
		date = s.cfg.Now()
	}
	msg.SetDateWithValue(date)
	msg.SetGenHeader(mail.HeaderUserAgent, s.cfg.UserAgent)
	msg.Subject(m.Subject)
	if m.MessageID != "" {
		msg.SetMessageIDWithValue(m.MessageID)
	}
	if m.References != "" {
		thread := "<" + m.References + ">"
		msg.SetGenHeader(mail.HeaderReferences, thread)
		msg.SetGenHeader(mail.HeaderInReplyTo, thread)
	}

	if m.Text != "" || m.HTML == "" {
		msg.SetBodyString(mail.TypeTextPlain, m.Text)
	}
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	}
	if m.Calendar != "" {
		method := m.CalMethod
		if method == "" {
			method = "REQUEST"
		}
		// RFC 6047 section 2.4: the parameter must equal the object's METHOD.
		msg.AddAlternativeString(mail.ContentType("text/calendar; method="+method), m.Calendar)
		err := msg.AttachReader("invite.ics", strings.NewReader(m.Calendar), mail.WithFileContentType("application/ics"))
		if err != nil {
			return nil, &CallError{Field: "calendar", Reason: err.Error()}
		}
	}
	return msg, nil
}

// checkMail refuses what would break the protocol or smuggle a header into the message.
func checkMail(m *event.Mail) error {
	switch m.TLS {
	case "", "starttls", "implicit", "none":
	default:
		return &CallError{Field: "tls", Reason: fmt.Sprintf("%q is none of starttls, implicit and none", m.TLS)}
	}
	switch m.CalMethod {
	case "", "REQUEST", "CANCEL":
	default:
		return &CallError{Field: "calendar method", Reason: fmt.Sprintf("%q is neither REQUEST nor CANCEL", m.CalMethod)}
	}
	if m.Host == "" {
		return &CallError{Field: "host", Reason: "it is missing"}
	}
	if len(m.To) == 0 {
		return &CallError{Field: "to", Reason: "there is no recipient"}
	}
	for field, id := range map[string]string{"message id": m.MessageID, "references": m.References} {
		if strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' }) {
			return &CallError{Field: field, Reason: fmt.Sprintf("%q has a character that a message id cannot have", id)}
		}
	}
	return nil
}
