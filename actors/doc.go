// Package actors is the supervision tree that moves events from the log to the vendors.
//
//	system
//	└── shard host        claims the shards that placement gives this node, ends those that are lost
//	    └── shard         pulls its two consumers, hands each item to the actor it belongs to
//	        ├── channel       routes its events in order: resolve, encode, enqueue
//	        └── integration   delivers: lanes, attempts, breaker, park, dead letters
//
// Channel and integration actors are created on first work and stopped when idle. Receive never
// blocks: what waits for the log or a vendor runs in a worker of the tenure's crew and reports back
// by message. An item leaves the log when its work is done and recorded, never before; what an actor
// holds of it in memory survives the actor's restart, in its bag.
//
// An integration's life:
//
//	         5 faults in a row           probe due
//	healthy ───────────────────> open ─────────────> one probe ──ok──> healthy
//	   │  ^                        ^                     │
//	   │  │ resume                 └──────fault──────────┘
//	   v  │
//	  paused   by an admin, or by an answer that only an admin can mend
//
// Goroutines: two feeders, one that releases what is held and one that watches the lease a shard, workers bounded by what the shard holds, and those of the actor
// system's dispatcher. All end before [System.Stop] returns.
package actors
