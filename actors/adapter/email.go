package adapter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newEmail()) }

// email sends mail by SMTP (RFC 5321), with an invitation (RFC 5545, 5546 and 6047) where the
// wedding's time is told. It receives nothing.
type email struct {
	desc   Description
	teller *teller
	html   *template.Template
}

var (
	_ Adapter    = (*email)(nil)
	_ Addresser  = (*email)(nil)
	_ Connection = (*emailConn)(nil)
)

const maxSubject = 200 // characters

func newEmail() *email {
	return &email{
		teller: newTeller(),
		html:   template.Must(template.New("mail").Parse(emailHTML)),
		desc: Description{
			Vendor:   "email",
			Name:     "E-mail",
			Category: event.EmailService,
			Documented: "SMTP in RFC 5321, reply codes in RFC 5321 4.2 and RFC 3463, invitations in RFC 5545, " +
				"5546 and 6047; any mail server.",
			Settings: []Field{
				{Name: "host", Label: "SMTP server", Required: true, Example: "smtp.example.com", Help: "the server that takes outgoing mail"},
				{Name: "port", Label: "Port", Default: "587", Help: "587 with starttls, 465 with implicit"},
				{Name: "tls", Label: "Encryption", Default: "starttls", Help: "starttls, implicit, or none for a test server only"},
				{Name: "username", Label: "User name", Help: "leave empty where the server asks for none"},
				{Name: "from", Label: "From", Required: true, Example: "Weddings <weddings@example.com>", Help: "the sender's address, with or without a name"},
				{Name: "to", Label: "To", Required: true, Example: "Amélie <amelie@example.com>, jonas@example.com", Help: "the recipients' addresses, separated by commas"},
			},
			Secrets: []Field{{Name: "password", Label: "Password", Help: "goes with the user name"}},
			Samples: samples(sampleTypes()...),
		},
	}
}

func (e *email) Describe() Description { return e.desc }

// CheckRecipient takes addresses, with or without a name.
func (e *email) CheckRecipient(address string) error {
	if _, err := mail.ParseAddress(address); err != nil {
		return fmt.Errorf("%.80q is not an address such as amelie@example.com", address)
	}
	return nil
}

