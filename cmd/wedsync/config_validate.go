package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ws"
)

// What clickhouse.dsn can be besides an address.
const (
	clickhouseAuto     = "auto"     // embedded if the engine is found; else records wait in the log
	clickhouseEmbedded = "embedded" // embedded, or the node does not start
	clickhouseOff      = "off"      // records wait in the log
)

// minTokenKey is the size of SHA-256's output, the least that RFC 7518 section 3.2 lets HS256 have.
const minTokenKey = 32

// valueError is a key with a value that it cannot have.
type valueError struct {
	Key    string
	Value  string // as it is to be shown
	Reason string // what is wrong and what is allowed
}

func (e *valueError) Error() string { return fmt.Sprintf("%s: %s %s", e.Key, e.Value, e.Reason) }

// Validate returns everything that is wrong with the values, in the order of the keys.
func (c Config) Validate() []*valueError {
	v := &validator{}
	if c.Node.Name != "" && event.CheckID(c.Node.Name) != nil {
		v.wrong("node.name", c.Node.Name, "is no name; use 1 to 64 of A-Z a-z 0-9 _ and -")
	}
	c.Cluster.validate(v)
	if c.Cluster.Enabled() && c.Log.URL != "" {
		v.wrong("log.url", c.Log.URL, "is given beside cluster.join: the nodes of a cluster hold the log themselves")
	}
	if c.Log.AwaitRestore && !c.Cluster.Enabled() {
		v.wrong("log.awaitRestore", true, "is for the nodes of a cluster; a lone node's log is restored while it is stopped")
	}
	if c.Cluster.Enabled() && c.ClickHouse.DSN == clickhouseEmbedded {
		v.wrong("clickhouse.dsn", c.ClickHouse.DSN, "is for a node that is alone; the nodes of a cluster need one that they all reach")
	}
	v.notEmpty("data", c.Data, "name a folder")
	c.HTTP.validate(v)
	if n := len(c.API.Key.Reveal()); n > 0 && n < access.MinKeyBytes {
		v.wrong("api.key", c.API.Key, fmt.Sprintf("has %d bytes; at least %d are needed, and random ones", n, access.MinKeyBytes))
	}
	c.WS.validate(v)
	c.Log.validate(v)
	c.ClickHouse.validate(v)
	c.Delivery.validate(v)
	c.Alerts.validate(v)
	c.Secrets.validate(v)
	c.Tracing.validate(v)
	v.oneOf("logging.level", c.Logging.Level, "trace", "debug", "info", "warn", "error")
	v.oneOf("logging.format", c.Logging.Format, "auto", "console", "json")
	between(v, "shutdown", c.Shutdown, time.Second, 10*time.Minute)
	return v.problems
}

func (c ClusterConfig) validate(v *validator) {
	for _, role := range c.Roles {
		v.oneOf("cluster.roles", role, "core", "edge")
	}
	between(v, "cluster.probeInterval", c.ProbeInterval, 50*time.Millisecond, 10*time.Second)
	if !c.Enabled() {
		return
	}
	for key, addrs := range map[string][]string{"cluster.bind": {c.Bind}, "cluster.advertise": {c.Advertise}, "cluster.join": c.Join} {
		for _, addr := range addrs {
			if _, err := portAfter(addr, 2); err != nil && (addr != "" || key != "cluster.advertise") {
				v.wrong(key, addr, "is not host:port with two more ports after it; write it like 10.0.0.1:7946")
			}
		}
	}
	switch n := len(c.Join); {
	case n == 3, n == 5, n == 1 && !slices.Contains(c.Roles, "core"):
	case n == 1:
		v.wrong("cluster.join", c.Join, "names one core node, and one cannot agree on a log: name all of them, 3 or 5; for a node that is alone, leave out cluster.bind and cluster.join")
	default:
		v.wrong("cluster.join", c.Join, fmt.Sprintf("names %d core nodes; 3 or 5 can agree on a log", n))
	}
	if _, err := cluster.ParseKey(c.Key.Reveal()); err != nil {
		v.wrong("cluster.key", c.Key, "is no key of a cluster: "+err.Error()+`; make one with "wedsync cluster-keys new"`)
	}
}

// portAfter returns the address whose port is n after that of addr.
func portAfter(addr string, n int) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || int(number)+n > 65535 {
		return "", fmt.Errorf("port %q is outside 1 to %d", port, 65535-n)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(number)+n)), nil
}

