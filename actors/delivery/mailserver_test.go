package delivery_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

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
