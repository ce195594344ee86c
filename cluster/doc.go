// Package cluster says which nodes there are and which of them should own which shard. It knows
// nothing of what a shard is for. It decides nothing either: gossip says who should own a shard, the
// lease in the log says who does.
//
// A node is in one of three states:
//
//	joining ──> up ──> draining
//
// Only nodes that are up and have the core role own shards. Every node computes the same owner from
// the same View, by rendezvous hashing: when a node leaves or drains, its shards alone move, and when
// one joins, shards move to it alone.
//
// The package starts no goroutine.
package cluster
