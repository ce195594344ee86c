package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/tracing"
)

// Config says where the server listens and what it serves.
type Config struct {
	Addr string // default 127.0.0.1:8080; port 0 takes a free one
	// AllowPublic lets Addr be other than loopback. Without it the server refuses to start there.
	AllowPublic bool

	Mounts    []Mount               // what the server serves beside its own pages
	WebSocket http.Handler          // at /connection/websocket; nil: none
	Gatherer  prometheus.Gatherer   // what /metrics shows; nil: no /metrics
	Metrics   prometheus.Registerer // where the server's own metrics go; nil: nowhere
	Checks    []Check               // what /readyz tells of
	Tracer    *tracing.Tracer       // nil: nothing is traced

	MaxConns          int           // connections at once, WebSockets included; default 20,000
	MaxHeaderBytes    int           // of one request's headers and address; default 16 KiB
	ReadHeaderTimeout time.Duration // default 10 s
	ReadTimeout       time.Duration // of a whole request; default 30 s
	WriteTimeout      time.Duration // of a whole answer; default 60 s
	IdleTimeout       time.Duration // between requests; default 2 min
	// Linger is how long, after the server has stopped listening, clients may use the connections they keep once
	// more; default 250 ms.
	Linger time.Duration

	Logger zerolog.Logger
}

// Mount puts handlers into the server's mux, under patterns of http.ServeMux.
type Mount func(mux *http.ServeMux)

// Check tells how one component is.
type Check struct {
	Name string
	// Vital: while it is not well, /readyz answers 503. Otherwise the node is ready, and degraded.
	Vital bool
	// State returns "" when all is well, else what is wrong in a sentence. It is given one second.
	State func(ctx context.Context) string
}

// WithDefaults returns the configuration with zero fields filled in.
func (c Config) WithDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:8080"
	}
	if c.MaxConns == 0 {
		c.MaxConns = 20_000
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = 16 << 10
	}
	for _, t := range []struct {
		field *time.Duration
		def   time.Duration
	}{
		{&c.ReadHeaderTimeout, 10 * time.Second},
		{&c.ReadTimeout, 30 * time.Second},
		{&c.WriteTimeout, time.Minute},
		{&c.IdleTimeout, 2 * time.Minute},
		{&c.Linger, 250 * time.Millisecond},
	} {
		if *t.field == 0 {
			*t.field = t.def
		}
	}
	return c
}

// ErrPublic is returned where Addr is reachable from elsewhere and AllowPublic is not set.
var ErrPublic = errors.New("the address is reachable from other machines")

// Validate returns an error that names the first field that is wrong.
func (c Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("edge: Addr %q: write it like 127.0.0.1:8080: %w", c.Addr, err)
	}
	if !c.AllowPublic && !loopback(host) {
		return fmt.Errorf("edge: Addr %q: %w; listen on 127.0.0.1, or allow it explicitly", c.Addr, ErrPublic)
	}
	if c.MaxConns < 1 || c.MaxHeaderBytes < 1024 {
		return fmt.Errorf("edge: MaxConns is %d and MaxHeaderBytes %d; at least 1 and 1024 are needed", c.MaxConns, c.MaxHeaderBytes)
	}
	for i, check := range c.Checks {
		if check.Name == "" || check.State == nil {
			return fmt.Errorf("edge: Checks[%d] needs a name and a State", i)
		}
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