func (c HTTPConfig) validate(v *validator) {
	between(v, "http.publishRate", c.PublishRate, 1, 1_000_000)
	host, port, err := net.SplitHostPort(c.Addr)
	if n, portErr := strconv.Atoi(port); err != nil || portErr != nil || n < 0 || n > 65535 {
		v.wrong("http.addr", c.Addr, "is not host:port; write it like 127.0.0.1:8080 or [::1]:8080")
		return
	}
	if !c.AllowPublic && !loopback(host) {
		v.wrong("http.addr", c.Addr, "can be reached from other machines; set http.allowPublic to true (--allow-public) if that is meant, and put TLS in front of it")
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (c WSConfig) validate(v *validator) {
	for _, key := range c.TokenKeys {
		if n := len(key.Reveal()); n < minTokenKey {
			v.wrong("ws.tokenKeys", key, fmt.Sprintf("has %d bytes; HS256 needs at least %d", n, minTokenKey))
		}
	}
	if c.Insecure && len(c.TokenKeys) > 0 {
		v.wrong("ws.insecure", c.Insecure, "is given beside ws.tokenKeys; give one of the two")
	}
	if c.Insecure && (len(c.PublicKeys) > 0 || c.JWKS != "") {
		v.wrong("ws.insecure", c.Insecure, "is given beside ws.publicKeys or ws.jwks; give one of the two")
	}
	for _, key := range c.PublicKeys {
		if _, err := ws.ParsePublicKey(key); err != nil {
			v.wrong("ws.publicKeys", key, err.Error())
		}
	}
	if !ws.GoodRPC(c.RPC) {
		v.wrong("ws.rpc", c.RPC, "is no address; write it like http://127.0.0.1:3000/rpc")
	}
	if !ws.GoodJWKS(c.JWKS) {
		v.wrong("ws.jwks", c.JWKS, "is no address to fetch keys from; write it like https://login.example.com/.well-known/jwks.json")
	}
	for _, o := range c.Origins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || strings.TrimSuffix(u.Path, "/") != "") {
			v.wrong("ws.origins", o, `is no origin; write it like https://app.example.com, or "*" for any`)
		}
	}
	between(v, "ws.maxClients", c.MaxClients, 1, 1_000_000)
	between(v, "ws.maxPerAddress", c.MaxPerAddress, 0, 1_000_000)
	between(v, "ws.maxPerUser", c.MaxPerUser, 0, 1_000_000)
	between(v, "ws.drainTime", c.DrainTime, time.Millisecond, 10*time.Minute)
	for _, n := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(n); err != nil {
			v.wrong("ws.trustedProxies", n, "is no network; write it like 10.1.2.0/24")
		}
	}
	between(v, "ws.maxSubscriptions", c.MaxSubscriptions, 1, 100_000)
	between(v, "ws.maxMessage", c.MaxMessage, 1<<10, 16<<20)
	between(v, "ws.clientBuffer", c.ClientBuffer, 64<<10, 256<<20)
	between(v, "ws.pingInterval", c.PingInterval, 10*time.Second, 5*time.Minute)
	if c.PingInterval%time.Second != 0 {
		v.wrong("ws.pingInterval", c.PingInterval, "is not a number of whole seconds")
	}
}

func (c LogConfig) validate(v *validator) {
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)) {
		v.wrong("log.url", c.URL, "is no NATS address; write it like nats://host:4222")
	}
	between(v, "log.shards", c.Shards, 1, 256)
	between(v, "log.eventAge", c.EventAge, time.Minute, 365*24*time.Hour)
	v.storeSize("log.maxStore", c.MaxStore)
	v.storeSize("log.eventBytes", c.EventBytes)
	v.storeSize("log.workBytes", c.WorkBytes)
	v.storeSize("log.recordBytes", c.RecordBytes)
	v.storeSize("log.deadBytes", c.DeadBytes)
}

// clusterName is what ClickHouse's servers call a cluster; it is not quoted anywhere.
var clusterName = regexp.MustCompile(`^[A-Za-z0-9_-]{0,64}$`)

