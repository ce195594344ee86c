package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// joining has a fourth core node come, work on its part of the shards for a while, and go for good. Each has a new
// name, as a new machine has.
func joining(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
	s.guests++
	name := nodeName(nodes - 1 + s.guests)
	guest, err := s.launch(nodes, name, s.binary)
	if err != nil {
		return nil, err
	}
	defer guest.Kill()
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := guest.Ready(starting); err != nil {
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	working := func(m member) bool { return m.Name == name && len(m.Shards) > 0 }
	if err := s.until(ctx, name+" has shards", func(list []member) bool { return slices.ContainsFunc(list, working) }); err != nil {
		return nil, err
	}
	if err := nodeproc.Sleep(ctx, time.Duration(4+rng.IntN(5))*time.Second); err != nil {
		return nil, err
	}
	stopping, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	if err := guest.Stop(stopping); err != nil {
		return nil, fmt.Errorf("stopping %s: %w", name, err)
	}
	// The log counts on it until it is removed, which must wait until the others have seen it go.
	gone := func(m member) bool { return m.Name == name && m.State == "missing" }
	if err := s.until(ctx, name+" has gone", func(list []member) bool { return slices.ContainsFunc(list, gone) }); err != nil {
		return nil, err
	}
	if err := s.clients[0].Call(ctx, http.MethodDelete, "/api/cluster/members/"+name, nil, nil); err != nil {
		return nil, fmt.Errorf("removing %s: %w", name, err)
	}
	return nil, nil
}

// until waits until a node tells of members as wanted.
func (s *stage) until(ctx context.Context, what string, wanted func([]member) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		list, err := s.members(ctx, 0)
		if err == nil && wanted(list) {
			return nil
		}
		if late := nodeproc.Sleep(ctx, 100*time.Millisecond); late != nil {
			return errors.Join(fmt.Errorf("waiting until %s: %w; the members are %+v", what, late, list), err)
		}
	}
}