// Connect checks the server and the addresses; it does not ask whether they exist.
func (e *email) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&e.desc, in, secrets)
	c := &emailConn{
		email:    e,
		host:     f.matching("host", `^[A-Za-z0-9._:-]{1,253}$`, "a host name or an IP address"),
		port:     f.port("port"),
		tls:      f.oneOf("tls", "starttls", "implicit", "none"),
		username: f.text("username"),
		password: first(f.secret("password", anyText)),
	}
	if from := f.text("from"); from != "" {
		a, err := mail.ParseAddress(from)
		if err != nil {
			f.problem("settings.from", fmt.Sprintf("%.200q is not an address such as Weddings <weddings@example.com>", from))
		} else {
			c.from = a
		}
	}
	if to := f.text("to"); to != "" {
		list, err := mail.ParseAddressList(to)
		if err != nil {
			f.problem("settings.to", fmt.Sprintf("%.200q is not a list of addresses separated by commas", to))
		}
		c.to = list
	}
	switch {
	case c.username != "" && c.password.Reveal() == "":
		f.problem("secrets.password", "is required with a user name")
	case c.username == "" && c.password.Reveal() != "":
		f.problem("settings.username", "is required with a password")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// emailConn is e-mail bound to one integration.
type emailConn struct {
	*email
	host     string
	port     int
	tls      string
	username string
	password event.Secret
	from     *mail.Address
	to       []*mail.Address
}

// emailBody is what Encode makes: what is said, not yet to whom.
type emailBody struct {
	Subject  string      `json:"subject"`
	Text     string      `json:"text"`
	HTML     string      `json:"html"`
	Calendar *invitation `json:"calendar,omitempty"`
	Thread   string      `json:"thread,omitempty"` // the same in all mails about a wedding
}

// Encode makes the mail's parts, and an invitation where the event tells the wedding's time.
func (e *email) Encode(ev *event.Event) (json.RawMessage, error) {
	n, p, err := e.teller.tell(ev)
	if err != nil {
		return nil, err
	}
	calendar, err := invite(ev, n, p)
	if err != nil {
		return nil, err
	}
	return e.mail(ev, n, p, calendar)
}

// mail makes the parts of a notice's mail.
func (e *email) mail(ev *event.Event, n *notice, p payload, calendar *invitation) (json.RawMessage, error) {
	var html bytes.Buffer
	if err := e.html.Execute(&html, emailView(n)); err != nil {
		return nil, fmt.Errorf("write the HTML of %s: %w", ev.Type, err)
	}
	b := emailBody{
		Subject: shorten(oneLine(n.heading()), maxSubject),
		Text:    n.plain() + "\n",
		HTML:    html.String(), Calendar: calendar,
	}
	if id := weddingOf(ev, p); id != "" {
		b.Thread = weddingKey(id)
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write the mail of %s: %w", ev.Type, err)
	}
	return raw, nil
}

// Call addresses the mail: to the address that the mapping names, else to those that are set when it is
// sent, also where the delivery waited or is replayed. Message-ID and Date come from the delivery, so that they are the same in
// every try.
func (c *emailConn) Call(d *event.Delivery, now time.Time) (*event.Call, error) {
	var b emailBody
	if err := json.Unmarshal(d.Body, &b); err != nil {
		return nil, fmt.Errorf("the stored body was not written by this adapter: %w", err)
	}
	to := c.to
	if d.Recipient != "" {
		a, err := mail.ParseAddress(d.Recipient)
		if err != nil {
			return nil, c.CheckRecipient(d.Recipient)
		}
		to = []*mail.Address{a}
	}
	domain := c.from.Address[strings.LastIndexByte(c.from.Address, '@')+1:]
	m := &event.Mail{
		Host: c.host, Port: c.port, TLS: c.tls, Username: c.username, Password: c.password,
		From: c.from.String(), MessageID: d.ID + "@" + domain, Date: d.AcceptedAt,
		Subject: b.Subject, Text: b.Text, HTML: b.HTML,
	}
	if m.Date.IsZero() {
		m.Date = now
	}
	for _, a := range to {
		m.To = append(m.To, a.String())
	}
	if b.Thread != "" {
		m.References = b.Thread + "@" + domain
	}
	if b.Calendar != nil {
		m.Calendar, m.CalMethod = b.Calendar.text(c.from, to), b.Calendar.Method
	}
	return &event.Call{Mail: m}, nil
}

// Classify goes by the SMTP reply code: 4yz may pass another time, 5yz never will.
func (c *emailConn) Classify(_ *event.Delivery, a *event.Answer) Verdict {
	if a.Err != nil || a.Status == 0 {
		return noAnswer()
	}
	v := Verdict{Reason: "smtp_" + strconv.Itoa(a.Status), Detail: detail(string(a.Body), c.password.Reveal())}
	switch s := a.Status; {
	case s >= 200 && s < 300:
		return Verdict{Kind: KindDelivered}
	case s == 450: // this mailbox is busy, or the server greylists: not the server's trouble
		v.Kind = KindRetry
	case s < 500:
		v.Kind, v.Fault = KindRetry, true
	case s == 502 && strings.Contains(strings.ToLower(v.Detail), "authenticate"),
		s == 530, s == 534, s == 535, s == 538: // credentials or encryption that the server does not take
		v.Kind = KindPause
	default:
		v.Kind = KindDead
	}
	return v
}

type emailFacts struct {
	Title, Couple, Notes string
	Lines                []emailLine
	Schedule             []string
}

type emailLine struct{ Label, Value string }

func emailView(n *notice) emailFacts {
	v := emailFacts{Title: n.title, Couple: n.couple, Notes: n.notes, Schedule: n.schedule}
	for _, l := range n.lines {
		v.Lines = append(v.Lines, emailLine{l.label, l.value})
	}
	return v
}

const emailHTML = `<!doctype html>
<html><body style="font-family:sans-serif;color:#222">
<h2>{{.Title}}</h2>
{{- if .Couple}}
<p>{{.Couple}}</p>
{{- end}}
{{- if .Lines}}
<table cellpadding="4">
{{- range .Lines}}
<tr><th align="left">{{.Label}}</th><td>{{.Value}}</td></tr>
{{- end}}
</table>
{{- end}}
{{- if .Schedule}}
<h3>Schedule</h3>
<ul>
{{- range .Schedule}}
<li>{{.}}</li>
{{- end}}
</ul>
{{- end}}
{{- if .Notes}}
<p><strong>Notes:</strong> {{.Notes}}</p>
{{- end}}
</body></html>
`