func (c ClickHouseConfig) validate(v *validator) {
	if !clusterName.MatchString(c.Cluster) {
		v.wrong("clickhouse.cluster", c.Cluster, "is no name; use at most 64 letters, digits, _ and -")
	}
	if slices.Contains([]string{clickhouseAuto, clickhouseEmbedded, clickhouseOff}, c.DSN) {
		if c.Cluster != "" {
			v.wrong("clickhouse.cluster", c.Cluster, "is of servers; name them in clickhouse.dsn")
		}
		return
	}
	u, err := url.Parse(c.DSN)
	if err != nil || u.Host == "" || !slices.Contains([]string{"clickhouse", "tcp"}, u.Scheme) {
		shown := c.DSN
		if err == nil {
			shown = u.Redacted()
		} else if at := strings.LastIndexByte(shown, '@'); at >= 0 {
			shown = "..." + shown[at:] // what cannot be parsed may hold a password all the same
		}
		v.wrong("clickhouse.dsn", shown, "is no address; use auto, embedded, off or clickhouse://user:password@host:9000/database")
	}
}

func (c DeliveryConfig) validate(v *validator) {
	between(v, "delivery.maxConcurrentWebhooks", c.MaxConcurrentWebhooks, 1, 100_000)
	between(v, "delivery.timeout", c.Timeout, 100*time.Millisecond, 10*time.Minute)
	if n := len(c.RetryWaits); n < 1 || n > 20 {
		v.wrong("delivery.retryWaits", c.RetryWaits, "must have 1 to 20 items")
	}
	for _, w := range c.RetryWaits {
		between(v, "delivery.retryWaits", w, time.Millisecond, time.Hour)
	}
	between(v, "delivery.breakerFailures", c.BreakerFailures, 1, 1000)
	between(v, "delivery.breakerWait", c.BreakerWait, 10*time.Millisecond, time.Hour)
	between(v, "delivery.breakerMaxWait", c.BreakerMaxWait, c.BreakerWait, 24*time.Hour)
	between(v, "delivery.parkLimit", c.ParkLimit, time.Second, 30*24*time.Hour)
	between(v, "delivery.webhooksPerHour", c.WebhooksPerHour, 1, 10_000_000)
	between(v, "delivery.maxHops", c.MaxHops, 1, 100)
	for _, n := range c.AllowPrivate {
		if _, err := netip.ParsePrefix(n); err != nil {
			v.wrong("delivery.allowPrivate", n, "is no network; write it like 127.0.0.0/8 or 10.1.2.0/24")
		}
	}
}

func (c AlertsConfig) validate(v *validator) {
	between(v, "alerts.every", c.Every, 100*time.Millisecond, 5*time.Minute)
	between(v, "alerts.resolveAfter", c.ResolveAfter, 100*time.Millisecond, 24*time.Hour)
	between(v, "alerts.minFailures", c.MinFailures, 1, 1_000_000)
}

func (c SecretsConfig) validate(v *validator) {
	if c.MasterKey.Reveal() == "" {
		return
	}
	if _, err := registry.NewSealer([]byte(c.MasterKey.Reveal())); err != nil {
		v.wrong("secrets.masterKey", c.MasterKey, "cannot be used: "+err.Error())
	}
	if c.MasterKeyFile != "" {
		v.wrong("secrets.masterKeyFile", c.MasterKeyFile, "is given beside secrets.masterKey; give one of the two")
	}
}

func (c TracingConfig) validate(v *validator) {
	if c.Endpoint == tracingAuto || c.Endpoint == tracingOff {
		return
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		v.wrong("tracing.endpoint", "...", "is no address; use auto, off, or one like http://127.0.0.1:4318; headers, such as a key, go into OTEL_EXPORTER_OTLP_HEADERS")
	}
}

type validator struct{ problems []*valueError }

func (v *validator) wrong(key string, value any, reason string) {
	shown := fmt.Sprint(value)
	if text, ok := value.(string); ok {
		shown = strconv.Quote(text)
	}
	v.problems = append(v.problems, &valueError{key, shown, reason})
}

func (v *validator) notEmpty(key, value, what string) {
	if value == "" {
		v.wrong(key, value, "is empty; "+what)
	}
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.wrong(key, value, "is not allowed; use one of "+strings.Join(allowed, ", "))
	}
}

// storeSize refuses sizes in which not even a demo fits; 0 is as the disk allows.
func (v *validator) storeSize(key string, value Size) {
	if value != 0 {
		between(v, key, value, 16<<20, 1<<50)
	}
}

// between refuses a value outside least to most.
func between[T int | Size | time.Duration](v *validator, key string, value, least, most T) {
	if value < least || value > most {
		v.wrong(key, value, fmt.Sprintf("is outside %v to %v", least, most))
	}
}
