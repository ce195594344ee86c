package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Caller makes one call and returns what came of it. It never returns nil and ends when ctx does.
type Caller interface {
	Do(ctx context.Context, call *event.Call) *event.Answer
}

var _ Caller = (*delivery.Sender)(nil)

// Placement says which node should work on a shard. Its methods may be called concurrently.
type Placement interface {
	// Owner is the name of the node that should own the shard; "" when nobody can.
	Owner(shard int) string
	// Subscribe has changed called, without blocking, after owners may have changed.
	Subscribe(changed func()) (stop func())
}

// Config is what a System is made of. The first five are required.
type Config struct {
	Node      string             // stable name of this node, as the journal has it
	Journal   *journal.Journal   // the log
	Registry  *registry.Registry // integrations and mappings
	Caller    Caller             // makes the calls to vendors
	Placement Placement          // says which shards are this node's
	Peers     Peers              // the other nodes; nil: there are none

	Logger  zerolog.Logger
	Metrics prometheus.Registerer // nil: none are kept
	Tracer  *tracing.Tracer       // nil: nothing is traced
	Now     func() time.Time      // default time.Now

	MaxInFlight    int                    // calls to vendors at once, on this node; default 100
	Hold           int                    // deliveries an integration holds in memory; default 256
	MaxHops        int                    // an event that came of so many deliveries, and one more, goes nowhere; default 8
	Timeout        time.Duration          // of an attempt, where the integration sets none; default 30 s
	ParkLimit      time.Duration          // how long a delivery may wait, likewise; default 24 h
	PassivateAfter time.Duration          // an actor without work is stopped after this; default 1 min
	ProbeEvery     time.Duration          // an integration with an actor has its vendor probed so often; default 1 min
	Breaker        delivery.BreakerConfig // defaults as there
	Retry          delivery.RetryPolicy   // defaults as there
	Restart        RestartPolicy          // defaults as there
}

// WithDefaults returns the configuration with zero fields filled in.
func (c Config) WithDefaults() Config {
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	setDefault(&c.MaxInFlight, 100)
	setDefault(&c.Hold, 256)
	setDefault(&c.MaxHops, 8)
	setDefault(&c.Timeout, 30*time.Second)
	setDefault(&c.ParkLimit, 24*time.Hour)
	setDefault(&c.PassivateAfter, time.Minute)
	setDefault(&c.ProbeEvery, time.Minute)
	c.Breaker = c.Breaker.WithDefaults()
	c.Retry = c.Retry.WithDefaults()
	c.Restart = c.Restart.WithDefaults()
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an error that names what is missing or out of range.
func (c *Config) Validate() error {
	if c.Node == "" || c.Journal == nil || c.Registry == nil || c.Caller == nil || c.Placement == nil {
		return errors.New("actors: Node, Journal, Registry, Caller and Placement are required")
	}
	if c.MaxInFlight < 1 || c.Hold < 1 || c.MaxHops < 1 {
		return fmt.Errorf("actors: MaxInFlight %d, Hold %d and MaxHops %d must be at least 1", c.MaxInFlight, c.Hold, c.MaxHops)
	}
	for name, d := range map[string]time.Duration{
		"Timeout": c.Timeout, "ParkLimit": c.ParkLimit, "PassivateAfter": c.PassivateAfter,
		"ProbeEvery": c.ProbeEvery,
	} {
		if d <= 0 {
			return fmt.Errorf("actors: %s is %v; it must be above zero", name, d)
		}
	}
	if err := c.Breaker.Validate(); err != nil {
		return fmt.Errorf("actors: breaker: %w", err)
	}
	if err := c.Retry.Validate(); err != nil {
		return fmt.Errorf("actors: retry: %w", err)
	}
	return nil
}
