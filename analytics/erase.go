package analytics

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/queries"
)

// The statements of an erasure, in order: what vendors said goes first, while its delivery is still known.
var erasures = []string{queries.EraseReceipts, queries.EraseAttempts, queries.EraseDeliveries, queries.EraseMinutes, queries.EraseHours}

// Erase takes out of every row what tells whose wedding it was about: the wedding, the channel, the
// event's id and the vendors' words. The rows stay, so that objectives are counted as before, other than by
// wedding. It returns
// when that is done, on every replica, and how many rows it was, and how many there are that still name
// the wedding: those of records that came in between. ClickHouse keeps the files of before for some
// minutes (old_parts_lifetime, 8 by default).
func (s *Store) Erase(ctx context.Context, wedding string) (rows, left uint64, err error) {
	if rows, err = s.Identified(ctx, wedding); err != nil {
		return 0, 0, err
	}
	parameters := clickhouse.Context(ctx,
		clickhouse.WithParameters(unnamed(wedding)), clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	for _, statement := range erasures {
		if err := s.conn.Exec(parameters, statement); err != nil {
			return 0, 0, fmt.Errorf("erase a wedding: %w", err)
		}
	}
	left, err = s.Identified(ctx, wedding)
	return rows, left, err
}

// unnamed are the parameters that tell a wedding without its id.
func unnamed(wedding string) clickhouse.Parameters {
	salt := rand.Text()
	sum := sha256.Sum256([]byte(salt + wedding))
	return clickhouse.Parameters{"salt": salt, "hash": hex.EncodeToString(sum[:]), "word": event.Erased}
}

// Identified returns how many rows name a wedding, or tell what vendors said of its deliveries.
func (s *Store) Identified(ctx context.Context, wedding string) (uint64, error) {
	var rows uint64
	if err := s.conn.QueryRow(with(ctx, unnamed(wedding)), queries.Identified).Scan(&rows); err != nil {
		return 0, fmt.Errorf("count a wedding's rows: %w", err)
	}
	return rows, nil
}

// CaughtUp returns when every record up to a sequence of the record log is in ClickHouse, or fails with
// ctx's error. Where another recorder runs, the last of these may be on their way still.
func (r *Recorder) CaughtUp(ctx context.Context, seq uint64) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		reached, err := r.Reached(ctx)
		if err != nil || reached >= seq {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d records wait to be brought to ClickHouse (%s): %w", seq-reached, r.Status().LastError, ctx.Err())
		}
	}
}

// Reached returns the sequence of the record log up to which records are in ClickHouse, or on their way, whoever brings
// them.
func (r *Recorder) Reached(ctx context.Context) (uint64, error) {
	status := r.Status()
	if status.Connected {
		return status.Position, nil
	}
	last, _, err := r.ledger.last(ctx, r.source.Epoch())
	return max(status.Position, last.to), err
}
