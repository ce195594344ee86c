package analytics

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cespare/xxhash/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/queries"
)

// batch is a row of recorder_batches: the records with sequences from to to, both included.
type batch struct {
	log      logID
	from, to uint64
	records  uint32
	digest   uint64
	recorder string
}

// newBatch makes a batch of one entry or more.
func newBatch(log logID, from uint64, entries []event.RecordEntry, recorder string) batch {
	return batch{
		log: log, from: from, to: entries[len(entries)-1].Seq,
		records: uint32(len(entries)), digest: digest(entries), recorder: recorder,
	}
}

// digest tells batches of records apart.
func digest(entries []event.RecordEntry) uint64 {
	h := xxhash.New()
	var head [16]byte
	for _, e := range entries {
		binary.LittleEndian.PutUint64(head[:8], e.Seq)
		binary.LittleEndian.PutUint64(head[8:], uint64(len(e.Data)))
		_, _ = h.Write(head[:])
		_, _ = h.Write(e.Data)
	}
	return h.Sum64()
}

// name is the batch's, in query ids and tokens.
func (b batch) name() string {
	return fmt.Sprintf("%s-%d-%d-%016x", b.log.place(b.from), b.to, b.records, b.digest)
}

// place names a place in the log.
func (l logID) place(from uint64) string {
	return fmt.Sprintf("%s%d-%d", l.prefix(), l.generation, from)
}

// prefix begins the id of every insert from the log.
func (l logID) prefix() string { return "wedsync-record-" + l.epoch + "-" }

// ledger is the table recorder_batches.
type ledger struct{ conn driver.Conn }

// last returns the latest batch of the log with that epoch, and false when there is none.
func (l ledger) last(ctx context.Context, epoch string) (batch, bool, error) {
	row := l.conn.QueryRow(with(ctx, clickhouse.Parameters{"epoch": epoch}), queries.LastBatch)
	return scanBatch(row, epoch)
}

func scanBatch(row interface{ Scan(dest ...any) error }, epoch string) (batch, bool, error) {
	b := batch{log: logID{epoch: epoch}}
	err := row.Scan(&b.log.generation, &b.from, &b.to, &b.records, &b.digest, &b.recorder)
	if errors.Is(err, sql.ErrNoRows) {
		return batch{}, false, nil
	}
	if err != nil {
		return batch{}, false, fmt.Errorf("read recorder_batches: %w", err)
	}
	return b, true, nil
}

// within returns the batches of all generations that lie in [first, last], the latest first.
func (l ledger) within(ctx context.Context, epoch string, first, last uint64) ([]batch, error) {
	rows, err := l.conn.Query(with(ctx, clickhouse.Parameters{
		"epoch": epoch, "first": number(first), "last": number(last),
	}), queries.BatchesWithin)
	if err != nil {
		return nil, fmt.Errorf("read recorder_batches: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	var all []batch
	for rows.Next() {
		b, _, err := scanBatch(rows, epoch)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, rows.Err()
}

// settled returns a sequence up to which everything was committed before a time; 0 if nothing was.
func (l ledger) settled(ctx context.Context, log logID, before time.Time) (uint64, error) {
	var from uint64
	err := l.conn.QueryRow(with(ctx, clickhouse.Parameters{
		"epoch": log.epoch, "generation": number(log.generation), "before": strconv.FormatInt(before.UnixMilli(), 10),
	}), queries.Settled).Scan(&from)
	if err != nil {
		return 0, fmt.Errorf("read recorder_batches: %w", err)
	}
	return max(from, 1) - 1, nil
}

// errSuperseded ends a session: another recorder's batch counts at this place.
var errSuperseded = errors.New("another recorder works on this log; its batch counts")

// propose writes the batch down. It returns when the batch is what counts at its place, and nothing comes behind
// it: one who was stopped for long may propose what another recorder did long ago, when the server has forgotten
// the tokens by which it would know the rows.
func (l ledger) propose(ctx context.Context, b batch, at time.Time) error {
	// A token that the server has without its row (see doc.go) would swallow the row for ever.
	for _, token := range []string{b.log.place(b.from), b.log.place(b.from) + "-" + uniqueSuffix()} {
		if err := l.insert(ctx, b, at, token); err != nil {
			return err
		}
		got, found, err := l.last(ctx, b.log.epoch)
		if err != nil {
			return err
		}
		if found && got.same(b) {
			return nil
		}
		if found && !got.before(b) {
			return errSuperseded
		}
	}
	return errors.New("recorder_batches does not show the batch that was written to it; if it is replicated, read and write the same replica, or set insert_quorum")
}

// before reports whether b is of a place before c's.
func (b batch) before(c batch) bool {
	return b.log.generation < c.log.generation || b.log.generation == c.log.generation && b.from < c.from
}

// same reports whether both are the same records, whoever proposed them.
func (b batch) same(c batch) bool {
	b.recorder, c.recorder = "", ""
	return b == c
}

func (l ledger) insert(ctx context.Context, b batch, at time.Time, token string) error {
	out, err := l.conn.PrepareBatch(insertContext(ctx, token, token),
		"INSERT INTO recorder_batches (log_epoch, generation, from_seq, to_seq, records, digest, recorder, rolled_up, proposed_at)")
	if err != nil {
		return fmt.Errorf("insert into recorder_batches: %w", err)
	}
	defer out.Close() //nolint:errcheck // Send says it
	if err := out.Append(b.log.epoch, b.log.generation, b.from, b.to, b.records, b.digest, b.recorder, true, at); err != nil {
		return fmt.Errorf("insert into recorder_batches: %w", err)
	}
	if err := out.Send(); err != nil {
		return fmt.Errorf("insert into recorder_batches: %w", err)
	}
	return nil
}

func number[T uint16 | uint64](n T) string { return strconv.FormatUint(uint64(n), 10) }
