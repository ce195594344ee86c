package vendors

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/wedsync/wedsync/actors/event"
)

// Email simulates a mail server that asks for a user name and password, over
// STARTTLS where [Config].Certificate is set. It takes mails
// that are put together rightly, invitations among them; see [InvitationOf].
type Email struct {
	*web
	smtp     *smtp.Server
	listener net.Listener
	host     string
	port     int
	tls      string // the setting that goes with it
	password string
}

var _ Vendor = (*Email)(nil)

const (
	emailUser = "weddings"
	emailFrom = "Weddings <weddings@planner.test>"
	emailTo   = "Amélie <amelie@couple.test>, jonas@couple.test"
)

// StartEmail starts the simulator; with a fixed Config.Port mail is taken at the port after it. ctx
// bounds the start only.
func StartEmail(ctx context.Context, cfg Config) (*Email, error) {
	v := &Email{tls: "none", password: secret("email", "password")}
	web, err := startWeb(ctx, "email", cfg, func(mux *http.ServeMux, s *web) { control(mux, s, v) })
	if err != nil {
		return nil, err
	}
	v.web, cfg = web, web.cfg
	port := cfg.Port
	if port != 0 {
		port++
	}
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the simulator of email: %w", err), v.web.Close())
	}
	v.host = cfg.Host
	if at, ok := ln.Addr().(*net.TCPAddr); ok {
		v.port = at.Port
	}
	v.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &mailSession{v: v, conn: c.Conn()}, nil
	}))
	v.smtp.Domain, v.smtp.AllowInsecureAuth, v.smtp.EnableSMTPUTF8 = "mail.sim.test", cfg.Certificate == nil, true
	if cfg.Certificate != nil {
		v.tls, v.smtp.TLSConfig = "starttls", &tls.Config{Certificates: []tls.Certificate{*cfg.Certificate}}
	}
	v.smtp.MaxMessageBytes, v.smtp.MaxRecipients = 10*maxCallBytes, 100
	v.smtp.ReadTimeout, v.smtp.WriteTimeout = time.Minute, time.Minute
	v.smtp.ErrorLog = quiet{}
	v.listener = ln
	v.serve(func() error { return v.smtp.Serve(ln) })
	return v, nil
}

// quiet drops what go-smtp says of broken connections: they are broken on purpose.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// Integration gives an integration with this simulator and its secrets.
func (v *Email) Integration(id string) (event.Integration, event.Secrets) {
	in := v.integrationOf(id, "E-mail", event.EmailService, map[string]any{
		"host": v.host, "port": v.port, "tls": v.tls, "username": emailUser, "from": emailFrom, "to": emailTo,
	})
	return in, event.Secrets{"password": {event.SecretOf(v.password)}}
}

// Close stops the simulator, lets go of what hangs, and waits for its goroutines.
func (v *Email) Close() error {
	v.shut() // before the mail server, so that nothing hangs in it, nor is its end an error
	err := v.smtp.Close()
	if errors.Is(err, smtp.ErrServerClosed) {
		err = nil
	}
	// The server closes only a listener that it has begun to serve.
	if closing := v.listener.Close(); !errors.Is(closing, net.ErrClosed) {
		err = errors.Join(err, closing)
	}
	return errors.Join(err, v.web.Close())
}

// mailSession is one connection of a mail client.
type mailSession struct {
	v      *Email
	conn   net.Conn
	authed bool
	to     []string
}

var (
	_ smtp.AuthSession = (*mailSession)(nil)
	_ smtp.Logger      = quiet{}
)

// AuthMechanisms offers PLAIN.
func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth checks the user name and password.
func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != emailUser || !hmac.Equal([]byte(password), []byte(s.v.password)) {
			return smtp.ErrAuthFailed
		}
		s.authed = true
		return nil
	}), nil
}

// Mail begins a message.
func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if !s.authed {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	return nil
}

// Rcpt adds a recipient, unless a fault of the stage "rcpt" refuses it.
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	r := &Receipt{At: s.v.cfg.Now(), Vendor: s.v.name, Body: []byte(to)}
	_, end := s.v.faults.pick(r, stageRcpt, false)
	if end != nil {
		err := s.fail(end)
		r.Status = err.Code
		s.v.record(r, taker{})
		return err
	}
	s.to = append(s.to, to)
	return nil
}

// Data takes the message.
func (s *mailSession) Data(body io.Reader) error {
	if !s.v.enter() {
		return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "shutting down"}
	}
	defer s.v.leave()
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	r := &Receipt{At: s.v.cfg.Now(), Vendor: s.v.name, Body: raw}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return s.refuse(r, "the message cannot be read: "+err.Error())
	}
	r.Header = http.Header(msg.Header)
	r.ID, _, _ = strings.Cut(strings.Trim(msg.Header.Get("Message-Id"), "<>"), "@")
	delay, end := s.v.faults.pick(r, stageData, false)
	if !pause(context.Background(), s.v.closing, delay) {
		return s.drop(r)
	}
	switch {
	case end == nil:
	case end.Hang && !end.hang(context.Background(), s.v.closing), end.Reset:
		return s.drop(r)
	case end.LoseAnswer, end.Hang:
	default:
		err := s.fail(end)
		r.Status = err.Code
		s.v.record(r, taker{})
		return err
	}
	if !s.v.cfg.Discard {
		if err := checkMail(msg); err != nil {
			return s.refuse(r, err.Error())
		}
	}
	r.Taken = true
	if end != nil && end.LoseAnswer {
		return s.drop(r)
	}
	r.Status = 250
	s.v.record(r, taker{})
	return nil
}

// drop records the call and breaks the connection.
func (s *mailSession) drop(r *Receipt) error {
	s.v.record(r, taker{})
	breakOff(s.conn)
	return errors.New("the simulator broke the connection")
}

func (s *mailSession) refuse(r *Receipt, why string) error {
	r.Status = 554
	s.v.record(r, taker{})
	return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: strings.ReplaceAll(why, "\n", " ")}
}

// fail makes the reply of a fault: its status, 451 for none.
func (s *mailSession) fail(f *activeFault) *smtp.SMTPError {
	code := f.Status
	if code == 0 {
		code = 451
	}
	text := f.Code
	if text == "" {
		text = "simulated"
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// Reset drops the message begun.
func (s *mailSession) Reset() { s.to = nil }

// Logout ends the connection.
func (s *mailSession) Logout() error { return nil }
