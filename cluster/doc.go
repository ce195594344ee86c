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
// Solo is a node alone. Gossip is a node among others, by hashicorp/memberlist: it finds the others by the
// seeds that it is given, and goes on joining seeds that are no members, so that a cluster that was cut in
// two becomes one again. A node's name is its own once others know it by it; of two nodes of one name the
// second gives in (meta.yieldsTo).
//
//	started ──> joining seeds ──> known to others ──> left
//	               │  ^                │
//	               v  │                v
//	           another has the name: waits for it to go ──> refused
//
// Nodes of a cluster share keys, of which a Keyring has one or two: gossip is encrypted with them, and
// connections between nodes are TLS with certificates that follow from them.
//
// Gossip has two goroutines of its own, beside memberlist's: one shows what memberlist has told, one joins
// seeds. Both end with Leave or Close.
package cluster
