// Package journal is the one durable store of wedsync: the event log, the durable mailboxes of
// deliveries, dead letters, the spool of records on its way to analytics, configuration and shard
// leases. It runs NATS JetStream inside the process, or uses an external NATS server.
//
// # Assets
//
//	EV    ev.<shard>.<channel>           events: limits, 72 h; republished to live.<channel>
//	DL    dl.<shard>.<integration>       deliveries to do, deleted when they are done
//	      park.<shard>.<integration>     deliveries that wait in the log, read and deleted by sequence
//	      wait.<shard>.<integration>...  deliveries that are not due yet, moved to dl when they are
//	DEAD  dead.<integration>             dead letters: limits, 30 d
//	REC   rec                            records for analytics: limits, purged once they are stored
//	KV    config, secrets, seen, answers, clients, syncs; shards has the leases, and routed how far each
//	      shard's events are routed
//
// A shard's owner reads EV and DL through consumers of its own, which are in memory and remember nothing
// (reader.go): what is to be done again after a take-over is what routed does not have as routed, and what
// DL still has. No stream drops what it holds to make room: what does not fit is refused with ErrFull.
//
// # Durability
//
// Append, Enqueue, Park, Bury and Record return once the log has the data. One node syncs the disk
// every 100 ms (Config.SyncAlways: before each answer); a killed process loses nothing either way.
// What is appended twice under one id, to one channel, within ten minutes is stored once.
//
// # A log that is away
//
// While the log elects a leader, or the connection to it moves, Append and what is written into a Patient
// bucket wait for it, bounded in time, number and bytes (line.go). One event is tried again and again; when
// the log takes it, the others follow in the order in which they came. Whatever else is asked fails with
// ErrUnavailable.
//
// # Backups
//
// Backup copies all but the leases into files: JetStream's snapshot of each stream. RestoreLog makes a log of them, of one node or of several; until it is whole its marker says so, and
// nobody opens it (backup.go, restore.go).
//
// # What nodes tell each other
//
// A Topic (topic.go) is for what other nodes should know at once and nobody needs to keep, over the same
// connection: core NATS, at most once.
//
// # Goroutines
//
// Open starts the embedded server and four connections, each with the goroutines of its library, one
// goroutine that receives acknowledgements, and one to four that call the functions given to Live; one
// more exists while events wait for the log, two for each topic that was joined, and two from the first call
// of Leases on: they watch and renew. A shard has two that acknowledge.
// Close ends and waits for all of them. NextEvents, NextDeliveries, Release, Records and Watch run in their
// caller's goroutine. Every method is safe for concurrent use.
package journal
