package cluster

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/rs/zerolog"
)

// GossipConfig says who this node is and whom it joins. Name, Bind, Roles and Keyring are required.
type GossipConfig struct {
	Name      string   // 1 to 64 of A-Z a-z 0-9 _ and -; no other node may have it
	Bind      string   // host:port to listen on, TCP and UDP; port 0: any that is free
	Advertise string   // host:port that others reach Bind by; default: Bind, or a private address where that is all addresses
	Join      []string // host:port of nodes to join, this one may be among them; none: others join this one
	Roles     Roles
	Endpoints Endpoints
	Version   string // release of this node
	Empty     bool   // there is nothing of the log on this node's disk
	Keyring   *Keyring

	// A node is dead when it has answered no probe, sent every ProbeInterval, within ProbeTimeout, nor a
	// friend's on this node's behalf, and then for SuspicionMult to SuspicionMult*SuspicionMaxMult intervals
	// (times the logarithm of the number of nodes, from 10 on) has not contradicted.
	ProbeInterval    time.Duration // default 200 ms
	ProbeTimeout     time.Duration // default 100 ms
	SuspicionMult    int           // default 3
	SuspicionMaxMult int           // default 2
	// SyncInterval is how often all that is known is exchanged with another node; default 5 s.
	SyncInterval time.Duration
	// ReclaimTime is how long a node must be dead before another address may have its name; default 200 ms.
	ReclaimTime time.Duration
	// NameWait is how long this node waits for another of its name to go; default 10 s.
	NameWait time.Duration

	Logger zerolog.Logger
}

// WithDefaults returns the configuration with zero fields filled in.
func (c GossipConfig) WithDefaults() GossipConfig {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.ProbeInterval, 200 * time.Millisecond},
		{&c.ProbeTimeout, 100 * time.Millisecond},
		{&c.SyncInterval, 5 * time.Second},
		{&c.ReclaimTime, 200 * time.Millisecond},
		{&c.NameWait, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.SuspicionMult == 0 {
		c.SuspicionMult = 3
	}
	if c.SuspicionMaxMult == 0 {
		c.SuspicionMaxMult = 2
	}
	return c
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Validate returns an error that names every field that is wrong.
func (c GossipConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("gossip: "+format, args...)) }
	if !nodeName.MatchString(c.Name) {
		bad("Name is %q; use 1 to 64 of A-Z a-z 0-9 _ and -", c.Name)
	}
	if err := checkHostPort(c.Bind); err != nil {
		bad("Bind is %q: %w", c.Bind, err)
	}
	if c.Advertise != "" {
		if err := checkHostPort(c.Advertise); err != nil {
			bad("Advertise is %q: %w", c.Advertise, err)
		}
	}
	for _, seed := range c.Join {
		if err := checkHostPort(seed); err != nil {
			bad("Join has %q: %w", seed, err)
		}
	}
	if c.Roles == 0 || !(Core | Edge).Has(c.Roles) {
		bad("Roles is %d; use Core, Edge or both", c.Roles)
	}
	if c.Keyring == nil {
		bad("Keyring is missing; nodes of a cluster share a key")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ProbeInterval", c.ProbeInterval},
		{"ProbeTimeout", c.ProbeTimeout},
		{"SyncInterval", c.SyncInterval},
		{"ReclaimTime", c.ReclaimTime},
		{"NameWait", c.NameWait},
	} {
		if d.value <= 0 {
			bad("%s is %v; it must be positive", d.name, d.value)
		}
	}
	if c.ProbeTimeout > c.ProbeInterval {
		bad("ProbeTimeout is %v; it must not be longer than ProbeInterval, %v", c.ProbeTimeout, c.ProbeInterval)
	}
	if c.SuspicionMult < 1 || c.SuspicionMaxMult < 1 {
		bad("SuspicionMult is %d and SuspicionMaxMult %d; both must be 1 or more", c.SuspicionMult, c.SuspicionMaxMult)
	}
	return errors.Join(errs...)
}

func checkHostPort(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("use host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is no port; use a number up to 65535", port)
	}
	return nil
}
