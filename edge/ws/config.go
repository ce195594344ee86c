package ws

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
)

// Path is where the SDKs expect the endpoint.
const Path = "/connection/websocket"

// Feed is the live side of the log. Live calls fn in the log's order, from one goroutine for each
// subscription, and begins before it returns; stop ends that and may be called once.
type Feed interface {
	Epoch() string
	Live(pattern string, fn func(journal.Entry)) (stop func(), err error)
	// Resumed is closed when the connection over which live entries come was lost and is back.
	Resumed() <-chan struct{}
	// News tells which of the channels have entries above a sequence, and the newest one's; it is complete
	// up to the sequence that it returns.
	News(ctx context.Context, channels []string, after uint64) (newest map[string]uint64, upTo uint64, err error)
}

// History is the stored side of the log. History and HistoryLast return what was appended before they were
// called. Bounds returns the first sequence that the log still holds
// and its last one; first is last+1 when it holds none. HasEvent reports whether it still holds one.
type History interface {
	Bounds(ctx context.Context) (first, last uint64, err error)
	History(ctx context.Context, channel string, after uint64, limit int) ([]journal.Entry, error)
	HistoryLast(ctx context.Context, channel string, limit int) ([]journal.Entry, error)
	HasEvent(ctx context.Context, seq uint64) (bool, error)
}

// Log is the event log.
type Log interface {
	Feed
	History
}

// Publisher takes events in; *ingest.Reject says why one was not taken. Publish returns when the log
// has the event durably.
type Publisher interface {
	Publish(ctx context.Context, d ingest.Draft) (ingest.Receipt, error)
}

var _ Log = (*journal.Journal)(nil)

// Config says how a Server works. Log, Publisher, and either Insecure or one of TokenKeys, PublicKeys and JWKS are
// required.
type Config struct {
	Log       Log
	Publisher Publisher
	Nodes     Nodes // nil: there are no others

	// TokenKeys verify clients' tokens (HS256): any of them will do, so that a key can be rotated.
	// Each has at least 32 bytes (RFC 7518 section 3.2).
	TokenKeys []event.Secret
	// PublicKeys verify tokens that are signed with RS256 or ES256: RSA keys of at least 2048 bits and ECDSA keys
	// on P-256, in PEM. Any of them will do.
	PublicKeys []string
	// JWKS is the address of more such keys (RFC 7517): https, or http on loopback. They are chosen by the token's
	// kid, cached as long as the answer says, and asked for again when a token names another.
	JWKS string
	// Issuer and Audience must be among a token's iss and aud claims; "": any will do.
	Issuer, Audience string
	// RPC is where the application answers clients' calls, by HTTP; "": calls are not available.
	RPC string
	// Insecure lets everybody in without a token and allows everything. For development only; not
	// together with keys.
	Insecure bool
	// AllowedOrigins are the web origins whose pages may connect, such as "https://app.example.com",
	// or "*" for all. Empty: the server's own host, and loopback to loopback. Clients that send no
	// Origin are no browsers and are not held to it.
	AllowedOrigins []string

	// Deflate has messages compressed (permessage-deflate, RFC 7692) for clients that offer it. It costs
	// processor time for each message and client, and some 10 KiB while one is written.
	Deflate bool

	// Version is told to clients; default "wedsync".
	Version string

	// PingInterval is between two pings; default 25 s, at least 1 s, whole seconds.
	PingInterval time.Duration
	// PongTimeout is how long a pong may take; default 8 s, shorter than PingInterval.
	PongTimeout time.Duration
	// ConnectTimeout is how long an accepted connection may take to send its connect command, and
	// how long the handshake's answer may take to be written; default 10 s.
	ConnectTimeout time.Duration
	// CommandTimeout bounds what one command may wait for the log; default 20 s, more than the log lets an
	// event wait.
	CommandTimeout time.Duration
	// ExpiryGrace is how long after its token's expiry a connection may still refresh it; default 25 s.
	ExpiryGrace time.Duration
	// CheckInterval is between two looks for entries that got lost on their way here; default 2 s.
	CheckInterval time.Duration
	// CloseTimeout is how long the last write and the peer's close frame may take; default 1 s.
	CloseTimeout time.Duration

	// DrainTime is over how long Shutdown spreads telling clients to come back elsewhere; default 0, all at once.
	DrainTime time.Duration

	MaxConnections int // at once; default 20,000. More are answered 503.
	// MaxPerAddress and MaxPerUser are of one address and one user; default 0, any number. More of an address are
	// answered 429, more of a user get CloseUserLimit.
	MaxPerAddress, MaxPerUser int
	// TrustedProxies are those whose X-Forwarded-For says where a client really is.
	TrustedProxies []netip.Prefix

	MaxSubscriptions int // of one client; default 256. More get ErrLimitExceeded.
	MaxMessageBytes  int // of one message from a client; default 512 KiB. More is CloseMessageSize.
	// QueueBytes may wait for one client; default 1 MiB, at least 4 KiB. More is CloseSlow. A frame
	// that is larger alone still goes through an empty queue.
	QueueBytes int
	// MaxRecover is how many missed publications are recovered, and the most that one history
	// command returns; default 1000. Who missed more is told recovered=false.
	MaxRecover int
	// MaxRecoverBytes bounds the same by size; default 1 MiB.
	MaxRecoverBytes int
	// MaxPresent is how many clients of a channel are listed, over all nodes; default 2,000. Of more there are
	// only the numbers.
	MaxPresent int

	Registerer prometheus.Registerer // nil: metrics are kept and shown nowhere
	Logger     zerolog.Logger
	Now        func() time.Time // default time.Now; decides whether a token has expired
}

