package delivery_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

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
		mail.TLS, mail.Username, mail.Password = mode, "ann", event.SecretOf("pass word")
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
	mail.Username, mail.Password = "ann", event.SecretOf("right")
	wantAnswer(t, s.Do(within(t, time.Minute), &event.Call{Mail: mail}), 250, "") // in the clear, on loopback
	mail.Password = event.SecretOf("wrong")
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
		mail.Username, mail.Password = "ann", event.SecretOf("x")
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
			mail.Username, mail.Password = "ann", event.SecretOf("x")
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

// TestMailServerThatDoesNotSayGoodbye: the mail is accepted, and QUIT never answered.
func TestMailServerThatDoesNotSayGoodbye(t *testing.T) {
	t.Parallel()
	addr := serveGreeting(t, func(c net.Conn) {
		buf := make([]byte, 64<<10)
		for _, reply := range []string{"220 mail.test", "250 mail.test", "250 ok", "250 ok", "354 go on", "250 queued"} {
			_, _ = io.WriteString(c, reply+"\r\n")
			_, _ = c.Read(buf)
		}
		_, _ = io.Copy(io.Discard, c)
	})
	host, port, _ := net.SplitHostPort(addr)
	mail := (&mailServer{host: host}).mail()
	mail.Port, _ = net.LookupPort("tcp", port)
	begin := time.Now()
	a := newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), &event.Call{Mail: mail})
	wantAnswer(t, a, 250, "queued")
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestMailPorts(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]event.Mail{
		"smtp.test:587":  {Host: "smtp.test"},
		"smtp.test:465":  {Host: "smtp.test", TLS: "implicit"},
		"smtp.test:2525": {Host: "smtp.test", TLS: "implicit", Port: 2525},
		"[::1]:25":       {Host: "::1", TLS: "none", Port: 25},
	} {
		if got := delivery.MailAddr(&m); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
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
