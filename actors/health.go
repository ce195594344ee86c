package actors

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// An integration is degraded below this success rate, once so many attempts tell.
const (
	degradedBelow = 0.95
	degradedAfter = 10
)

func (in *integration) health() event.Health {
	now := in.sys.cfg.Now()
	rate, _ := in.rate.Rate(now)
	state, why := in.stateNow()
	h := event.Health{
		Integration: in.id, Vendor: in.entryVendor(), State: state, Reason: why,
		LastError: in.lastError, LastErrorAt: in.lastErrorAt, SuccessRate: rate,
		Waiting: len(in.bag.tasks) - in.inFlight + len(in.bag.arrived), Parked: in.parkCount, InFlight: in.inFlight,
		LastProbe: in.lastProbe, Since: in.since.UTC(),
	}
	h.AddHeld(in.quiet(now))
	if in.breaker.State() == delivery.Open {
		h.NextProbe = in.breaker.NextProbe().UTC()
	}
	return h
}

func (in *integration) stateNow() (event.State, string) {
	if state, why := in.resting(); why != "" {
		return state, why
	}
	if in.breaker.State() != delivery.Closed {
		return event.Open, "the vendor failed: " + in.lastError
	}
	if in.failing() {
		return event.Degraded, "last error: " + in.lastError
	}
	if p := in.lastProbe; p != nil && !p.OK {
		return event.Degraded, "the last probe of the vendor failed: " + p.Reason
	}
	return event.Healthy, ""
}

// failing reports whether too many of the last minutes' attempts failed.
func (in *integration) failing() bool {
	rate, n := in.rate.Rate(in.sys.cfg.Now())
	return n >= degradedAfter && rate < degradedBelow
}

// announce records a change of state, and publishes it on integration:health:{id}.
func (in *integration) announce() {
	state, _ := in.stateNow()
	if state == in.state {
		return
	}
	before := in.state
	in.state, in.since = state, in.sys.cfg.Now()
	h := in.health()
	in.work(func(ctx context.Context) any {
		change := event.HealthChange{Integration: h.Integration, Vendor: h.Vendor, Before: before, State: h.State, Reason: h.Reason, At: h.Since}
		if err := in.sys.cfg.Journal.Record(ctx, "", &event.Record{V: event.Version, Node: in.sys.cfg.Node, Health: &change}); err != nil {
			in.log.Warn().Err(err).Str("state", string(h.State)).Msg("the change of state was not recorded")
		}
		held := in.sys.heldBack(ctx, h.Integration)[h.Integration]
		h.AddHeld(held.Count, held.Next)
		if err := in.sys.publishHealth(ctx, h); err != nil {
			in.log.Warn().Err(err).Str("state", string(h.State)).Msg("the change of state was not published")
		}
		return nil
	})
}

func (s *System) publishHealth(ctx context.Context, h event.Health) error {
	payload, err := json.Marshal(h)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = s.cfg.Journal.Append(ctx, &event.Event{
		V: event.Version, ID: id.String(), Channel: event.HealthChannel + h.Integration, Type: "integration.health_changed",
		Payload: payload, OccurredAt: h.Since, AcceptedAt: h.Since, Source: event.SystemSource, CorrelationID: id.String(),
	})
	return err
}

// surveyHere returns what the integrations' actors on this node know and answer within a second.
func (s *System) surveyHere(ctx context.Context) map[string]event.Health {
	census := newCensus()
	for i := range s.shards {
		if pid := s.shards[i].Load(); pid != nil {
			census.expect()
			s.root.Send(pid, survey{census})
		}
	}
	census.done()
	return census.wait(ctx, time.Second)
}

// Healths returns how every integration does, by id: what the actors of all nodes know, Unknown for those whose
// node does not answer soon, and Idle for those without an actor or whose actor does not.
func (s *System) Healths(ctx context.Context) []event.Health {
	live := s.surveyHere(ctx)
	silent := s.surveyAbroad(ctx, live)
	held := s.heldBack(ctx, "")
	all := s.cfg.Registry.Integrations()
	out := make([]event.Health, 0, len(all))
	for i := range all {
		h, ok := live[all[i].ID]
		if !ok {
			h = atRest(&all[i])
			if owner := s.cfg.Placement.Owner(s.cfg.Journal.ShardOf(h.Integration)); h.State == event.Idle && silent[owner] {
				h.State, h.Reason = event.Unknown, "node "+owner+" does not answer"
			}
		}
		h.AddHeld(held[h.Integration].Count, held[h.Integration].Next)
		out = append(out, h)
	}
	return out
}

// heldBack returns what the log holds for an integration, or for each where none is named.
func (s *System) heldBack(ctx context.Context, integration string) map[string]journal.HeldCount {
	counts, err := s.cfg.Journal.HeldFor(ctx, integration)
	if err != nil && ctx.Err() == nil {
		s.log.Warn().Err(err).Msg("what is held was not counted; health goes without it")
	}
	return counts
}

// atRest is the health of an integration that has no actor, since it has nothing to do.
func atRest(in *event.Integration) event.Health {
	h := event.Health{Integration: in.ID, Vendor: in.Vendor, State: event.Idle, SuccessRate: 1}
	switch {
	case in.Disabled:
		h.State, h.Reason = event.DisabledState, event.ReasonDisabled
	case in.Paused != nil:
		h.State, h.Reason, h.Since = event.Paused, in.Paused.Reason, in.Paused.At
	}
	return h
}

// census collects answers of a number of actors that only they themselves know.
type census struct {
	mu      sync.Mutex
	missing int
	found   map[string]event.Health
	full    chan struct{}
}

func newCensus() *census {
	return &census{missing: 1, found: map[string]event.Health{}, full: make(chan struct{})}
}

func (c *census) expect() {
	c.mu.Lock()
	c.missing++
	c.mu.Unlock()
}

func (c *census) add(h event.Health) {
	c.mu.Lock()
	c.found[h.Integration] = h
	c.mu.Unlock()
	c.done()
}

func (c *census) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing--; c.missing == 0 {
		close(c.full)
	}
}

// wait returns what is known when all have answered, limit is over or ctx has ended.
func (c *census) wait(ctx context.Context, limit time.Duration) map[string]event.Health {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-c.full:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.found)
}