// WithDefaults returns the configuration with zero fields filled in.
func (c Config) WithDefaults() Config {
	c.Version = or(c.Version, "wedsync")
	c.PingInterval = or(c.PingInterval, 25*time.Second)
	c.PongTimeout = or(c.PongTimeout, 8*time.Second)
	c.ConnectTimeout = or(c.ConnectTimeout, 10*time.Second)
	c.CommandTimeout = or(c.CommandTimeout, 20*time.Second)
	c.ExpiryGrace = or(c.ExpiryGrace, 25*time.Second)
	c.CheckInterval = or(c.CheckInterval, 2*time.Second)
	c.CloseTimeout = or(c.CloseTimeout, time.Second)
	c.MaxConnections = or(c.MaxConnections, 20_000)
	c.MaxSubscriptions = or(c.MaxSubscriptions, 256)
	c.MaxMessageBytes = or(c.MaxMessageBytes, 512<<10)
	c.QueueBytes = or(c.QueueBytes, 1<<20)
	c.MaxRecover = or(c.MaxRecover, 1000)
	c.MaxPresent = or(c.MaxPresent, 2000)
	c.MaxRecoverBytes = or(c.MaxRecoverBytes, 1<<20)
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
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

// minKeyBytes is the size of SHA-256's output.
const minKeyBytes = 32

// Validate returns an error that names the first field that cannot be.
func (c Config) Validate() error {
	switch {
	case c.Log == nil:
		return errors.New("ws: Log is missing")
	case c.Publisher == nil:
		return errors.New("ws: Publisher is missing")
	case c.Insecure && c.hasKeys():
		return errors.New("ws: Insecure and keys exclude each other; give keys, or set Insecure for development")
	case !c.Insecure && !c.hasKeys():
		return errors.New("ws: TokenKeys, PublicKeys and JWKS are empty; give at least one key, or set Insecure for development")
	case !GoodRPC(c.RPC):
		return fmt.Errorf("ws: RPC is %q; write it like http://127.0.0.1:3000/rpc", c.RPC)
	case !GoodJWKS(c.JWKS):
		return fmt.Errorf("ws: JWKS is %q; write it like https://login.example.com/.well-known/jwks.json", c.JWKS)
	case c.PingInterval%time.Second != 0:
		return fmt.Errorf("ws: PingInterval is %v; it must be whole seconds", c.PingInterval)
	case c.PongTimeout >= c.PingInterval:
		return fmt.Errorf("ws: PongTimeout is %v; it must be shorter than PingInterval, %v", c.PongTimeout, c.PingInterval)
	}
	for i, k := range c.TokenKeys {
		if n := len(k.Reveal()); n < minKeyBytes {
			return fmt.Errorf("ws: TokenKeys[%d] has %d bytes; HS256 needs at least %d", i, n, minKeyBytes)
		}
	}
	if err := c.validateLimits(); err != nil {
		return err
	}
	for i, o := range c.AllowedOrigins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o) {
			return fmt.Errorf(`ws: AllowedOrigins[%d] is %q; write it like "https://app.example.com", or "*" for all`, i, o)
		}
	}
	return nil
}

func (c Config) hasKeys() bool { return len(c.TokenKeys) > 0 || len(c.PublicKeys) > 0 || c.JWKS != "" }

// GoodRPC reports whether an application may be there.
func GoodRPC(address string) bool {
	u, err := url.Parse(address)
	return address == "" || err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// GoodJWKS reports whether keys may be fetched there: not where others could answer in their place.
func GoodJWKS(address string) bool {
	if address == "" {
		return true
	}
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()))
}

func (c Config) validateLimits() error {
	for _, f := range []struct {
		name string
		v    time.Duration
	}{
		{"PingInterval", c.PingInterval},
		{"PongTimeout", c.PongTimeout},
		{"ConnectTimeout", c.ConnectTimeout},
		{"CommandTimeout", c.CommandTimeout},
		{"ExpiryGrace", c.ExpiryGrace},
		{"CheckInterval", c.CheckInterval},
		{"CloseTimeout", c.CloseTimeout},
	} {
		if f.v <= 0 {
			return fmt.Errorf("ws: %s is %v; it must be positive", f.name, f.v)
		}
	}
	if c.DrainTime < 0 {
		return fmt.Errorf("ws: DrainTime is %v; it cannot be negative", c.DrainTime)
	}
	for _, f := range []struct {
		name   string
		v, min int
	}{
		{"MaxConnections", c.MaxConnections, 1},
		{"MaxPerAddress", c.MaxPerAddress, 0},
		{"MaxPerUser", c.MaxPerUser, 0},
		{"MaxSubscriptions", c.MaxSubscriptions, 1},
		{"MaxMessageBytes", c.MaxMessageBytes, 1 << 10},
		{"QueueBytes", c.QueueBytes, 4 << 10},
		{"MaxRecover", c.MaxRecover, 1},
		{"MaxRecoverBytes", c.MaxRecoverBytes, 4 << 10},
		{"MaxPresent", c.MaxPresent, 1},
	} {
		if f.v < f.min {
			return fmt.Errorf("ws: %s is %d; it must be at least %d", f.name, f.v, f.min)
		}
	}
	return nil
}
