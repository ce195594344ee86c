package peers

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Config is what Peers need. Node, Host and Resolve are required.
type Config struct {
	Node string
	// Host is the address to listen on, at a port that is new with each start: one that was used before by
	// another incarnation of a node confuses those that remember it.
	Host string
	// Advertise is the host that others reach this node by; default Host.
	Advertise string
	// Resolve returns where a node listens, or false while it is not there.
	Resolve func(node string) (addr string, ok bool)
	TLS     *tls.Config      // for both sides; nil: none, allowed on loopback alone
	Errors  map[string]error // by code: those of handlers that Ask returns as what they are
	// MaxHandled is how many requests are handled at once, further ones fail with ErrBusy, and MaxAsked how many
	// answers of one node are waited for; default 256 each.
	MaxHandled, MaxAsked int
	Metrics              prometheus.Registerer // nil: none
	Logger               zerolog.Logger
}

// WithDefaults returns the configuration with zero fields filled in.
func (c Config) WithDefaults() Config {
	if c.Advertise == "" {
		c.Advertise = c.Host
	}
	if c.MaxHandled == 0 {
		c.MaxHandled = 256
	}
	if c.MaxAsked == 0 {
		c.MaxAsked = 256
	}
	return c
}

// Validate returns an error that names what is missing.
func (c Config) Validate() error {
	if c.Node == "" || c.Host == "" || c.Resolve == nil {
		return errors.New("peers: Node, Host and Resolve are required")
	}
	if ip := net.ParseIP(c.Host); c.TLS == nil && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("peers: without TLS only a loopback address is listened on, not %q", c.Host)
	}
	return nil
}
