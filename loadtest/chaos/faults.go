package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// fault breaks something, and has it whole again when it returns. The nodes that it returns cannot be asked for
// answers meanwhile, or, where it stops them in order, may break connections; the others must accept all that they
// are given.
type fault struct {
	name    string
	run     breaking
	inOrder bool
}

type breaking func(ctx context.Context, s *stage, rng *rand.Rand) (hit []int, err error)

var all = []int{0, 1, 2}

var faults = []fault{
	{name: "none", run: nothing},
	{name: "kill leader", run: killing(func(r roles) []int { return []int{r.leader} })},
	{name: "kill owner", run: killing(func(r roles) []int { return []int{r.owner} })},
	{name: "kill bystander", run: killing(func(r roles) []int { return []int{r.bystander} })},
	{name: "kill all", run: killing(func(roles) []int { return all })},
	{name: "pause leader", run: pausing(func(r roles) int { return r.leader })},
	{name: "pause owner", run: pausing(func(r roles) int { return r.owner })},
	{name: "cut off one", run: cutting(true, true)},
	{name: "cut one way", run: cutting(true, false)},
	{name: "lose 30 %", run: losing},
	{name: "cut a route", run: routeCut},
	{name: "delay 200 ms", run: delaying},
	{name: "slow disk", run: slowing},
	{name: "full disk", run: filling},
	{name: "empty disk", run: emptying},
	{name: "ClickHouse away", run: databaseAway},
	{name: jumpClock, run: jumping},
	{name: "upgrade", run: upgrade, inOrder: true},
	{name: "join", run: joining},
	{name: "drain one", run: draining, inOrder: true},
	{name: "roll all", run: rolling, inOrder: true},
}

func nothing(ctx context.Context, _ *stage, _ *rand.Rand) ([]int, error) {
	return nil, nodeproc.Sleep(ctx, 3*time.Second)
}

// draining replaces one node.
func draining(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
	i := rng.IntN(nodes)
	return []int{i}, s.replace(ctx, i)
}

// rolling replaces all nodes, one after the other.
func rolling(ctx context.Context, s *stage, _ *rand.Rand) ([]int, error) {
	for i := range nodes {
		if err := s.replace(ctx, i); err != nil {
			return nil, err
		}
		if err := nodeproc.Sleep(ctx, 2*time.Second); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// killing ends nodes with SIGKILL at once, and starts them again some seconds later.
func killing(whom func(roles) []int) breaking {
	return func(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
		r, err := s.roles(ctx)
		if err != nil {
			return nil, err
		}
		hit := whom(r)
		var killed sync.WaitGroup
		for _, i := range hit {
			killed.Go(s.nodes[i].Kill)
		}
		killed.Wait()
		if err := nodeproc.Sleep(ctx, time.Duration(1+rng.IntN(10))*time.Second); err != nil {
			return nil, err
		}
		for _, i := range hit {
			if err := s.start(i); err != nil {
				return nil, err
			}
		}
		for _, i := range hit {
			if err := s.ready(ctx, i); err != nil {
				return nil, err
			}
		}
		return hit, nil
	}
}

// pausing stops a node with SIGSTOP for longer than gossip and leases wait.
func pausing(whom func(roles) int) breaking {
	return func(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
		r, err := s.roles(ctx)
		if err != nil {
			return nil, err
		}
		i := whom(r)
		pid := s.nodes[i].PID()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return nil, err
		}
		err = nodeproc.Sleep(ctx, time.Duration(4+rng.IntN(12))*time.Second)
		return []int{i}, errors.Join(err, syscall.Kill(pid, syscall.SIGCONT))
	}
}

// cutting keeps a node's packets from and to the other nodes away; clients and vendors still reach it.
func cutting(in, out bool) breaking {
	return func(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
		i := rng.IntN(nodes)
		var input, output []string
		for k := range nodes {
			if k == i {
				continue
			}
			if in {
				input = append(input, "ip saddr "+s.net.addr(k)+" drop")
			}
			if out {
				output = append(output, "ip daddr "+s.net.addr(k)+" drop")
			}
		}
		return []int{i}, s.filtered(ctx, []int{i}, input, output, time.Duration(5+rng.IntN(12))*time.Second)
	}
}

// losing has every node lose three of ten packets to and from the others.
func losing(ctx context.Context, s *stage, _ *rand.Rand) ([]int, error) {
	var rules []string
	for k := range nodes {
		rules = append(rules, "ip saddr "+s.net.addr(k)+" numgen random mod 100 < 30 drop")
	}
	return all, s.filtered(ctx, all, rules, nil, 10*time.Second)
}

// routeCut cuts the log's connections between two nodes, and nothing else.
func routeCut(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
	i := rng.IntN(nodes)
	k := (i + 1) % nodes
	rules := []string{
		"ip saddr " + s.net.addr(k) + " tcp dport 7947 drop", "ip saddr " + s.net.addr(k) + " tcp sport 7947 drop",
	}
	return nil, s.filtered(ctx, []int{i}, rules, nil, 8*time.Second)
}

func (s *stage) filtered(ctx context.Context, whom []int, input, output []string, length time.Duration) error {
	for _, i := range whom {
		if err := s.net.filter(ctx, i, input, output); err != nil {
			return err
		}
	}
	err := nodeproc.Sleep(ctx, length)
	for _, i := range whom {
		if err := s.net.filter(context.WithoutCancel(ctx), i, nil, nil); err != nil {
			return err
		}
	}
	return err
}

// upgrade brings the nodes to the binary under test, one after the other, some seconds apart.
func upgrade(ctx context.Context, s *stage, _ *rand.Rand) ([]int, error) {
	for i := range nodes {
		s.runs[i] = s.binary
		if err := s.replace(ctx, i); err != nil {
			return nil, err
		}
		if err := nodeproc.Sleep(ctx, 4*time.Second); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// replace stops a node in order and starts it again.
func (s *stage) replace(ctx context.Context, i int) error {
	stopping, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	if err := s.nodes[i].Stop(stopping); err != nil {
		return fmt.Errorf("stopping %s: %w", nodeName(i), err)
	}
	if err := s.start(i); err != nil {
		return err
	}
	return s.ready(ctx, i)
}

func pick(names []string) ([]fault, error) {
	if len(names) == 0 {
		return faults, nil
	}
	var chosen []fault
	for _, name := range names {
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q", name)
		}
		chosen = append(chosen, faults[i])
	}
	return chosen, nil
}
