package analytics

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/analytics/queries"
)

// insertContext carries what every insert of the recorder needs: a token by which a repetition is
// known, and no limits that a batch from a strange clock could run into.
func insertContext(ctx context.Context, id, token string) context.Context {
	return clickhouse.Context(ctx,
		clickhouse.WithQueryID(id+"-"+uniqueSuffix()), // the server refuses an id that is in use
		clickhouse.WithSettings(clickhouse.Settings{
			"insert_deduplicate":              1,
			"insert_deduplication_token":      token,
			"async_insert":                    0,
			"max_partitions_per_insert_block": 0,
		}))
}

func uniqueSuffix() string { return rand.Text()[:12] }

// insert sends the block, all in one insert, so that each partition of it is there whole or not at all.
func insert(ctx context.Context, conn driver.Conn, b *block, id, token string) error {
	headers := make([]string, len(b.columns))
	for i, c := range b.columns {
		headers[i] = c.header()
	}
	out, err := conn.PrepareBatch(insertContext(ctx, id, token),
		"INSERT INTO "+b.table+" ("+strings.Join(headers, ", ")+")")
	if err != nil {
		return fmt.Errorf("insert into %s: %w", b.table, err)
	}
	defer out.Close() //nolint:errcheck // Send says it
	for i, c := range b.columns {
		if err := c.send(out.Column(i)); err != nil {
			return fmt.Errorf("insert into %s: column %s: %w", b.table, c.header(), err)
		}
	}
	if err := out.Send(); err != nil {
		return fmt.Errorf("insert into %s: %w", b.table, err)
	}
	return nil
}

// settle makes the table have each row of the block once, whatever became of earlier inserts of the
// batch. It returns how many were missing. The block is used up.
func settle(ctx context.Context, conn driver.Conn, b *block, of batch) (int, error) {
	missing := -1
	for _, token := range []string{of.name(), of.name() + "-" + uniqueSuffix()} {
		present, err := presentRows(ctx, conn, b.table, of)
		if err != nil {
			return 0, err
		}
		b.without(present)
		if missing < 0 {
			missing = b.len()
		}
		if b.len() == 0 {
			break
		}
		// The batch's own token first: if an insert of it is still under way, only one of them counts.
		// The token may also be there without its rows (see doc.go), hence another afterwards.
		if err := insert(ctx, conn, b, of.name(), token); err != nil {
			return 0, err
		}
	}
	return missing, nil
}

func presentRows(ctx context.Context, conn driver.Conn, table string, of batch) (map[place]struct{}, error) {
	rows, err := conn.Query(with(ctx, clickhouse.Parameters{
		"table": table, "epoch": of.log.epoch, "generation": number(of.log.generation),
		"from": number(of.from), "to": number(of.to),
	}), queries.Present)
	if err != nil {
		return nil, fmt.Errorf("look what %s has: %w", table, err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	present := map[place]struct{}{}
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.seq, &p.pos); err != nil {
			return nil, fmt.Errorf("look what %s has: %w", table, err)
		}
		present[p] = struct{}{}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look what %s has: %w", table, err)
	}
	return present, nil
}

// awaitInserts waits until the server is done with inserts that a lost connection left behind.
func awaitInserts(ctx context.Context, conn driver.Conn, log logID) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var running uint64
		err := conn.QueryRow(with(ctx, clickhouse.Parameters{"prefix": log.prefix()}), queries.Running).Scan(&running)
		if err != nil {
			return fmt.Errorf("look for running inserts: %w", err)
		}
		if running == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d earlier inserts are still running: %w", running, ctx.Err())
		}
	}
}
