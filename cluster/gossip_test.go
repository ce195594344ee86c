package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
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
		Logger: zerolog.New(zerolog.NewTestWriter(tb)).Level(zerolog.FatalLevel),
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

// seats are n nodes, named node-1 and so on, that all join the first three.
func seats(tb testing.TB, n int, key cluster.Key) []cluster.GossipConfig {
	tb.Helper()
	list := make([]cluster.GossipConfig, n)
	addrs := freeAddrs(tb, n)
	for i := range list {
		list[i] = seat(tb, fmt.Sprintf("node-%d", i+1), key, addrs[:min(n, 3)]...)
		list[i].Bind = addrs[i]
	}
	return list
}

// freeAddrs returns addresses that nodes which join each other can know before they are there.
func freeAddrs(tb testing.TB, n int) []string {
	tb.Helper()
	var addrs []string
	for len(addrs) < n {
		addr, err := nodeproc.FreeAddress()
		if err != nil {
			tb.Fatal(err)
		}
		if !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// together starts nodes at the same time, each up at once.
func together(tb testing.TB, list []cluster.GossipConfig) []*cluster.Gossip {
	tb.Helper()
	nodes := make([]*cluster.Gossip, len(list))
	errs := make([]error, len(list))
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	var wg sync.WaitGroup
	for i, cfg := range list {
		wg.Go(func() {
			if nodes[i], errs[i] = cluster.StartGossip(ctx, cfg); errs[i] == nil {
				nodes[i].SetState(cluster.Up)
			}
		})
	}
	wg.Wait()
	for _, g := range nodes {
		if g != nil {
			tb.Cleanup(g.Close)
		}
	}
	if err := errors.Join(errs...); err != nil {
		tb.Fatal(err)
	}
	return nodes
}

func namesOf(list []cluster.GossipConfig) []string {
	names := make([]string, len(list))
	for i, cfg := range list {
		names[i] = cfg.Name
	}
	return names
}

// aloneEnv makes the test's binary a node of its own, with this configuration.
const aloneEnv = "WEDSYNC_TEST_NODE"

// childNode is what a node in a process of its own is told.
type childNode struct{ Name, Key, Join string }

// runChild is a node, up, until its input ends.
func runChild(config string) error {
	var c childNode
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	key, err := cluster.ParseKey(c.Key)
	if err != nil {
		return err
	}
	ring, err := cluster.NewKeyring(nil, key)
	if err != nil {
		return err
	}
	g, err := cluster.StartGossip(context.Background(), cluster.GossipConfig{
		Name: c.Name, Bind: "127.0.0.1:0", Join: []string{c.Join}, Roles: cluster.Core, Keyring: ring,
	})
	if err != nil {
		return err
	}
	defer g.Close()
	g.SetState(cluster.Up)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// child starts such a node.
func child(tb testing.TB, c childNode) *os.Process {
	tb.Helper()
	config, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), os.Args[0]) // #nosec G204 -- this binary; it ends with its input
	cmd.Env, cmd.Stderr = append(os.Environ(), aloneEnv+"="+string(config)), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("node %s: %v", c.Name, err)
		}
	})
	return cmd.Process
}
