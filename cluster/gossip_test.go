package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster"
)

// limit is how long a test waits for what should come at once or within seconds.
const limit = 30 * time.Second

// ring returns a keyring in memory.
func ring(tb testing.TB, keys ...cluster.Key) *cluster.Keyring {
	tb.Helper()
	r, err := cluster.NewKeyring(nil, keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// seat is the configuration of a node on a free port of this machine.
func seat(tb testing.TB, name string, key cluster.Key, join ...string) cluster.GossipConfig {
	tb.Helper()
	return cluster.GossipConfig{
		Name: name, Bind: "127.0.0.1:0", Join: join, Roles: cluster.Core | cluster.Edge, Keyring: ring(tb, key),
		Logger: zerolog.New(zerolog.NewTestWriter(tb)).Level(zerolog.ErrorLevel),
	}
}

func gossip(tb testing.TB, cfg cluster.GossipConfig) *cluster.Gossip {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	g, err := cluster.StartGossip(ctx, cfg)
	if err != nil {
		tb.Fatalf("starting %s: %v", cfg.Name, err)
	}
	tb.Cleanup(g.Close)
	return g
}

// await waits until a view is as wanted.
func await(tb testing.TB, m cluster.Membership, want string, is func(*cluster.View) bool) {
	tb.Helper()
	changed := make(chan struct{}, 1)
	defer m.Subscribe(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	late := time.After(limit)
	for !is(m.View()) {
		select {
		case <-changed:
		case <-late:
			tb.Fatalf("the members are %+v; want %s", m.View().Members(), want)
		}
	}
}

// awaitAll waits until each node sees these members up, and no others.
func awaitAll(tb testing.TB, names []string, nodes ...*cluster.Gossip) {
	tb.Helper()
	for _, g := range nodes {
		await(tb, g, fmt.Sprintf("%v, all up", names), func(v *cluster.View) bool {
			members := v.Members()
			if len(members) != len(names) {
				return false
			}
			for _, name := range names {
				if m, ok := v.Member(name); !ok || m.State != cluster.Up {
					return false
				}
			}
			return true
		})
	}
}

func TestNodesSeeEachOther(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	a := gossip(t, seat(t, "a", key))
	cfg := seat(t, "b", key, a.Addr())
	cfg.Roles, cfg.Version = cluster.Edge, "1.2.3"
	cfg.Endpoints = cluster.Endpoints{Log: "h:1", LogClients: "h:2", Peers: "h:3", HTTP: "h:4"}
	b := gossip(t, cfg)
	a.SetState(cluster.Up)
	b.SetState(cluster.Up)
	awaitAll(t, []string{"a", "b"}, a, b)
	got, _ := a.View().Member("b")
	if got.Addr != b.Addr() || got.Roles != cluster.Edge || got.Endpoints != cfg.Endpoints || got.Version != "1.2.3" || got.Incarnation == 0 {
		t.Errorf("a sees b as %+v", got)
	}
}

func TestSecondNodeOfANameIsRefused(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	a := gossip(t, seat(t, "a", key))
	b := gossip(t, seat(t, "b", key, a.Addr()))
	a.SetState(cluster.Up)
	b.SetState(cluster.Up)
	awaitAll(t, []string{"a", "b"}, a, b)
	for _, join := range [][]string{{a.Addr()}, {b.Addr()}, {a.Addr(), b.Addr()}} {
		cfg := seat(t, "b", key, join...)
		cfg.NameWait = time.Second
		g, err := cluster.StartGossip(t.Context(), cfg)
		var taken *cluster.NameTakenError
		if !errors.As(err, &taken) || taken.Name != "b" || taken.Theirs != b.Addr() {
			t.Fatalf("joining %v as a second b: %v, %v; want a NameTakenError that names %s", join, g, err, b.Addr())
		}
	}
	awaitAll(t, []string{"a", "b"}, a, b)
}
