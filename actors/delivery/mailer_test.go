package delivery_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// mailServer is a real SMTP server with replies that can be set.
type mailServer struct {
	host string
	port int

	mu       sync.Mutex
	onMail   error
	onRcpt   map[string]error
	onData   error
	hang     chan struct{} // closed to go on; DATA waits for it
	password string        // of "ann"; "": no authentication is offered
	offered  []string      // ways to authenticate
	got      []received
}

type received struct {
	from, helo string
	to         []string
	tls, auth  bool
	data       string
}

// newMailServer starts one; cert nil is without TLS.
func newMailServer(t *testing.T, cert *tls.Certificate, implicit bool, set func(*mailServer)) *mailServer {
	t.Helper()
	m := &mailServer{host: "127.0.0.1", offered: []string{sasl.Login, sasl.Plain}}
	if set != nil {
		set(m)
	}
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s := &mailSession{m: m, conn: c}
		if m.password != "" {
			return &authSession{s}, nil
		}
		return s, nil
	}))
	srv.Domain, srv.AllowInsecureAuth = "mail.test", true
	srv.ErrorLog = silent{}
	ln, err := net.Listen("tcp", m.host+":0")
	if err != nil {
		t.Skipf("no such loopback address here: %v", err)
	}
	m.port = ln.Addr().(*net.TCPAddr).Port
	if cert != nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
		if implicit {
			ln = tls.NewListener(ln, srv.TLSConfig)
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _, _ = ln.Close(), srv.Close(); <-done })
	return m
}

// silent is a smtp.Logger.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

func (m *mailServer) received(t *testing.T) received {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.got) != 1 {
		t.Fatalf("%d mails arrived, want 1", len(m.got))
	}
	return m.got[0]
}

func (m *mailServer) mail() *event.Mail {
	return &event.Mail{
		Host: m.host, Port: m.port, TLS: "none", From: "Ann & Ben <couple@wedding.test>",
		To: []string{"photos@vendor.test"}, MessageID: "dlv_1@wedsync.test", Subject: "New time", Text: "16:00",
	}
}

type mailSession struct {
	m    *mailServer
	conn *smtp.Conn
	in   received
}

func (s *mailSession) Reset()        { s.in = received{auth: s.in.auth} }
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.in.from = from
	return s.m.onMail
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.in.to = append(s.in.to, to)
	return s.m.onRcpt[to]
}

func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.m.hang != nil {
		<-s.m.hang
	}
	if s.m.onData != nil {
		return s.m.onData
	}
	_, s.in.tls = s.conn.TLSConnectionState()
	s.in.helo, s.in.data = s.conn.Hostname(), string(data)
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.got = append(s.m.got, s.in)
	return nil
}

// authSession is a mailSession that wants a password.
type authSession struct{ *mailSession }

func (s *authSession) AuthMechanisms() []string { return s.m.offered }

func (s *authSession) Auth(mechanism string) (sasl.Server, error) {
	if mechanism != sasl.Plain {
		return nil, &smtp.SMTPError{Code: 535, Message: "you chose " + mechanism}
	}
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "ann" || password != s.m.password {
			return smtp.ErrAuthFailed
		}
		s.in.auth = true
		return nil
	}), nil
}

// testCert is a certificate for 127.0.0.1 and the pool that trusts it.
func testCert(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &srv.TLS.Certificates[0], roots
}

func wantAnswer(t *testing.T, a *event.Answer, status int, text string) {
	t.Helper()
	if a.Err != nil || a.Status != status || !strings.Contains(string(a.Body), text) {
		t.Errorf("status %d, body %q, %v; want %d and %q", a.Status, a.Body, a.Err, status, text)
	}
}

func TestMailTLS(t *testing.T) {
	t.Parallel()
	cert, roots := testCert(t)
	for mode, implicit := range map[string]bool{"": false, "starttls": false, "implicit": true} {
		m := newMailServer(t, cert, implicit, func(m *mailServer) { m.password = "pass word" })
		mail := m.mail()
		mail.TLS, mail.Username, mail.Password = mode, "ann", "pass word"
		wantAnswer(t, newSender(t, delivery.SenderConfig{RootCAs: roots, Hostname: "node1.test"}).
			Do(within(t, time.Minute), &event.Call{Mail: mail}), 250, "")
		if got := m.received(t); !got.tls || !got.auth || got.helo != "node1.test" {
			t.Errorf("%q: TLS %v, authenticated %v, EHLO %q", mode, got.tls, got.auth, got.helo)
		}
		// The same server with a certificate that is not trusted.
		wantReason(t, newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), &event.Call{Mail: mail}), delivery.ReasonTLS)
	}
	m := newMailServer(t, nil, false, nil)
	mail := m.mail()
	mail.TLS = ""
	a := newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), &event.Call{Mail: mail})
	wantReason(t, a, delivery.ReasonTLS)
	if len(m.got) != 0 {
		t.Error("without STARTTLS the mail went out in the clear")
	}
}

