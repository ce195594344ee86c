package analytics

import (
	"context"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// resume begins a session: it brings the tables up to date, finds the last batch of the log, and
// finishes it.
func (r *Recorder) resume(ctx context.Context) error {
	catchUp, cancel := context.WithTimeout(ctx, 5*r.cfg.Timeout)
	defer cancel()
	if err := r.catchUp(catchUp); err != nil {
		return err
	}
	return r.rollUp(ctx)
}

func (r *Recorder) catchUp(ctx context.Context) error {
	if err := r.store.Migrate(ctx); err != nil {
		return err
	}
	log := logID{epoch: r.source.Epoch()}
	if err := awaitInserts(ctx, r.store.conn, log); err != nil {
		return err
	}
	if err := r.source.SettleRecords(ctx); err != nil { // else it might look as if it had been set back
		return fmt.Errorf("settle the record log: %w", err)
	}
	first, last, err := r.source.RecordBounds(ctx)
	if err != nil {
		return fmt.Errorf("read the record log's bounds: %w", err)
	}
	b, found, err := r.ledger.last(ctx, log.epoch)
	if err != nil {
		return err
	}
	if !found {
		r.at, r.position, r.committed = log, 0, r.cfg.Now()
		return nil
	}
	r.at = b.log
	fits, err := r.finish(ctx, b, first, last)
	if err != nil {
		return err
	}
	if !fits {
		return r.regenerate(ctx, b, first, last)
	}
	r.commit(b)
	return nil
}

// finish inserts what is missing of a batch, and reports false when the log no longer has it.
func (r *Recorder) finish(ctx context.Context, b batch, first, last uint64) (bool, error) {
	if b.to > last {
		return false, nil
	}
	if b.records == 0 || b.from < first {
		return true, nil // nothing to do, or purged, so it was committed
	}
	begun := r.cfg.Now()
	entries, err := r.reread(ctx, b)
	if err != nil {
		return false, err
	}
	if !b.fits(entries) {
		return false, nil
	}
	f := r.fill(entries)
	repaired := 0
	for _, block := range f.rows.blocks() {
		if block.len() == 0 {
			continue
		}
		if err := r.timed(ctx, block.table, func(ctx context.Context) error {
			n, err := settle(ctx, r.store.conn, block, b)
			repaired += n
			return err
		}); err != nil {
			return false, err
		}
	}
	if f.rows.rollups.len() > 0 {
		if err := r.timed(ctx, f.rows.rollups.table, func(ctx context.Context) error {
			n, err := settleRollups(ctx, r.store.conn, &f.rows.rollups, b)
			repaired += n
			return err
		}); err != nil {
			return false, err
		}
	}
	if repaired > 0 {
		r.metrics.repaired.Add(float64(repaired))
		r.log.Info().Int("rows", repaired).Uint64("from", b.from).Uint64("to", b.to).
			Msg("finished a batch that was interrupted")
		r.trace(f, begun)
	}
	return true, nil
}

// fits reports whether the log still has a batch as it was recorded, but for records that were erased from it.
// A log that was set back and goes on has as many in their place, or more, and others.
func (b batch) fits(entries []event.RecordEntry) bool {
	return len(entries) < int(b.records) || digest(entries) == b.digest
}

// reread returns the entries of a batch; fewer when the log does not have them all.
func (r *Recorder) reread(ctx context.Context, b batch) ([]event.RecordEntry, error) {
	var entries []event.RecordEntry
	after := b.from - 1
	for after < b.to && len(entries) < int(b.records) {
		more, err := r.read(ctx, after, int(b.records)-len(entries), topUpWait)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			break
		}
		for _, e := range more {
			if e.Seq <= b.to {
				entries = append(entries, e)
			}
		}
		after = more[len(more)-1].Seq
	}
	return entries, nil
}

// regenerate begins a new generation of a log that was set back: after the last batch, of whichever
// generation, that the log still has as it was recorded, or else at the log's beginning. What the log
// has of a batch that it has only in part is recorded again.
func (r *Recorder) regenerate(ctx context.Context, b batch, first, last uint64) error {
	within, err := r.ledger.within(ctx, b.log.epoch, first, last)
	if err != nil {
		return err
	}
	position := max(first, 1) - 1
	for _, e := range within {
		entries, err := r.reread(ctx, e)
		if err != nil {
			return err
		}
		if e.fits(entries) {
			position = e.to
			break
		}
	}
	log := logID{epoch: b.log.epoch, generation: b.log.generation + 1}
	// A batch of nothing, at the place before the first, marks the beginning.
	mark := batch{log: log, from: position, to: position, digest: digest(nil), recorder: r.cfg.Name}
	if err := r.ledger.propose(ctx, mark, r.cfg.Now()); err != nil {
		return err
	}
	r.log.Warn().Uint64("recorded", b.to).Uint64("log", last).Uint64("from", position+1).Uint16("generation", log.generation).
		Msg("the record log was set back, by a restore or a power failure; recording goes on from where it still agrees")
	r.at, r.position, r.committed = log, position, r.cfg.Now()
	return nil
}
