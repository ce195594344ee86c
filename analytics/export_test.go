package analytics

import (
	"context"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// TestBatch is a batch of records, to be inserted step by step.
type TestBatch struct {
	store   *Store
	batch   batch
	entries []event.RecordEntry
}

// NewTestBatch makes a batch from the entries.
func NewTestBatch(store *Store, epoch string, entries []event.RecordEntry) TestBatch {
	return TestBatch{store, newBatch(logID{epoch: epoch}, entries[0].Seq, entries, "test"), entries}
}

func (b TestBatch) rows() *rows {
	r := newRows()
	for _, e := range b.entries {
		record, err := decode(e)
		if err != nil {
			panic(err)
		}
		r.add(b.batch.log, e.Seq, record)
	}
	return r
}

// ErrSuperseded is what Propose fails with where another recorder went on.
var ErrSuperseded = errSuperseded

// Propose writes the batch down as what comes next.
func (b TestBatch) Propose(ctx context.Context) error {
	return ledger{b.store.conn}.propose(ctx, b.batch, time.Now())
}

// Insert inserts the rows of all tables and of the rollups with the batch's token and a suffix.
func (b TestBatch) Insert(ctx context.Context, suffix string) error {
	rows := b.rows()
	for _, block := range append(rows.blocks(), &rows.rollups.block) {
		if err := insert(ctx, b.store.conn, block, b.batch.name(), b.batch.name()+suffix); err != nil {
			return err
		}
	}
	return nil
}

// Settle makes each table and rollup have each row once, and returns how many it inserted.
func (b TestBatch) Settle(ctx context.Context) (int, error) {
	sum := 0
	rows := b.rows()
	for _, block := range rows.blocks() {
		n, err := settle(ctx, b.store.conn, block, b.batch)
		if err != nil {
			return sum, err
		}
		sum += n
	}
	n, err := settleRollups(ctx, b.store.conn, &rows.rollups, b.batch)
	return sum + n, err
}

// Decode decodes a record.
var Decode = decode

// StaleAfter makes the store take a lock on the schema that is so old for one that was left behind.
func (s *Store) StaleAfter(age time.Duration) { s.stale = age }