func TestMailAuthentication(t *testing.T) {
	t.Parallel()
	m := newMailServer(t, nil, false, func(m *mailServer) { m.password = "right" })
	s := newSender(t, delivery.SenderConfig{})
	mail := m.mail()
	mail.Username, mail.Password = "ann", "right"
	wantAnswer(t, s.Do(within(t, time.Minute), &event.Call{Mail: mail}), 250, "") // in the clear, on loopback
	mail.Password = "wrong"
	a := s.Do(within(t, time.Minute), &event.Call{Mail: mail})
	wantAnswer(t, a, 535, "Authentication failed")
}

func TestMailAuthenticationMechanism(t *testing.T) {
	t.Parallel()
	s := newSender(t, delivery.SenderConfig{})
	for offered, want := range map[string]string{
		"CRAM-MD5 LOGIN PLAIN SCRAM-SHA-256": "SCRAM-SHA-256",
		"CRAM-MD5 LOGIN":                     "LOGIN",
		"XOAUTH2 CRAM-MD5":                   "CRAM-MD5",
	} {
		mail := newMailServer(t, nil, false, func(m *mailServer) { m.password, m.offered = "x", strings.Fields(offered) }).mail()
		mail.Username, mail.Password = "ann", "x"
		wantAnswer(t, s.Do(within(t, time.Minute), &event.Call{Mail: mail}), 535, "you chose "+want)
	}
	for field, set := range map[string]func(*mailServer){
		"username": func(m *mailServer) { m.password, m.offered = "x", []string{"XOAUTH2"} },
		"tls":      func(m *mailServer) { m.password, m.host = "x", "127.0.0.2" }, // counts as remote
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			m := newMailServer(t, nil, false, set)
			mail := m.mail()
			mail.Username, mail.Password = "ann", "x"
			a := s.Do(within(t, time.Minute), &event.Call{Mail: mail})
			var wrong *delivery.CallError
			if !errors.As(a.Err, &wrong) || wrong.Field != field {
				t.Errorf("got %v, want a *CallError about %s", a.Err, field)
			}
			if len(m.got) != 0 {
				t.Error("the mail was sent all the same")
			}
		})
	}
}

func TestMailRefusals(t *testing.T) {
	t.Parallel()
	reply := func(code int, text string) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
	}
	for name, c := range map[string]struct {
		set    func(*mailServer)
		status int
		text   string
	}{
		"sender for now":    {func(m *mailServer) { m.onMail = reply(451, "greylisted") }, 451, "greylisted"},
		"sender for good":   {func(m *mailServer) { m.onMail = reply(553, "not your address") }, 553, "not your address"},
		"content":           {func(m *mailServer) { m.onData = reply(554, "spam") }, 554, "spam"},
		"content, for now":  {func(m *mailServer) { m.onData = reply(452, "disk full") }, 452, "disk full"},
		"recipient":         {func(m *mailServer) { m.onRcpt = map[string]error{"b@vendor.test": reply(550, "no such user")} }, 550, "<b@vendor.test>: no such user"},
		"recipient for now": {func(m *mailServer) { m.onRcpt = map[string]error{"a@vendor.test": reply(450, "mailbox busy")} }, 450, "<a@vendor.test>: mailbox busy"},
		"the worst of two, last": {func(m *mailServer) {
			m.onRcpt = map[string]error{"a@vendor.test": reply(450, "mailbox busy"), "b@vendor.test": reply(550, "no such user")}
		}, 550, "<b@vendor.test>: no such user"},
		"the worst of two, first": {func(m *mailServer) {
			m.onRcpt = map[string]error{"a@vendor.test": reply(550, "no such user"), "b@vendor.test": reply(450, "mailbox busy")}
		}, 550, "<a@vendor.test>: no such user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMailServer(t, nil, false, c.set)
			mail := m.mail()
			mail.To = []string{"a@vendor.test", "b@vendor.test"}
			wantAnswer(t, newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), &event.Call{Mail: mail}), c.status, c.text)
			if len(m.got) != 0 {
				t.Error("the mail was sent all the same")
			}
		})
	}
}

