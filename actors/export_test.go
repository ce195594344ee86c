package actors

import (
	"context"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/wedsync/wedsync/cluster/journal"
)

// What tests outside the package look into.
var (
	NewCrew   = newCrew
	NewCredit = newCredit
	Timely    = timely
)

func (c *crew) Finish(ctx context.Context)                    { c.finish(ctx) }
func (c *credit) Take(ctx context.Context, limit int) int     { return c.take(ctx, limit) }
func (c *credit) Give(n int)                                  { c.give(n) }
func (p RestartPolicy) Wait(n int, rnd float64) time.Duration { return p.wait(n, rnd) }

// BreakIntegration makes the actor of an integration, in its n-th incarnation, panic.
func (s *System) BreakIntegration(id string, n uint64) {
	s.root.Send(s.held(s.cfg.Journal.ShardOf(id)), toIntegration{id, attempted{incarnation: n}})
}

// BreakShard makes the shard's actor panic.
func (s *System) BreakShard(shard int) {
	s.root.Send(s.held(shard), worksPulled{[]*journal.Work{nil}})
}

// held waits until the shard is held.
func (s *System) held(shard int) *actor.PID {
	for {
		if pid := s.shards[shard].Load(); pid != nil {
			return pid
		}
		runtime.Gosched()
	}
}
