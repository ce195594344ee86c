package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/peers"
)

// Peers are the other nodes; *peers.Peers is one. Both methods may be called concurrently.
type Peers interface {
	// Handle has requests of a kind, from other nodes, answered by h.
	Handle(kind string, h peers.Handler)
	// Ask has another node answer a request before ctx ends, which has a deadline.
	Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error)
}

var _ Peers = (*peers.Peers)(nil)

// PeerErrors are the errors that must survive the way between nodes, by code.
var PeerErrors = map[string]error{"not_owned": ErrNotOwned}

// The kinds of requests.
const (
	kindIntegration = "actors.integration"
	kindHealths     = "actors.healths"
	kindErase       = "actors.erase"
	kindLive        = "actors.live"
)

const (
	// askTimeout bounds a command whose context has no earlier deadline.
	askTimeout = 5 * time.Second
	// movePause is how long a command waits while the shard that it is for changes its owner.
	movePause = 100 * time.Millisecond
	// healthsPage is how many healths one answer holds: some 400 bytes each.
	healthsPage = 1000
)

// The commands to an integration's actor that travel, by name.
var abroad = map[string]any{"health": getHealth{}, "reset-breaker": resetBreaker{}, "reinstate": reinstate{}}

type integrationRequest struct {
	Integration string `json:"integration"`
	Do          string `json:"do"`
}

type healthsRequest struct {
	After string `json:"after"` // those of integrations behind this one
}

type healthsAnswer struct {
	Healths []event.Health `json:"healths"`
	More    bool           `json:"more"`
}

type eraseRequest struct {
	Wedding string    `json:"wedding"`
	Before  time.Time `json:"before"`
}

// serve answers what other nodes ask.
func (s *System) serve(p Peers) {
	p.Handle(kindIntegration, func(ctx context.Context, _ string, body []byte) ([]byte, error) {
		var r integrationRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		message, ok := abroad[r.Do]
		if !ok {
			return nil, fmt.Errorf("%w: %q", peers.ErrUnsupported, r.Do)
		}
		answer, err := s.askHere(ctx, r.Integration, message)
		if err != nil {
			return nil, err
		}
		if h, ok := answer.(event.Health); ok {
			return json.Marshal(h)
		}
		return nil, nil
	})
	p.Handle(kindHealths, func(ctx context.Context, _ string, body []byte) ([]byte, error) {
		var r healthsRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		live := s.surveyHere(ctx)
		maps.DeleteFunc(live, func(id string, _ event.Health) bool { return id <= r.After })
		ids := slices.Sorted(maps.Keys(live))
		a := healthsAnswer{More: len(ids) > healthsPage}
		for _, id := range ids[:min(len(ids), healthsPage)] {
			a.Healths = append(a.Healths, live[id])
		}
		return json.Marshal(a)
	})
	p.Handle(kindErase, func(_ context.Context, _ string, body []byte) ([]byte, error) {
		var r eraseRequest
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		s.noteErasure(s.erasureOf(r.Wedding, r.Before))
		return nil, nil
	})
	p.Handle(kindLive, func(_ context.Context, _ string, body []byte) ([]byte, error) { return s.liveHere(body) })
}

// askAbroad has the owner of the integration's shard do it.
func (s *System) askAbroad(ctx context.Context, id string, message any) (any, error) {
	owner := s.cfg.Placement.Owner(s.cfg.Journal.ShardOf(id))
	if owner == "" || owner == s.cfg.Node { // nobody, or this node as soon as it has the lease
		return nil, ErrNotOwned
	}
	r := integrationRequest{Integration: id}
	for name, m := range abroad {
		if m == message {
			r.Do = name
		}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.cfg.Peers.Ask(ctx, owner, kindIntegration, body)
	for _, away := range []error{peers.ErrUnreachable, peers.ErrBusy, context.DeadlineExceeded} {
		if errors.Is(err, away) { // it, or its successor, may be there the next time
			return nil, fmt.Errorf("%w: %w", ErrNotOwned, err)
		}
	}
	if err != nil || message != (getHealth{}) {
		return nil, err
	}
	var h event.Health
	err = json.Unmarshal(answer, &h)
	return h, err
}

// others returns the nodes besides this one that should own shards now.
func (s *System) others() []string {
	if s.cfg.Peers == nil {
		return nil
	}
	var nodes []string
	for shard := range s.shards {
		if owner := s.cfg.Placement.Owner(shard); owner != "" && owner != s.cfg.Node && !slices.Contains(nodes, owner) {
			nodes = append(nodes, owner)
		}
	}
	return nodes
}

// surveyAbroad adds what the actors of other nodes know, and returns the nodes that did not tell all of it.
func (s *System) surveyAbroad(ctx context.Context, live map[string]event.Health) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	silent := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, node := range s.others() {
		all.Go(func() {
			healths, err := s.healthsOf(ctx, node)
			mu.Lock()
			defer mu.Unlock()
			for _, h := range healths {
				live[h.Integration] = h
			}
			if err != nil {
				silent[node] = true
				s.log.Warn().Err(err).Str("peer", node).Msg("a node did not say how its integrations do; they go as unknown")
			}
		})
	}
	all.Wait()
	return silent
}

// healthsOf returns what the actors of a node know; with an error, as much of it as came before.
func (s *System) healthsOf(ctx context.Context, node string) (all []event.Health, err error) {
	for r, more := (healthsRequest{}), true; more; {
		body, err := json.Marshal(r)
		if err != nil {
			return all, err
		}
		if body, err = s.cfg.Peers.Ask(ctx, node, kindHealths, body); err != nil {
			return all, err
		}
		var a healthsAnswer
		if err := json.Unmarshal(body, &a); err != nil {
			return all, err
		}
		all = append(all, a.Healths...)
		if more = a.More && len(a.Healths) > 0; more {
			r.After = all[len(all)-1].Integration
		}
	}
	return all, nil
}

// noteErasureAbroad has the other nodes skip what they hold of an erased wedding.
func (s *System) noteErasureAbroad(ctx context.Context, e erasure) error {
	body, err := json.Marshal(eraseRequest{e.wedding, e.before})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var errs []error
	for _, node := range s.others() {
		if _, err := s.cfg.Peers.Ask(ctx, node, kindErase, body); err != nil {
			errs = append(errs, fmt.Errorf("node %s may still deliver what it holds of the wedding; erase it again: %w", node, err))
		}
	}
	return errors.Join(errs...)
}
