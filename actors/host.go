package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
)

// host holds the shards that placement gives this node. Placement says which it should hold; the
// lease in the log says which it does hold, and only those have an actor.
type host struct {
	sys      *System
	log      zerolog.Logger
	shards   map[int]*tenure
	busy     map[int]bool // a claim or an end is under way
	leaving  bool
	waiting  *actor.PID // asked for the hand-over
	deadline time.Time
	workers  *crew
}

var _ actor.SupervisorStrategy = (*host)(nil)

func newHost(sys *System) *host {
	return &host{sys: sys, log: sys.log, shards: map[int]*tenure{}, busy: map[int]bool{}, workers: sys.crew}
}

// Receive implements actor.Actor.
func (h *host) Receive(c actor.Context) {
	self := c.Self()
	switch m := c.Message().(type) {
	case *actor.Started, reconcile:
		h.reconcile(self)
	case tick:
		h.renewAll(self)
		h.reconcile(self)
	case claimed:
		h.claimed(c, m)
	case renewal:
		h.renewed(self, m)
	case ended:
		delete(h.busy, m.shard)
		h.reconcile(self)
		h.maybeHandedOver()
	case handOver:
		h.leaving, h.deadline, h.waiting = true, m.deadline, c.Sender()
		h.reconcile(self)
		h.maybeHandedOver()
	}
}

func (h *host) reconcile(self *actor.PID) {
	for shard := range h.sys.cfg.Journal.Shards() {
		mine := !h.leaving && h.sys.cfg.Placement.Owner(shard) == h.sys.cfg.Node
		t := h.shards[shard]
		switch {
		case h.busy[shard]:
		case mine && t == nil:
			h.claim(self, shard)
		case t != nil && !mine:
			h.end(self, t, h.deadline, true)
		case t != nil && !t.valid():
			h.log.Error().Int("shard", shard).Msg("lease lapsed; its actors are stopped and the shard is claimed again")
			h.end(self, t, time.Time{}, false)
		}
	}
}

func (h *host) claim(self *actor.PID, shard int) {
	h.busy[shard] = h.workers.Go(func(ctx context.Context) {
		lease, err := h.sys.cfg.Journal.Claim(ctx, shard, h.sys.cfg.Node, h.sys.cfg.LeaseTTL)
		if err != nil {
			if !errors.Is(err, journal.ErrHeld) && ctx.Err() == nil {
				h.log.Warn().Err(err).Int("shard", shard).Msg("claiming the shard failed; trying again")
			}
			pause(ctx, 250*time.Millisecond+rand.N(250*time.Millisecond))
			h.sys.root.Send(self, claimed{shard: shard, err: err})
			return
		}
		queue, err := h.sys.cfg.Journal.Shard(ctx, shard)
		if err != nil {
			h.log.Warn().Err(err).Int("shard", shard).Msg("opening the shard's consumers failed; trying again")
			pause(ctx, 250*time.Millisecond)
			h.sys.root.Send(self, claimed{shard: shard, err: err})
			return
		}
		h.sys.root.Send(self, claimed{shard: shard, tenure: newTenure(h.sys, lease, queue)})
	})
}

func (h *host) claimed(c actor.Context, m claimed) {
	delete(h.busy, m.shard)
	if m.err != nil {
		h.reconcile(c.Self())
		h.maybeHandedOver()
		return
	}
	t := m.tenure
	h.shards[m.shard] = t
	pid := c.SpawnPrefix(h.sys.props(func() actor.Actor { return newShard(t) }), "shard")
	t.begin(pid)
	h.sys.owned(m.shard, pid)
	h.log.Debug().Int("shard", m.shard).Uint64("epoch", t.lease.Epoch).Msg("shard owned")
	h.reconcile(c.Self())
}

// end lets go of a shard: at once when its lease lapsed, else with what is in flight finished by the
// deadline (zero: the attempt time-out from now) and the lease given back.
func (h *host) end(self *actor.PID, t *tenure, deadline time.Time, release bool) {
	delete(h.shards, t.shard)
	h.sys.owned(t.shard, nil)
	if release && deadline.IsZero() {
		deadline = time.Now().Add(h.sys.cfg.Timeout)
	}
	h.busy[t.shard] = h.workers.Go(func(ctx context.Context) {
		stopping, cancel := context.WithDeadline(ctx, deadline)
		t.end(stopping)
		cancel()
		if release {
			if err := h.sys.cfg.Journal.Release(ctx, t.lease); err != nil {
				h.log.Warn().Err(err).Int("shard", t.shard).Msg("the lease was not given back; it ends by itself")
			}
		}
		h.sys.root.Send(self, ended{t.shard})
	})
}

// renewAll renews every lease at once, and again only when all have been answered, so that a slow log
// neither piles them up nor makes the last one wait for the others.
func (h *host) renewAll(self *actor.PID) {
	if len(h.shards) == 0 || h.busy[renewing] {
		return
	}
	leases := make([]journal.Lease, 0, len(h.shards))
	for _, t := range h.shards {
		leases = append(leases, t.lease)
	}
	h.busy[renewing] = h.workers.Go(func(ctx context.Context) {
		var all sync.WaitGroup
		for _, lease := range leases {
			all.Go(func() {
				next, err := h.sys.cfg.Journal.Renew(ctx, lease, h.sys.cfg.LeaseTTL)
				h.sys.root.Send(self, renewal{shard: lease.Shard, lease: next, err: err})
			})
		}
		all.Wait()
		h.sys.root.Send(self, renewal{shard: renewing})
	})
}

// renewing stands among the busy shards for the one worker that renews leases.
const renewing = -1

func (h *host) renewed(self *actor.PID, m renewal) {
	if m.shard == renewing {
		delete(h.busy, renewing)
		return
	}
	t := h.shards[m.shard]
	switch {
	case t == nil:
	case m.err == nil:
		t.renewed(m.lease)
	case errors.Is(m.err, journal.ErrHeld), errors.Is(m.err, journal.ErrConflict), errors.Is(m.err, journal.ErrNotFound):
		h.log.Error().Err(m.err).Int("shard", m.shard).Msg("the shard was taken over; its actors are stopped")
		h.end(self, t, time.Time{}, false)
	default:
		h.log.Warn().Err(m.err).Int("shard", m.shard).Time("until", t.lease.Expires).Msg("renewing the lease failed; trying again")
	}
}

func (h *host) maybeHandedOver() {
	delete(h.busy, renewing)
	if h.waiting != nil && len(h.shards) == 0 && len(h.busy) == 0 {
		h.sys.root.Send(h.waiting, handedOver{})
		h.waiting = nil
	}
}

// HandleFailure implements actor.SupervisorStrategy for the shards: they are restarted for ever, with
// growing pauses, since nobody else would do their work.
func (h *host) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, _, _ any) {
	wait, _ := h.sys.cfg.Restart.failed(rs)
	restartAfter(supervisor, child, wait)
}
