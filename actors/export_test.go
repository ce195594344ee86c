package actors

import "github.com/wedsync/wedsync/cluster/journal"

// BreakIntegration makes the actor of an integration, in its n-th incarnation, panic.
func (s *System) BreakIntegration(id string, n uint64) {
	s.root.Send(s.shardOf(id), toIntegration{id, attempted{incarnation: n}})
}

// BreakShard makes the shard's actor panic.
func (s *System) BreakShard(shard int) {
	s.root.Send(s.shards[shard].Load(), worksPulled{[]*journal.Work{nil}})
}
