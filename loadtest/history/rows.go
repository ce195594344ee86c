package history

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/loadtest/checker"
)

// Open opens a connection to a ClickHouse.
func Open(dsn string) (driver.Conn, error) {
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return clickhouse.Open(options)
}

// Rows returns what ClickHouse has of each channel's deliveries. An attempt is told from others by who made it when.
func Rows(ctx context.Context, conn driver.Conn) (map[string][]checker.Row, error) {
	rows, err := conn.Query(ctx, `
		SELECT channel, delivery_id, countIf(ended), uniqExactIf((node, replay, number, started_at), NOT ended) AS different, countIf(NOT ended) - different
		FROM (
			SELECT channel, delivery_id, true AS ended, node, replay, toUInt16(0) AS number, finished_at AS started_at FROM deliveries
			UNION ALL
			SELECT channel, delivery_id, false AS ended, node, replay, number, started_at FROM attempts
		) GROUP BY channel, delivery_id`)
	if err != nil {
		return nil, fmt.Errorf("reading ClickHouse: %w", err)
	}
	defer func() { _ = rows.Close() }()
	found := map[string][]checker.Row{}
	for rows.Next() {
		var channel, id string
		var deliveries, attempts uint64
		var doubled int64
		if err := rows.Scan(&channel, &id, &deliveries, &attempts, &doubled); err != nil {
			return nil, fmt.Errorf("reading ClickHouse: %w", err)
		}
		found[channel] = append(found[channel], checker.Row{
			DeliveryID: id, Deliveries: int(deliveries), Attempts: int(attempts), Doubled: int(doubled), // #nosec G115 -- few
		})
	}
	return found, rows.Err()
}
