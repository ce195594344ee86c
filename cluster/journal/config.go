package journal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
)

// MaxShards is the largest number of shards a log can have: each costs two consumers, in memory.
const MaxShards = 256

// defaultPatience is longer than the log takes to elect a leader (4.6 to 8.2 s were measured).
const defaultPatience = 15 * time.Second

// minLeaseTTL leaves time for a renewal that is late.
const minLeaseTTL = 100 * time.Millisecond

// Config says where the log is and how large it may grow. Dir, URL, or a Cluster that this node connects
// to is required.
type Config struct {
	Dir  string // directory of the embedded store; the journal's alone when it is created
	Node string // unique name of this node, which holds its leases; default "wedsync"
	URL  string // external NATS server with JetStream; "": embedded in this process

	Cluster *Cluster // the nodes that hold the log together with this one; nil: it is this node's alone, or URL's
	// Replicas is how many copies there are of every stream. Default: 3 in a cluster, else 1.
	Replicas int

	// Shards is fixed when the log is created; default 8.
	Shards int
	// SyncAlways syncs the disk before each answer, not every 100 ms. Embedded only; a cluster always does.
	SyncAlways bool

	// MaxStore bounds all streams together in bytes, embedded only. Default: 32 GiB, or 80 % of what
	// the disk has free, whichever is less. The sizes below that are left at 0 shrink to fit in it.
	MaxStore    int64
	EventAge    time.Duration // how long events stay; default 72 h
	EventBytes  int64         // default 8 GiB
	WorkBytes   int64         // deliveries, waiting ones included; default 4 GiB
	RecordBytes int64         // default 10 GiB
	DeadBytes   int64         // default 1 GiB

	// Patience is how long events wait for a log that does not answer, as while it elects a leader, and so
	// does what is written into a bucket that is Patient; default 15 s.
	Patience time.Duration
	// LeaseTTL is how long a node's leases are valid after a renewal, and others wait before they claim them;
	// default 2 s. Nodes may have different ones.
	LeaseTTL time.Duration

	Logger  zerolog.Logger
	Metrics prometheus.Registerer // nil: none
}

// WithDefaults returns the configuration with what was left out filled in, sizes apart: these
// depend on the disk and on what is stored.
func (c Config) WithDefaults() Config {
	if c.Node == "" {
		c.Node = "wedsync"
	}
	if c.Shards == 0 {
		c.Shards = 8
	}
	if c.Replicas == 0 {
		c.Replicas = 1
		if c.Cluster != nil {
			c.Replicas = 3
		}
	}
	if c.EventAge == 0 {
		c.EventAge = 72 * time.Hour
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.LeaseTTL == 0 {
		c.LeaseTTL = 2 * time.Second
	}
	return c
}

// Validate returns an error that names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("journal: "+format, args...)) }
	if visits := c.Cluster != nil && c.Cluster.Routes == ""; (c.Dir == "") == (c.URL == "" && !visits) {
		bad("give either Dir (%q) or URL (%q), or a cluster to connect to", c.Dir, redact(c.URL))
	}
	if c.Cluster != nil {
		c.Cluster.validate(bad)
		if c.URL != "" {
			bad("URL (%q) and Cluster exclude each other", redact(c.URL))
		}
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		bad("Replicas is %d; allowed are 1 to 5", c.Replicas)
	}
	if c.Shards < 1 || c.Shards > MaxShards {
		bad("Shards is %d; allowed are 1 to %d", c.Shards, MaxShards)
	}
	if c.EventAge < time.Minute {
		bad("EventAge is %v; at least 1m is needed", c.EventAge)
	}
	if c.Patience < 0 {
		bad("Patience is %v; it cannot be negative", c.Patience)
	}
	if c.LeaseTTL < minLeaseTTL {
		bad("LeaseTTL is %v; at least %v is needed", c.LeaseTTL, minLeaseTTL)
	}
	if err := event.CheckID(c.Node); err != nil {
		bad("Node: %w", err)
	}
	for _, size := range []struct {
		name  string
		bytes int64
	}{
		{"MaxStore", c.MaxStore},
		{"EventBytes", c.EventBytes},
		{"WorkBytes", c.WorkBytes},
		{"RecordBytes", c.RecordBytes},
		{"DeadBytes", c.DeadBytes},
	} {
		if size.bytes < 0 {
			bad("%s is %d; it cannot be negative", size.name, size.bytes)
		}
	}
	return errors.Join(errs...)
}

// redact takes names and passwords out of a list of URLs.
func redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		scheme, rest, ok := strings.Cut(u, "://")
		if !ok {
			scheme, rest = "", u
		} else {
			scheme += "://"
		}
		list[i] = scheme + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return strings.Join(list, ",")
}
