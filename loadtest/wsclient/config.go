package wsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"
)

// Config says where to connect and how. URL is required.
type Config struct {
	URL   string // ws:// or wss:// with the path, such as ws://127.0.0.1:8080/connection/websocket
	Token string // "" where the server is in its insecure mode
	// NewToken gives a token that replaces one that expires or has expired. Nil: the client closes
	// when its token has expired.
	NewToken func(ctx context.Context) (string, error)
	Header   http.Header // of the handshake
	// Network opens the connection, of "tcp" to the URL's host; default: a net.Dialer.
	Network func(ctx context.Context, network, addr string) (net.Conn, error)

	DialTimeout    time.Duration // of the handshake and the connect command; default 5 s
	CommandTimeout time.Duration // of a command whose context has no deadline; default 10 s
	MinDelay       time.Duration // before the first try to reconnect; default 100 ms
	MaxDelay       time.Duration // before later ones, doubling; default 10 s
	PingSlack      time.Duration // how much later than announced a ping may come; default 10 s
	MaxReadBytes   int           // of one message; default 64 MiB

	Logger zerolog.Logger
}

// WithDefaults returns the configuration with zero fields filled in.
func (c Config) WithDefaults() Config {
	c.DialTimeout = or(c.DialTimeout, 5*time.Second)
	c.CommandTimeout = or(c.CommandTimeout, 10*time.Second)
	c.MinDelay = or(c.MinDelay, 100*time.Millisecond)
	c.MaxDelay = or(c.MaxDelay, max(c.MinDelay, 10*time.Second))
	c.PingSlack = or(c.PingSlack, 10*time.Second)
	c.MaxReadBytes = or(c.MaxReadBytes, 64<<20)
	if c.Network == nil {
		c.Network = (&net.Dialer{}).DialContext
	}
	return c
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Validate returns an error that names the first field that cannot be.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "ws" && u.Scheme != "wss"):
		return fmt.Errorf("wsclient: URL is %q; write it like ws://127.0.0.1:8080/connection/websocket", c.URL)
	case c.DialTimeout < 0, c.CommandTimeout < 0, c.MinDelay < 0, c.PingSlack < 0, c.MaxReadBytes < 0:
		return errors.New("wsclient: DialTimeout, CommandTimeout, MinDelay, PingSlack and MaxReadBytes cannot be negative")
	case c.MaxDelay < c.MinDelay:
		return fmt.Errorf("wsclient: MaxDelay is %v; it cannot be less than MinDelay, %v", c.MaxDelay, c.MinDelay)
	}
	return nil
}
