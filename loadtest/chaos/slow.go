package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

func newProxies() *toxiproxy.ApiServer {
	return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
}

// startProxy starts one before an address, on a free port of a host.
func startProxy(server *toxiproxy.ApiServer, target, host string) (*toxiproxy.Proxy, error) {
	p := toxiproxy.NewProxy(server, target, host+":0", target)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("starting a proxy before %s: %w", target, err)
	}
	return p, nil
}

// delaying has all that the nodes' logs say to each other take 200 ms longer there and back. The kernel may have
// no netem: their connections are redirected through proxies, one before each node.
func delaying(ctx context.Context, s *stage, _ *rand.Rand) ([]int, error) {
	server := newProxies()
	elsewhere := map[string]string{}
	var proxies []*toxiproxy.Proxy
	defer func() {
		for _, p := range proxies {
			p.Stop()
		}
	}()
	for i := range nodes {
		target := s.net.addr(i) + ":7947"
		p, err := startProxy(server, target, s.net.host())
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, p)
		for _, stream := range []string{"upstream", "downstream"} {
			toxic := fmt.Sprintf(`{"type":"latency","stream":%q,"attributes":{"latency":100}}`, stream)
			if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
				return nil, fmt.Errorf("slowing a proxy: %w", err)
			}
		}
		elsewhere[target] = p.Listen
	}
	// What is connected stays so: it is reset, and comes back by the proxies.
	reset := []string{"tcp dport 7947 reject with tcp reset", "tcp sport 7947 reject with tcp reset"}
	for i := range nodes {
		if err := s.net.redirect(ctx, i, elsewhere); err != nil {
			return nil, err
		}
	}
	err := s.filtered(ctx, all, reset, nil, 500*time.Millisecond)
	if err == nil {
		err = nodeproc.Sleep(ctx, 12*time.Second)
	}
	for i := range nodes {
		if again := s.net.redirect(context.WithoutCancel(ctx), i, nil); again != nil {
			return nil, again
		}
	}
	return nil, err
}

// slowing lets the log's leader write to its disk 30 times in a second.
func slowing(ctx context.Context, s *stage, _ *rand.Rand) ([]int, error) {
	r, err := s.roles(ctx)
	if err != nil {
		return nil, err
	}
	d, pid := s.disks[r.leader], s.nodes[r.leader].PID()
	if err := d.slow(pid, 30); err != nil {
		return nil, err
	}
	err = nodeproc.Sleep(ctx, 12*time.Second)
	if again := d.slow(pid, 0); again != nil {
		return nil, again
	}
	return nil, err
}

// filling leaves a node no space on its disk, and gives it back. A node that does not come back by itself is
// started again, as an operator would.
func filling(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
	i := rng.IntN(nodes)
	if err := s.disks[i].fill(); err != nil {
		return nil, err
	}
	err := nodeproc.Sleep(ctx, 10*time.Second)
	if again := s.disks[i].unfill(); again != nil {
		return nil, again
	}
	if err != nil {
		return nil, err
	}
	return []int{i}, s.replace(ctx, i)
}

// emptying replaces a node by one with an empty disk and the same name.
func emptying(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
	i := rng.IntN(nodes)
	s.nodes[i].Kill()
	if err := nodeproc.Sleep(ctx, time.Duration(1+rng.IntN(5))*time.Second); err != nil {
		return nil, err
	}
	if err := s.disks[i].empty(); err != nil {
		return nil, err
	}
	if err := s.start(i); err != nil {
		return nil, err
	}
	return []int{i}, s.ready(ctx, i)
}