// TestMailWithoutAServer covers what happens before there is anybody to talk to, or instead of it.
func TestMailWithoutAServer(t *testing.T) {
	t.Parallel()
	s := newSender(t, delivery.SenderConfig{})
	mail := func(fn func(net.Conn)) *event.Call {
		url := serveGreeting(t, fn)
		host, port, _ := net.SplitHostPort(url)
		m := (&mailServer{host: host}).mail()
		m.Port, _ = net.LookupPort("tcp", port)
		return &event.Call{Mail: m}
	}
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, text) }
	}
	wantAnswer(t, s.Do(within(t, time.Minute), mail(say("421 mail.test too busy\r\n"))), 421, "mail.test too busy")
	wantAnswer(t, s.Do(within(t, time.Minute), mail(say("554 mail.test no service\r\n"))), 554, "no service")
	wantReason(t, s.Do(within(t, time.Minute), mail(say(""))), event.ReasonConnection)
	wantReason(t, s.Do(within(t, time.Minute), mail(say("HTTP/1.1 400 Bad Request\r\n\r\n"))), event.ReasonConnection)
	wantReason(t, s.Do(within(t, time.Minute), mail(say("220 mail.test\r\n"))), event.ReasonConnection)
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	wantReason(t, s.Do(within(t, 50*time.Millisecond), mail(hang)), event.ReasonTimeout)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	gone := (&mailServer{host: "127.0.0.1", port: ln.Addr().(*net.TCPAddr).Port}).mail()
	wantReason(t, s.Do(within(t, time.Minute), &event.Call{Mail: gone}), event.ReasonConnection)

	guarded := delivery.NewSender(delivery.SenderConfig{})
	t.Cleanup(guarded.Close)
	m := newMailServer(t, nil, false, nil).mail()
	for _, mode := range []string{"none", "implicit"} {
		m.TLS = mode
		wantReason(t, guarded.Do(within(t, time.Minute), &event.Call{Mail: m}), event.ReasonBlocked)
	}
}

// serveGreeting runs fn on each connection as it is made.
func serveGreeting(t *testing.T, fn func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { fn(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func TestMailHang(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	m := newMailServer(t, nil, false, func(m *mailServer) { m.hang = hang })
	t.Cleanup(func() { close(hang) })
	s := newSender(t, delivery.SenderConfig{})
	wantReason(t, s.Do(within(t, 50*time.Millisecond), &event.Call{Mail: m.mail()}), event.ReasonTimeout)
}

// TestMailBrokenOff breaks the connection after each step. Up to the last, no mail was accepted;
// then the server has it, and sending it again would make it two, even if it does not answer QUIT.
func TestMailBrokenOff(t *testing.T) {
	t.Parallel()
	replies := []string{"220 mail.test", "250 mail.test", "250 sender ok", "250 recipient ok", "354 go on", "250 queued as 42"}
	s := newSender(t, delivery.SenderConfig{})
	for n := range len(replies) + 1 {
		addr := serveGreeting(t, func(c net.Conn) {
			buf := make([]byte, 64<<10)
			for _, reply := range replies[:n] {
				_, _ = io.WriteString(c, reply+"\r\n")
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		})
		host, port, _ := net.SplitHostPort(addr)
		mail := (&mailServer{host: host}).mail()
		mail.Port, _ = net.LookupPort("tcp", port)
		a := s.Do(within(t, time.Minute), &event.Call{Mail: mail})
		if n < len(replies) {
			wantReason(t, a, event.ReasonConnection)
			continue
		}
		wantAnswer(t, a, 250, "queued as 42")
	}
}

// TestMailDataRefused has the server refuse the DATA command itself.
func TestMailDataRefused(t *testing.T) {
	t.Parallel()
	addr := serveGreeting(t, func(c net.Conn) {
		buf := make([]byte, 64<<10)
		for _, reply := range []string{"220 mail.test", "250 mail.test", "250 ok", "250 ok", "451 try later", "221 bye"} {
			_, _ = io.WriteString(c, reply+"\r\n")
			_, _ = c.Read(buf)
		}
	})
	host, port, _ := net.SplitHostPort(addr)
	mail := (&mailServer{host: host}).mail()
	mail.Port, _ = net.LookupPort("tcp", port)
	wantAnswer(t, newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), &event.Call{Mail: mail}), 451, "try later")
}
