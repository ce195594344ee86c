package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

const (
	maxAnswer = 64 << 10 // bytes of a body that are kept
	maxDrain  = 64 << 10 // bytes beyond that are read to reuse the connection
)

// SenderConfig configures a Sender.
type SenderConfig struct {
	Guard          *Guard           // default: public addresses only
	UserAgent      string           // where a call brings none of its own; default "wedsync"
	Hostname       string           // how mail servers are greeted (EHLO); default "localhost"
	MaxIdlePerHost int              // connections kept open to one host between calls; default 100
	IdleTimeout    time.Duration    // how long they are kept; default 90 s
	DialTimeout    time.Duration    // to connect, and again for the TLS handshake; default 10 s
	CallTimeout    time.Duration    // of a call whose context has no deadline; default 30 s
	RootCAs        *x509.CertPool   // default: the system's
	Now            func() time.Time // for the date of mails that bring none; default time.Now
}

// WithDefaults returns the config with each zero field set to its default; RootCAs may stay nil.
func (c SenderConfig) WithDefaults() SenderConfig {
	if c.Guard == nil {
		c.Guard = NewGuard(nil)
	}
	if c.UserAgent == "" {
		c.UserAgent = "wedsync"
	}
	if c.Hostname == "" {
		c.Hostname = "localhost"
	}
	if c.MaxIdlePerHost == 0 {
		c.MaxIdlePerHost = 100
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 90 * time.Second
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 10 * time.Second
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate returns an error that names the first bad field, its value and what is allowed.
func (c SenderConfig) Validate() error {
	switch {
	case c.MaxIdlePerHost < 0:
		return fmt.Errorf("sender: maxIdlePerHost is %d; it must be at least 1", c.MaxIdlePerHost)
	case c.IdleTimeout < 0:
		return fmt.Errorf("sender: idleTimeout is %s; it must be above 0", c.IdleTimeout)
	case c.DialTimeout < 0:
		return fmt.Errorf("sender: dialTimeout is %s; it must be above 0", c.DialTimeout)
	case c.CallTimeout < 0:
		return fmt.Errorf("sender: callTimeout is %s; it must be above 0", c.CallTimeout)
	}
	return nil
}

// Sender makes calls, HTTP and SMTP. Every connection passes the guard; there is no proxy, and
// redirects are not followed. It is safe for concurrent use.
type Sender struct {
	cfg       SenderConfig
	dialer    net.Dialer
	tls       *tls.Config
	transport *http.Transport
}

// NewSender returns a sender. Zero fields of cfg take their defaults.
func NewSender(cfg SenderConfig) *Sender {
	cfg = cfg.WithDefaults()
	s := &Sender{
		cfg:    cfg,
		dialer: net.Dialer{Timeout: cfg.DialTimeout, ControlContext: cfg.Guard.Control},
		tls:    &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
	}
	s.transport = &http.Transport{
		Proxy:                  nil, // not from the environment: a proxy would dial for us, past the guard
		DialContext:            s.dialer.DialContext,
		TLSClientConfig:        s.tls.Clone(),
		TLSHandshakeTimeout:    cfg.DialTimeout,
		ForceAttemptHTTP2:      true, // which a DialContext of one's own switches off
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConnsPerHost:    cfg.MaxIdlePerHost,
		IdleConnTimeout:        cfg.IdleTimeout,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true, // answers are short, and an unpacked one can be long
	}
	return s
}

// Close ends idle connections. Call it when the last Do has returned.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Do makes a call and returns what came of it, never nil, when it has ended or ctx has. Answer.Err
// is for Reason; with a *CallError the call was not made and never can be. Where an HTTP answer broke
// off in its body, Status, Header and the part of the body that came are there beside Err.
func (s *Sender) Do(ctx context.Context, call *event.Call) *event.Answer {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.CallTimeout)
		defer cancel()
	}
	switch {
	case call.HTTP != nil && call.Mail == nil:
		return s.doHTTP(ctx, call.HTTP)
	case call.Mail != nil && call.HTTP == nil:
		return s.doMail(ctx, call.Mail)
	}
	return &event.Answer{Err: &CallError{Field: "kind", Reason: "exactly one of HTTP and Mail must be set; events are not sent from here"}}
}

func (s *Sender) doHTTP(ctx context.Context, call *event.HTTPCall) *event.Answer {
	req, err := s.request(ctx, call)
	if err != nil {
		return &event.Answer{Err: err}
	}
	// The transport itself: a client would follow redirects.
	resp, err := s.transport.RoundTrip(req)
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "net/http: invalid header"):
		return &event.Answer{Err: &CallError{Field: "header", Reason: err.Error()}}
	case err != nil:
		return &event.Answer{Err: failure(ctx, err)}
	}
	defer func() { _ = resp.Body.Close() }()
	a := &event.Answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Body, err = readBody(resp); err != nil {
		a.Err = failure(ctx, fmt.Errorf("read the answer's body: %w", err))
	}
	return a
}

// request makes the request; it fails with a *CallError.
func (s *Sender) request(ctx context.Context, call *event.HTTPCall) (*http.Request, error) {
	u, err := url.Parse(call.URL)
	if err != nil {
		return nil, &CallError{Field: "url", Reason: errors.Unwrap(err).Error()} // without the URL, which may be a secret
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, &CallError{Field: "url", Reason: "it must be http:// or https:// and a host"}
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, "", bytes.NewReader(call.Body))
	if err != nil {
		return nil, &CallError{Field: "method", Reason: err.Error()}
	}
	req.URL, req.Host = u, u.Host
	maps.Copy(req.Header, call.Header) // the call's own stays as it is: the adapter may share it
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header["User-Agent"] = []string{s.cfg.UserAgent}
	}
	if _, ok := req.Header["Authorization"]; !ok && u.User != nil {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	return req, nil
}

// readBody returns what is kept of a body, and reads a little of the rest, so that the connection
// can be used again.
func readBody(resp *http.Response) ([]byte, error) {
	// A switch of protocols has no body; the connection is all there is to read, and ctx no longer ends it.
	if resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil
	}
	if n := resp.ContentLength; n > 0 && n <= maxAnswer {
		body := make([]byte, n)
		got, err := io.ReadFull(resp.Body, body)
		return body[:got], err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && len(body) == maxAnswer {
		// What fails here takes nothing from the answer; the connection is closed instead.
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	}
	return body, err
}

// failure makes a call's error say what ctx had to do with it: a cut connection is how its end
// shows inside.
func failure(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}
