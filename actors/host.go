package actors

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
)

// faultGrace is how long calls in flight have to end when a shard was lost, or has to be taken over again.
const faultGrace = 500 * time.Millisecond

// host holds the shards that placement gives this node. Placement says which it should hold; the
// lease in the log says which it does hold, and only those have an actor.
type host struct {
	sys      *System
	log      zerolog.Logger
	shards   map[int]*tenure
	busy     map[int]bool               // a claim or an end is under way
	claims   map[int]context.CancelFunc // ends the claim under way
	leaving  bool
	waiting  *actor.PID // asked for the hand-over
	deadline time.Time
	workers  *crew
}

var _ actor.SupervisorStrategy = (*host)(nil)

func newHost(sys *System) *host {
	return &host{
		sys: sys, log: sys.log, shards: map[int]*tenure{}, busy: map[int]bool{}, claims: map[int]context.CancelFunc{}, workers: sys.crew,
	}
}

// Receive implements actor.Actor.
func (h *host) Receive(c actor.Context) {
	self := c.Self()
	switch m := c.Message().(type) {
	case *actor.Started, reconcile:
		h.reconcile(self)
	case claimed:
		h.claimed(c, m)
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
			if giveUp := h.claims[shard]; giveUp != nil && !mine {
				giveUp()
			}
		case mine && t == nil:
			h.claim(self, shard)
		case t != nil && t.over():
			h.log.Warn().Int("shard", shard).Bool("lost", t.lease.Lost()).Msg("the shard's actors are stopped; it is taken over again if it is still this node's")
			h.end(self, t, time.Now().Add(faultGrace))
		case t != nil && !mine && h.sys.cfg.Journal.Failed() != nil: // nothing can be finished here
			h.end(self, t, time.Now().Add(faultGrace))
		case t != nil && !mine:
			h.end(self, t, h.deadline)
		}
	}
}

// claim waits for the shard's lease and takes the shard over, until placement gives it to another node.
func (h *host) claim(self *actor.PID, shard int) {
	wanted, giveUp := context.WithCancel(context.Background())
	h.claims[shard] = giveUp
	h.busy[shard] = h.workers.Go(func(ctx context.Context) {
		defer context.AfterFunc(ctx, giveUp)()
		t, err := h.takeOver(wanted, shard)
		h.sys.root.Send(self, claimed{shard: shard, tenure: t, err: err})
	})
}

// takeOver claims a shard's lease and opens its work, as long as it is wanted.
func (h *host) takeOver(wanted context.Context, shard int) (*tenure, error) {
	lease, err := h.sys.cfg.Journal.Leases().Claim(wanted, journal.ShardLease(shard))
	if err != nil {
		return nil, err
	}
	for {
		queue, err := h.sys.cfg.Journal.Shard(wanted, shard, lease)
		if err == nil {
			return newTenure(h.sys, shard, lease, queue), nil
		}
		if wanted.Err() == nil {
			h.log.Warn().Err(err).Int("shard", shard).Msg("taking the shard over failed; trying again")
		}
		if !pause(wanted, takeOverPause) || lease.Wait(wanted) != nil {
			h.release(shard, lease)
			return nil, err
		}
	}
}

// takeOverPause is how long to wait before the log is asked again for a shard's work.
const takeOverPause = 100 * time.Millisecond

func (h *host) claimed(c actor.Context, m claimed) {
	delete(h.busy, m.shard)
	h.claims[m.shard]()
	delete(h.claims, m.shard)
	if m.err != nil {
		if !errors.Is(m.err, journal.ErrClosed) {
			h.reconcile(c.Self())
		}
		h.maybeHandedOver()
		return
	}
	t := m.tenure
	h.shards[m.shard] = t
	pid := c.SpawnPrefix(h.sys.props(func() actor.Actor { return newShard(t) }), "shard")
	t.begin(c.Self(), pid)
	h.sys.owned(m.shard, pid)
	h.log.Debug().Int("shard", m.shard).Uint64("epoch", t.lease.Epoch).Msg("shard owned")
	h.reconcile(c.Self())
}

// end lets go of a shard, with what is in flight finished by the deadline (zero: the attempt time-out from now),
// and gives its lease back, so that whoever waits for it can go on.
func (h *host) end(self *actor.PID, t *tenure, deadline time.Time) {
	delete(h.shards, t.shard)
	h.sys.owned(t.shard, nil)
	if deadline.IsZero() {
		deadline = time.Now().Add(h.sys.cfg.Timeout)
	}
	h.busy[t.shard] = h.workers.Go(func(ctx context.Context) {
		stopping, cancel := context.WithDeadline(ctx, deadline)
		t.end(stopping)
		cancel()
		h.release(t.shard, t.lease)
		h.sys.root.Send(self, ended{t.shard})
	})
}

func (h *host) release(shard int, lease *journal.Lease) {
	if err := lease.Release(context.Background()); err != nil {
		h.log.Warn().Err(err).Int("shard", shard).Msg("the lease was not given back; it is when the log answers, or ends by itself")
	}
}

func (h *host) maybeHandedOver() {
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
