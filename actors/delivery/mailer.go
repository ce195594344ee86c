package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/wedsync/wedsync/actors/event"
)

// quitTime is how long a mail server has to answer QUIT.
const quitTime = time.Second

// doMail hands a mail to its server. The server's reply code becomes the status: 250, or what it
// refused with and its text as the body. If it refuses one recipient, nobody is sent the mail, so
// that a retry repeats it to nobody.
//
// The protocol is driven step by step rather than by go-mail's client: that one reports an accepted
// mail as failed when the RSET after it fails, leaks the connection when the greeting does, and
// forgets the code when there are several refusals.
func (s *Sender) doMail(ctx context.Context, m *event.Mail) *event.Answer {
	msg, err := s.message(m)
	if err != nil {
		return &event.Answer{Err: err}
	}
	conn, err := s.dialMail(ctx, m)
	if err != nil {
		return mailAnswer(ctx, fmt.Errorf("connect: %w", err))
	}
	defer func() { _ = conn.Close() }()
	// The end of ctx ends whatever read or write is going on.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	client, err := s.greet(conn, m)
	if err != nil {
		return mailAnswer(ctx, err)
	}
	text, err := transmit(client, msg)
	if err != nil {
		if answer := mailAnswer(ctx, err); answer.Err != nil {
			return answer
		}
	}
	// The mail is accepted or refused; how the server takes leave changes nothing, and is not waited for long.
	_ = conn.SetDeadline(time.Now().Add(quitTime))
	_ = client.Quit()
	if err != nil {
		return mailAnswer(ctx, err)
	}
	return &event.Answer{Status: 250, Body: []byte(text)}
}

// mailAnswer tells a server's refusal, which is an answer, from the want of one.
func mailAnswer(ctx context.Context, err error) *event.Answer {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return &event.Answer{Status: reply.Code, Body: []byte(reply.Msg)}
	}
	return &event.Answer{Err: failure(ctx, err)}
}

// dialMail connects through the guard, with TLS from the start if the mail says so.
func (s *Sender) dialMail(ctx context.Context, m *event.Mail) (net.Conn, error) {
	addr := mailAddr(m)
	if m.TLS == "implicit" {
		d := tls.Dialer{NetDialer: &s.dialer, Config: s.tlsFor(m.Host)}
		return d.DialContext(ctx, "tcp", addr)
	}
	return s.dialer.DialContext(ctx, "tcp", addr)
}

// mailAddr fills in the ports of RFC 8314 section 3: 587, or 465 where TLS comes first.
func mailAddr(m *event.Mail) string {
	port := m.Port
	switch {
	case port == 0 && m.TLS == "implicit":
		port = 465
	case port == 0:
		port = 587
	}
	return net.JoinHostPort(m.Host, strconv.Itoa(port))
}

func (s *Sender) tlsFor(host string) *tls.Config {
	cfg := s.tls.Clone()
	cfg.ServerName = host
	return cfg
}

// greet brings a new connection to where mail can be handed over.
func (s *Sender) greet(conn net.Conn, m *event.Mail) (*smtp.Client, error) {
	client, err := smtp.NewClient(conn, m.Host)
	if err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if err := client.Hello(s.cfg.Hostname); err != nil {
		return nil, err
	}
	if m.TLS == "" || m.TLS == "starttls" {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return nil, errNoTLS
		}
		if err := client.StartTLS(s.tlsFor(m.Host)); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if m.Username == "" {
		return client, nil
	}
	auth, err := chooseAuth(client, m)
	if err != nil {
		return nil, err
	}
	switch err := client.Auth(auth); {
	case errors.Is(err, smtp.ErrUnencrypted):
		return nil, &CallError{Field: "tls", Reason: "a password is not sent without TLS; use starttls or implicit"}
	case err != nil:
		return nil, fmt.Errorf("authentication: %w", err)
	}
	return client, nil
}

// chooseAuth picks the best of the mechanisms that the server offers. PLAIN and LOGIN refuse by
// themselves to show the password without TLS, except on loopback.
func chooseAuth(client *smtp.Client, m *event.Mail) (smtp.Auth, error) {
	_, offered := client.Extension("AUTH")
	user, password := m.Username, m.Password.Reveal()
	for _, mechanism := range []struct {
		name string
		auth func() smtp.Auth
	}{
		{"SCRAM-SHA-256", func() smtp.Auth { return smtp.ScramSHA256Auth(user, password) }},
		{"PLAIN", func() smtp.Auth { return smtp.PlainAuth("", user, password, m.Host, false) }},
		{"LOGIN", func() smtp.Auth { return smtp.LoginAuth(user, password, m.Host, false) }},
		{"CRAM-MD5", func() smtp.Auth { return smtp.CRAMMD5Auth(user, password) }},
	} {
		for name := range strings.FieldsSeq(offered) {
			if strings.EqualFold(name, mechanism.name) {
				return mechanism.auth(), nil
			}
		}
	}
	return nil, &CallError{Field: "username", Reason: fmt.Sprintf(
		"the server offers no way to sign in that is known here (%q); leave it out if none is needed", offered)}
}

// transmit hands over the message and returns what the server said when it accepted it.
func transmit(client *smtp.Client, msg *mail.Msg) (text string, err error) {
	from, noFrom := msg.GetSender(false)
	to, noTo := msg.GetRecipients()
	if err := errors.Join(noFrom, noTo); err != nil {
		return "", &CallError{Field: "addresses", Reason: err.Error()}
	}
	if err := client.Mail(from); err != nil {
		return "", fmt.Errorf("sender: %w", err)
	}
	var refused error
	for _, rcpt := range to {
		err := client.Rcpt(rcpt)
		var reply *textproto.Error
		switch {
		case err == nil:
		case !errors.As(err, &reply):
			return "", fmt.Errorf("recipient: %w", err)
		case refused == nil || reply.Code >= 500: // the refusal for good is the one that counts
			reply.Msg = rcpt + ": " + reply.Msg
			refused = reply
		}
	}
	if refused != nil {
		return "", refused
	}
	w, err := client.Data()
	if err != nil {
		return "", fmt.Errorf("data: %w", err)
	}
	if _, err := msg.WriteTo(w); err != nil {
		return "", fmt.Errorf("data: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("message: %w", err)
	}
	if closed, ok := w.(*smtp.DataCloser); ok {
		text = closed.ServerResponse()
	}
	return text, nil
}
