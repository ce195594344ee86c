package analytics

import (
	"context"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// Source is the record log as the recorder reads it. Sequences begin at 1 and rise; purged ones are
// never given again. Calls come from one goroutine at a time.
type Source interface {
	// Epoch is the log's identity. It changes only when the log is made anew, with sequences from 1.
	Epoch() string
	// Records returns at most limit entries with sequences above after, ascending. It waits for at
	// least one until wait is over, then returns none and no error; it does so only where there is none, as
	// what is not found of a batch was erased.
	Records(ctx context.Context, after uint64, limit int, wait time.Duration) ([]event.RecordEntry, error)
	// SettleRecords returns when RecordBounds tells of all that was in the log before the call.
	SettleRecords(ctx context.Context) error
	// RecordBounds returns the first and the last sequence that the log holds. With an empty log,
	// last is the sequence given out last and first is last+1.
	RecordBounds(ctx context.Context) (first, last uint64, err error)
	// PurgeRecords removes the entries up to and including upTo. Repeating it is no error.
	PurgeRecords(ctx context.Context, upTo uint64) error
}
