package main

import (
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/alerts"
)

// Config is all that a node can be told. A key is written as its path, such as http.addr; see
// wedsync.example.yaml for what each means.
type Config struct {
	Node       NodeConfig       `koanf:"node"`
	Cluster    ClusterConfig    `koanf:"cluster"`
	Data       string           `koanf:"data"` // folder of the log, the keys and the embedded ClickHouse; one node each
	HTTP       HTTPConfig       `koanf:"http"`
	API        APIConfig        `koanf:"api"`
	WS         WSConfig         `koanf:"ws"`
	Log        LogConfig        `koanf:"log"`
	ClickHouse ClickHouseConfig `koanf:"clickhouse"`
	Delivery   DeliveryConfig   `koanf:"delivery"`
	Alerts     AlertsConfig     `koanf:"alerts"`
	Secrets    SecretsConfig    `koanf:"secrets"`
	Logging    LoggingConfig    `koanf:"logging"`
	Tracing    TracingConfig    `koanf:"tracing"`
	Shutdown   time.Duration    `koanf:"shutdown"` // from SIGTERM until calls in flight are given back
}

// NodeConfig says who the node is.
type NodeConfig struct {
	Name string `koanf:"name"` // default: the host's name
}

// ClusterConfig makes the node one of several.
type ClusterConfig struct {
	Bind      string       `koanf:"bind"`      // host:port of gossip; the log's servers take the port after it, nodes without a log the next
	Advertise string       `koanf:"advertise"` // host:port that other nodes reach bind by; "": bind
	Join      []string     `koanf:"join"`      // bind of the core nodes, this one's among them or not
	Key       event.Secret `koanf:"key"`       // shared by all nodes: 32 random bytes in base64
	Roles     []string     `koanf:"roles"`     // core, edge
	// ProbeInterval is how often a node asks another whether it is there.
	ProbeInterval time.Duration `koanf:"probeInterval"`
}

// Enabled tells whether the node is one of several.
func (c ClusterConfig) Enabled() bool { return c.Bind != "" || len(c.Join) > 0 }

// completed returns c with what follows from the rest of it.
func (c ClusterConfig) completed() ClusterConfig {
	if c.Enabled() {
		or(&c.Bind, "127.0.0.1:7946")
	}
	return c
}

// HTTPConfig is the one HTTP server: API, webhooks, WebSockets, metrics.
type HTTPConfig struct {
	Addr        string `koanf:"addr"`        // host:port; port 0 takes a free one
	AllowPublic bool   `koanf:"allowPublic"` // without it, only loopback addresses are listened on
	PublishRate int    `koanf:"publishRate"` // events a second of one API key, or of one WebSocket user
}

// APIConfig guards the HTTP API.
type APIConfig struct {
	Key event.Secret `koanf:"key"` // of the administrator; default: <data>/api.key, made at the first start
}

// WSConfig is the WebSocket edge.
type WSConfig struct {
	TokenKeys        []event.Secret `koanf:"tokenKeys"`        // HMAC keys of clients' JWTs, any of which will do; default: <data>/ws.key, made at the first start
	PublicKeys       []string       `koanf:"publicKeys"`       // of clients' JWTs that are signed with RS256 or ES256; PEM
	JWKS             string         `koanf:"jwks"`             // address of more of them
	RPC              string         `koanf:"rpc"`              // address at which the application answers clients' calls
	Issuer           string         `koanf:"issuer"`           // that tokens must have in iss; "": any
	Audience         string         `koanf:"audience"`         // that tokens must have in aud; "": any
	Insecure         bool           `koanf:"insecure"`         // clients need no token; for development
	Origins          []string       `koanf:"origins"`          // browsers' origins besides the node's own; "*" is any
	MaxClients       int            `koanf:"maxClients"`       // connections at once
	MaxPerAddress    int            `koanf:"maxPerAddress"`    // of one address; 0: any number
	MaxPerUser       int            `koanf:"maxPerUser"`       // of one user; 0: any number
	TrustedProxies   []string       `koanf:"trustedProxies"`   // networks (CIDR) of proxies whose X-Forwarded-For counts
	DrainTime        time.Duration  `koanf:"drainTime"`        // over which clients are told to go elsewhere
	MaxSubscriptions int            `koanf:"maxSubscriptions"` // of one client
	MaxMessage       Size           `koanf:"maxMessage"`       // from a client
	ClientBuffer     Size           `koanf:"clientBuffer"`     // waiting for one client; who needs more is cut off and recovers
	PingInterval     time.Duration  `koanf:"pingInterval"`     // whole seconds
	Deflate          bool           `koanf:"deflate"`          // permessage-deflate, for clients that offer it
}

// LogConfig is the event log and what else the log keeps.
type LogConfig struct {
	URL         string        `koanf:"url"`        // of a NATS server with JetStream; "": embedded
	Shards      int           `koanf:"shards"`     // fixed when the log is created
	SyncAlways  bool          `koanf:"syncAlways"` // flush to disk before each answer, instead of every 100 ms
	EventAge    time.Duration `koanf:"eventAge"`
	MaxStore    Size          `koanf:"maxStore"` // of all together; 0: as the disk allows
	EventBytes  Size          `koanf:"eventBytes"`
	WorkBytes   Size          `koanf:"workBytes"`
	RecordBytes Size          `koanf:"recordBytes"`
	DeadBytes   Size          `koanf:"deadBytes"`
	// AwaitRestore: of a cluster that has no log yet, this node makes none, but waits for "wedsync log restore".
	AwaitRestore bool `koanf:"awaitRestore"`
}

