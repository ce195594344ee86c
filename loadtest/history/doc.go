// Package history notes what a run of clients against nodes comes to, in the checker's terms: how a publish
// ended, what the log has in the end, and what ClickHouse has of it.
package history
