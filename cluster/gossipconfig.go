package cluster

import (
	"cmp"
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

	// ProbeInterval is how often a node is probed; default 200 ms. It is dead when it has not answered within
	// half of that, nor a friend on this node's behalf, and then for three to six intervals (times the logarithm
	// of the number of nodes, from 10 on) has not contradicted.
	ProbeInterval time.Duration
	// SyncInterval is how often all that is known is exchanged with another node; default 5 s.
	SyncInterval time.Duration
	// NameWait is how long this node waits for another of its name to go; default 10 s.
	NameWait time.Duration

	Logger zerolog.Logger
}

// WithDefaults returns the configuration with zero fields filled in.
func (c GossipConfig) WithDefaults() GossipConfig {
	c.ProbeInterval = cmp.Or(c.ProbeInterval, 200*time.Millisecond)
	c.SyncInterval = cmp.Or(c.SyncInterval, 5*time.Second)
	c.NameWait = cmp.Or(c.NameWait, 10*time.Second)
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
		{"SyncInterval", c.SyncInterval},
		{"NameWait", c.NameWait},
	} {
		if d.value <= 0 {
			bad("%s is %v; it must be positive", d.name, d.value)
		}
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