// ClickHouseConfig is where records go.
type ClickHouseConfig struct {
	DSN     string `koanf:"dsn"`     // "auto", "embedded", "off" or clickhouse://user:password@host:9000/database
	Cluster string `koanf:"cluster"` // of the servers at dsn, by the name that they know it by; "": there is one
	Library string `koanf:"library"` // of the embedded engine; "": looked for
}

// DeliveryConfig is how vendors are called.
type DeliveryConfig struct {
	MaxConcurrentWebhooks int             `koanf:"maxConcurrentWebhooks"` // calls in flight at once
	Timeout               time.Duration   `koanf:"timeout"`               // of one attempt
	RetryWaits            []time.Duration `koanf:"retryWaits"`            // before each further attempt
	BreakerFailures       int             `koanf:"breakerFailures"`       // in a row, that open it
	BreakerWait           time.Duration   `koanf:"breakerWait"`           // before the first probe
	BreakerMaxWait        time.Duration   `koanf:"breakerMaxWait"`        // the wait doubles with each failed probe, up to this
	ParkLimit             time.Duration   `koanf:"parkLimit"`             // what waited longer dies
	WebhooksPerHour       int             `koanf:"webhooksPerHour"`       // taken from one integration
	MaxHops               int             `koanf:"maxHops"`               // of an event from channel to channel
	AllowPrivate          []string        `koanf:"allowPrivate"`          // networks (CIDR) that vendor URLs may lead to though they are not public; for development
}

// AlertsConfig is when people are told that an error budget burns.
type AlertsConfig struct {
	Every        time.Duration `koanf:"every"`        // between two looks
	ResolveAfter time.Duration `koanf:"resolveAfter"` // of no burning, until an alert is over
	MinFailures  int           `koanf:"minFailures"`  // in the long window, below which nobody is told
}

// SecretsConfig is how integrations' secrets are sealed.
type SecretsConfig struct {
	MasterKey     event.Secret `koanf:"masterKey"`     // a tink keyset in JSON
	MasterKeyFile string       `koanf:"masterKeyFile"` // default: <data>/master.key, made at the first start
}

// LoggingConfig is what the node tells of itself on standard error.
type LoggingConfig struct {
	Level  string `koanf:"level"`  // trace, debug, info, warn, error
	Format string `koanf:"format"` // auto (console on a terminal, else json), console, json
}

// TracingConfig is where traces go by OTLP, OpenTelemetry's protocol.
type TracingConfig struct {
	Endpoint string `koanf:"endpoint"` // "auto", "off" or a collector's address, such as http://127.0.0.1:4318
}

// WithDefaults returns c with every zero field that must not be zero at its default.
func (c Config) WithDefaults() Config {
	c.Cluster = c.Cluster.completed()
	if len(c.Cluster.Roles) == 0 {
		c.Cluster.Roles = []string{"core", "edge"}
	}
	or(&c.Cluster.ProbeInterval, 200*time.Millisecond)
	or(&c.Data, "./data")
	or(&c.HTTP.Addr, "127.0.0.1:8080")
	or(&c.HTTP.PublishRate, 1000)
	or(&c.WS.MaxClients, 20_000)
	or(&c.WS.DrainTime, 2*time.Second)
	or(&c.WS.MaxSubscriptions, 256)
	or(&c.WS.MaxMessage, 512<<10)
	or(&c.WS.ClientBuffer, 1<<20)
	or(&c.WS.PingInterval, 25*time.Second)
	or(&c.Log.Shards, 8)
	or(&c.Log.EventAge, 72*time.Hour)
	or(&c.ClickHouse.DSN, clickhouseAuto)
	or(&c.Delivery.MaxConcurrentWebhooks, 100)
	or(&c.Delivery.Timeout, 30*time.Second)
	if c.Delivery.RetryWaits == nil {
		c.Delivery.RetryWaits = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}
	}
	or(&c.Delivery.BreakerFailures, 5)
	or(&c.Delivery.BreakerWait, 5*time.Second)
	or(&c.Delivery.BreakerMaxWait, time.Minute)
	or(&c.Delivery.ParkLimit, 24*time.Hour)
	or(&c.Delivery.WebhooksPerHour, 1000)
	or(&c.Delivery.MaxHops, 8)
	or(&c.Tracing.Endpoint, tracingAuto)
	or(&c.Alerts.Every, alerts.DefaultEvery)
	or(&c.Alerts.ResolveAfter, alerts.DefaultResolveAfter)
	or(&c.Alerts.MinFailures, alerts.DefaultMinFailures)
	or(&c.Logging.Level, "info")
	or(&c.Logging.Format, "auto")
	or(&c.Shutdown, 20*time.Second)
	return c
}

func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
