package delivery_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

func TestSenderTimeouts(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half of")
			w.(http.Flusher).Flush()
		}
		<-release
	}).start()
	t.Cleanup(func() { close(release) }) // before the server is closed
	s := newSender(t, delivery.SenderConfig{CallTimeout: 50 * time.Millisecond})

	a := s.Do(within(t, 50*time.Millisecond), post(v.URL, "x"))
	wantReason(t, a, event.ReasonTimeout)
	if a.Status != 0 {
		t.Errorf("status %d", a.Status)
	}
	a = s.Do(within(t, 2*time.Second), post(v.URL+"/body", "x")) // time enough for the first half
	wantReason(t, a, event.ReasonTimeout)
	if a.Status != 200 || string(a.Body) != "half of" {
		t.Errorf("status %d, body %q; what came of the answer must be there", a.Status, a.Body)
	}
	wantReason(t, s.Do(context.Background(), post(v.URL, "x")), event.ReasonTimeout) // CallTimeout

	ctx, cancel := context.WithCancel(within(t, time.Minute))
	time.AfterFunc(20*time.Millisecond, cancel)
	wantReason(t, s.Do(ctx, post(v.URL, "x")), delivery.ReasonCanceled)
}

// TestSenderSwitchingProtocols: a server that answers 101 hands the connection over, and then says nothing.
func TestSenderSwitchingProtocols(t *testing.T) {
	t.Parallel()
	url := serveRaw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	if a := newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), post(url, "x")); a.Status != 101 || len(a.Body) != 0 {
		t.Errorf("status %d, body %q, %v", a.Status, a.Body, a.Err)
	}
}

// serveRaw runs fn on each connection, after a first read, and closes it then.
func serveRaw(t *testing.T, fn func(net.Conn)) (url string) {
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
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				_, _ = c.Read(make([]byte, 4096))
				fn(c)
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return "http://" + ln.Addr().String()
}

func TestSenderBrokenConnections(t *testing.T) {
	t.Parallel()
	s := newSender(t, delivery.SenderConfig{})
	for name, fn := range map[string]func(net.Conn){
		"closed without a word": func(net.Conn) {},
		"reset":                 func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"not HTTP":              func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n") },
		"half a body":           func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") },
		"broken chunks": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		},
		"a header beyond all measure": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Filler: "+strings.Repeat("x", 100<<10)+"\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantReason(t, s.Do(within(t, time.Minute), post(serveRaw(t, fn), "x")), event.ReasonConnection)
		})
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	wantReason(t, s.Do(within(t, time.Minute), post("http://"+ln.Addr().String(), "x")), event.ReasonConnection)
}

func TestSenderRefusesWhatCannotBeCalled(t *testing.T) {
	t.Parallel()
	s := newSender(t, delivery.SenderConfig{})
	http1 := func(c event.HTTPCall) *event.Call { return &event.Call{HTTP: &c} }
	for name, call := range map[string]*event.Call{
		"nothing":      {},
		"both":         {HTTP: &event.HTTPCall{}, Mail: &event.Mail{}},
		"no URL":       http1(event.HTTPCall{Method: "POST"}),
		"no host":      http1(event.HTTPCall{Method: "POST", URL: "https:///path"}),
		"relative":     http1(event.HTTPCall{Method: "POST", URL: "/path"}),
		"other scheme": http1(event.HTTPCall{Method: "POST", URL: "file:///etc/passwd"}),
		"unreadable":   http1(event.HTTPCall{Method: "POST", URL: "http://a b/s3cret"}),
		"method":       http1(event.HTTPCall{Method: "PO ST", URL: "http://127.0.0.1:1"}),
		"header name":  http1(event.HTTPCall{Method: "POST", URL: "http://127.0.0.1:1", Header: http.Header{"X Y": {"1"}}}),
		"header value": http1(event.HTTPCall{Method: "POST", URL: "http://127.0.0.1:1", Header: http.Header{"X": {"s3cret\r\nY: 1"}}}),
	} {
		a := s.Do(within(t, time.Minute), call)
		var wrong *delivery.CallError
		if !errors.As(a.Err, &wrong) {
			t.Errorf("%s: got %v, want a *CallError", name, a.Err)
			continue
		}
		wantReason(t, a, event.ReasonMisconfigured)
		if strings.Contains(a.Err.Error(), "s3cret") {
			t.Errorf("%s: the error shows what may be a secret: %v", name, a.Err)
		}
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"":                     nil,
		delivery.ReasonDNS:     fmt.Errorf("dial: %w", &net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}),
		event.ReasonTimeout:    fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}),
		delivery.ReasonTLS:     fmt.Errorf("dial: %w", &tls.CertificateVerificationError{Err: errors.New("expired")}),
		event.ReasonConnection: io.ErrUnexpectedEOF,
		event.ReasonBlocked:    &net.OpError{Op: "dial", Err: &delivery.BlockedError{Address: "127.0.0.1:1"}},
	} {
		if got := delivery.Reason(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
	// A name that cannot be one needs no resolver to fail.
	wantReason(t, newSender(t, delivery.SenderConfig{}).Do(within(t, time.Minute), post("http://a..b/", "x")), delivery.ReasonDNS)
}
