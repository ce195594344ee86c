package analytics_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// batchOf is a batch whose attempts lie in as many partitions as days, or one more.
func batchOf(t *testing.T, store *analytics.Store, days int) (analytics.TestBatch, []*event.Record) {
	t.Helper()
	s := newSeason()
	s.days = days
	records := s.records(0, 2000)
	log := newLog()
	log.append(records...)
	entries, err := log.Records(t.Context(), 0, 2000, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return analytics.NewTestBatch(store, log.epoch, entries), records
}

func partitions(t *testing.T, conn driver.Conn, table string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT DISTINCT partition FROM system.parts "+
		"WHERE database = currentDatabase() AND table = $1 AND active ORDER BY partition", table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func execute(t *testing.T, conn driver.Conn, query string) {
	t.Helper()
	if err := conn.Exec(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// What the engine does by itself, and the recorder builds on: the same token again changes nothing,
// in any of the partitions; another token does.
func TestInsertTokens(t *testing.T) {
	t.Parallel()
	store, conn := newStore(t)
	b, records := batchOf(t, store, 12)
	for range 3 {
		if err := b.Insert(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(partitions(t, conn, "attempts")); n < 12 {
		t.Errorf("attempts have %d partitions; the test wants many", n)
	}
	exactly(t, conn, wanted(records))
	agree(t, conn)
	if err := b.Insert(t.Context(), "-other"); err != nil {
		t.Fatal(err)
	}
	var count uint64
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM attempts").Scan(&count); err != nil || count != 2*wanted(records).Attempts {
		t.Errorf("%d rows, %v; another token should have doubled them", count, err)
	}
	agree(t, conn)
}

// The states that a kill can leave, each made on purpose; settling mends every one, and once mended
// it does nothing.
func TestSettle(t *testing.T) {
	t.Parallel()
	insert := func(suffix string) func(*testing.T, analytics.TestBatch, driver.Conn) {
		return func(t *testing.T, b analytics.TestBatch, _ driver.Conn) {
			t.Helper()
			if err := b.Insert(t.Context(), suffix); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		leave    func(*testing.T, analytics.TestBatch, driver.Conn)
		inserted func(c analytics.Counts, rolled int) int // -1: some
	}{
		"nothing": {
			func(*testing.T, analytics.TestBatch, driver.Conn) {},
			func(c analytics.Counts, rolled int) int {
				return int(c.Attempts+c.Deliveries+c.Receipts+c.Audit) + rolled
			},
		},
		"everything": {insert(""), func(analytics.Counts, int) int { return 0 }},
		// The part was committed, its token was not written: repeating the insert would double it.
		"rows without their token": {insert("-as-if-lost"), func(analytics.Counts, int) int { return 0 }},
		// The token was written, its part was not committed: repeating the insert would change nothing.
		"tokens without their rows": {
			func(t *testing.T, b analytics.TestBatch, conn driver.Conn) {
				t.Helper()
				insert("")(t, b, conn)
				for _, table := range []string{"attempts", "deliveries", "receipts", "audit", "slo_minutes", "slo_hours"} {
					execute(t, conn, "ALTER TABLE "+table+" DELETE WHERE 1 SETTINGS mutations_sync = 2")
				}
			},
			func(c analytics.Counts, rolled int) int {
				return int(c.Attempts+c.Deliveries+c.Receipts+c.Audit) + rolled
			},
		},
		// Killed in the middle of an insert: some partitions are there, some are not.
		"some partitions": {
			func(t *testing.T, b analytics.TestBatch, conn driver.Conn) {
				t.Helper()
				insert("")(t, b, conn)
				for i, p := range partitions(t, conn, "attempts") {
					if i%3 == 0 {
						execute(t, conn, "ALTER TABLE attempts DROP PARTITION "+p)
					}
				}
			},
			func(analytics.Counts, int) int { return -1 },
		},
		"some partitions, and tokens without rows": {
			func(t *testing.T, b analytics.TestBatch, conn driver.Conn) {
				t.Helper()
				insert("")(t, b, conn)
				all := partitions(t, conn, "attempts")
				execute(t, conn, "ALTER TABLE attempts DROP PARTITION "+all[0])
				execute(t, conn, "ALTER TABLE attempts DELETE WHERE toYYYYMMDD(started_at) IN ("+strings.Join(all[1:4], ",")+
					") SETTINGS mutations_sync = 2")
			},
			func(analytics.Counts, int) int { return -1 },
		},
		"one table": {
			func(t *testing.T, b analytics.TestBatch, conn driver.Conn) {
				t.Helper()
				insert("")(t, b, conn)
				execute(t, conn, "TRUNCATE TABLE deliveries")
			},
			func(c analytics.Counts, _ int) int { return int(c.Deliveries) },
		},
		"no rollups": {
			func(t *testing.T, b analytics.TestBatch, conn driver.Conn) {
				t.Helper()
				insert("")(t, b, conn)
				execute(t, conn, "TRUNCATE TABLE slo_minutes")
				execute(t, conn, "TRUNCATE TABLE slo_hours")
			},
			func(_ analytics.Counts, rolled int) int { return rolled },
		},
		"one rollup, and the tokens of both": {
			func(t *testing.T, b analytics.TestBatch, conn driver.Conn) {
				t.Helper()
				insert("")(t, b, conn)
				execute(t, conn, "ALTER TABLE slo_hours DELETE WHERE 1 SETTINGS mutations_sync = 2")
			},
			func(_ analytics.Counts, rolled int) int { return rolled },
		},
		"some partitions of a rollup": {
			func(t *testing.T, b analytics.TestBatch, conn driver.Conn) {
				t.Helper()
				insert("")(t, b, conn)
				for i, p := range partitions(t, conn, "slo_minutes") {
					if i%2 == 0 {
						execute(t, conn, "ALTER TABLE slo_minutes DROP PARTITION "+p)
					}
				}
				execute(t, conn, "OPTIMIZE TABLE slo_minutes FINAL")
			},
			func(analytics.Counts, int) int { return -1 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, conn := newStore(t)
			b, records := batchOf(t, store, 6)
			c.leave(t, b, conn)
			n, err := b.Settle(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rolled := 0
			for _, r := range records {
				if d := r.Delivery; d != nil && d.Result != nil && (d.Replay == 0 || d.Result.Outcome == event.Delivered && !d.Died.IsZero()) {
					rolled++
				}
			}
			if want := c.inserted(wanted(records), rolled); want >= 0 && n != want || want < 0 && n == 0 {
				t.Errorf("it inserted %d rows, want %d", n, want)
			}
			exactly(t, conn, wanted(records))
			agree(t, conn)
			if n, err := b.Settle(t.Context()); n != 0 || err != nil {
				t.Errorf("settling again inserted %d rows, %v", n, err)
			}
			exactly(t, conn, wanted(records))
			agree(t, conn)
		})
	}
}

// A recorder that was stopped for long proposes what others recorded long ago: that is refused, since the server
// may have forgotten the tokens by which it would know the rows.
func TestOldProposalIsRefused(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	log := newLog()
	log.append(newSeason().records(0, 20)...)
	entries, err := log.Records(t.Context(), 0, 20, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	first := analytics.NewTestBatch(store, log.epoch, entries[:10])
	next := analytics.NewTestBatch(store, log.epoch, entries[10:])
	for i, b := range []analytics.TestBatch{first, first, next, next} { // again after a lost answer
		if err := b.Propose(t.Context()); err != nil {
			t.Fatalf("proposal %d: %v", i, err)
		}
	}
	if err := first.Propose(t.Context()); !errors.Is(err, analytics.ErrSuperseded) {
		t.Errorf("an old proposal: %v, want ErrSuperseded", err)
	}
}
