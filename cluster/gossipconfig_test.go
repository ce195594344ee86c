package cluster_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster"
)

func TestGossipConfig(t *testing.T) {
	t.Parallel()
	good := cluster.GossipConfig{
		Name: "n1", Bind: ":7946", Advertise: "node1.example.com:7946", Join: []string{"node2:7946", "[::1]:7946"},
		Roles: cluster.Core, Keyring: ring(t, cluster.GenerateKey()),
	}.WithDefaults()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*cluster.GossipConfig){
		`Name is "n 1"`:        func(c *cluster.GossipConfig) { c.Name = "n 1" },
		`Name is ""`:           func(c *cluster.GossipConfig) { c.Name = "" },
		`Name is "` + long:     func(c *cluster.GossipConfig) { c.Name = long },
		`Bind is ""`:           func(c *cluster.GossipConfig) { c.Bind = "" },
		`"x" is no port`:       func(c *cluster.GossipConfig) { c.Bind = "h:x" },
		`Advertise is "h"`:     func(c *cluster.GossipConfig) { c.Advertise = "h" },
		`Join has "b:70000"`:   func(c *cluster.GossipConfig) { c.Join = []string{"a:1", "b:70000"} },
		"Roles is 0":           func(c *cluster.GossipConfig) { c.Roles = 0 },
		"Roles is 4":           func(c *cluster.GossipConfig) { c.Roles = 4 },
		"Keyring is missing":   func(c *cluster.GossipConfig) { c.Keyring = nil },
		"NameWait is -1s":      func(c *cluster.GossipConfig) { c.NameWait = -time.Second },
		"SyncInterval is -1s":  func(c *cluster.GossipConfig) { c.SyncInterval = -time.Second },
		"ProbeInterval is -1s": func(c *cluster.GossipConfig) { c.ProbeInterval = -time.Second },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one error that says %s", err, says)
		}
		if _, err := cluster.StartGossip(t.Context(), bad); err == nil {
			t.Errorf("a node was started although %s", says)
		}
	}
}

var long = strings.Repeat("n", 65)

func TestGossipNamesTheAddressThatItCannotUse(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	a := gossip(t, seat(t, "a", key))
	_, port, _ := strings.Cut(a.Addr(), ":")
	for says, change := range map[string]func(*cluster.GossipConfig){
		port:                       func(c *cluster.GossipConfig) { c.Bind = a.Addr() }, // in use
		`Bind "no.invalid:1"`:      func(c *cluster.GossipConfig) { c.Bind = "no.invalid:1" },
		`Advertise "no.invalid:1"`: func(c *cluster.GossipConfig) { c.Advertise = "no.invalid:1" },
	} {
		cfg := seat(t, "b", key)
		change(&cfg)
		if _, err := cluster.StartGossip(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an error that names %s", err, says)
		}
	}
}

func TestGossipAdvertisesAnotherAddress(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	cfg := seats(t, 1, key)[0]
	_, port, _ := strings.Cut(cfg.Bind, ":")
	cfg.Bind, cfg.Advertise, cfg.Join = ":"+port, "localhost:"+port, nil
	a := gossip(t, cfg)
	if !strings.HasSuffix(a.Addr(), ":"+port) || strings.HasPrefix(a.Addr(), "0.0.0.0") {
		t.Fatalf("it is at %s", a.Addr())
	}
	b := gossip(t, seat(t, "b", key, "localhost:"+port))
	a.SetState(cluster.Up)
	b.SetState(cluster.Up)
	awaitAll(t, []string{"node-1", "b"}, a, b)
}

func TestGossipLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := cluster.GossipLog(zerolog.New(&out))
	for _, line := range []string{
		"2026/01/02 03:04:05 [DEBUG] memberlist: Stream connection\n", "2026/01/02 03:04:05 [INFO] memberlist: joined\n",
		"no level\n", "2026/01/02 03:04:05 [WARN] memberlist: Refuting a suspect message (from: a)\n",
		"2026/01/02 03:04:05 [ERR] memberlist: Conflicting [address]\n",
	} {
		if n, err := io.WriteString(log, line); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	want := `{"level":"warn","message":"Refuting a suspect message (from: a)"}` + "\n" + `{"level":"error","message":"Conflicting [address]"}` + "\n"
	if out.String() != want {
		t.Errorf("the log is\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	for range 1000 {
		_, _ = io.WriteString(log, "2026/01/02 03:04:05 [ERR] memberlist: Decrypt packet failed\n")
	}
	if n := strings.Count(out.String(), "\n"); n == 0 || n > 60 {
		t.Errorf("1000 messages make %d lines", n)
	}
}
