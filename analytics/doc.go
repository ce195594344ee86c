// Package analytics moves what became of deliveries from the record log into ClickHouse and answers
// questions about it.
//
// It owns the tables (schema/*.sql), the queries (queries/*.sql), the objectives (docs/slo.md) and the recorder. Store is a
// database with those tables; Recorder fills it from a Source, the record log.
//
// # Exactly once
//
// The recorder keeps its position in ClickHouse, in recorder_batches:
//
//	collect ──> propose [from, to] ──> insert attempts, deliveries, ... and rollups ──> collect ...
//	             one row, on disk        each with a token made of the batch
//
// A batch is proposed only when all before it are committed, so after any crash only the last one
// can be unfinished, and it says exactly which records it is made of. Whoever comes next reads those
// again from the log, looks which of their rows are there, and inserts those that are not.
//
// Insert tokens alone would not do. ClickHouse keeps them in a file beside the table, apart from the
// parts. 26.7 writes a token, and then renames its part into place: a kill between the two leaves a
// token without its rows, and repeating the insert changes nothing, so the rows are lost. (Later
// releases do it the other way round; then the rows are there without their token, and repeating the
// insert doubles them. And no release syncs the file: github.com/ClickHouse/ClickHouse/issues/111577.)
// So the rows decide, by their place in the log, which every row carries; the token decides between
// two inserts under way at the same time, such as one that a lost connection left behind.
//
// The rollups (slo_minutes, slo_hours) merge their rows, so a row's place does not tell. There the highest place
// in a row does, which only the last batch has: a partition has all of that batch, in one part, or nothing.
//
// Two recorders on one log, which placement should prevent, do no harm: both propose for the same
// place, with the same token, and both go by the proposal that is there afterwards. One that was stopped for so
// long that the server has forgotten the tokens finds that others have gone on, and begins anew from there.
//
// If the log was set back, by a restore from a backup or a power failure, the digest of the last
// batch no longer fits the records at its place. (Records that were erased from the log do not count: a log that
// was set back and goes on has as many as before.) The recorder then begins a new generation after the
// last batch that fits; rows of the old one stay.
//
// # Goroutines
//
// Recorder.Run works in its caller's, but for the inserts of a batch, one a table, and the reading of the next
// batch meanwhile; it waits for these before it goes on.
package analytics
