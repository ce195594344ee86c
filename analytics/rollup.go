package analytics

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/queries"
)

// rollupRows are the ends of deliveries on their way into the rollups, by the table slo_feed.
type rollupRows struct {
	block
	finished                                     *values[time.Time]
	latency                                      *values[int64]
	delivered, dead, inTime, recovered, excluded *values[bool]
	wedding                                      *values[string]
	vendor, category, integration, eventType     *labels
	minutes, hours                               *values[bool] // whether it is to go into each of the rollups
}

func newRollupRows() rollupRows {
	r := rollupRows{
		finished: newValues[time.Time]("finished_at"), latency: newValues[int64]("latency_us"),
		delivered: newValues[bool]("is_delivered"), dead: newValues[bool]("is_dead"),
		inTime: newValues[bool]("is_in_time"), recovered: newValues[bool]("is_recovered"), excluded: newValues[bool]("is_excluded"),
		vendor: newLabels("vendor"), category: newLabels("category"),
		integration: newLabels("integration"), eventType: newLabels("event_type"), wedding: newValues[string]("wedding_id"),
		minutes: newValues[bool]("minutes"), hours: newValues[bool]("hours"),
	}
	r.block = newBlock("slo_feed", r.finished, r.latency, r.delivered, r.dead, r.inTime, r.recovered, r.excluded,
		r.vendor, r.category, r.integration, r.eventType, r.wedding, r.minutes, r.hours)
	return r
}

func (r *rollupRows) add(log logID, at place, d *event.DeliveryRecord) {
	// As the deliveries table has them, whose latency_us is made of these.
	finished, from := instant(d.Result.FinishedAt, d.RoutedAt, d.AcceptedAt), instant(d.CountsFrom())
	latency := time.Duration(finished.UnixMicro()-from.UnixMicro()) * time.Microsecond
	excluded := d.Excluded()
	recovered := d.Replay > 0 && d.Result.Outcome == event.Delivered && !d.Died.IsZero()
	switch {
	case recovered:
		finished = instant(d.Died)
	case excluded == event.ExcludedReplay:
		return
	}
	delivered := excluded == "" && d.Result.Outcome == event.Delivered
	r.addPlace(log, at)
	r.finished.add(finished)
	r.latency.add(latency.Microseconds())
	r.delivered.add(delivered)
	r.dead.add(excluded == "" && d.Result.Outcome == event.Dead)
	r.inTime.add(delivered && latency <= LatencyLimit)
	r.recovered.add(recovered)
	r.excluded.add(excluded != "" && !recovered)
	r.vendor.add(d.Vendor)
	r.category.add(string(d.Category))
	r.integration.add(d.Integration)
	r.eventType.add(d.EventType)
	r.wedding.add(d.WeddingID)
	r.minutes.add(true)
	r.hours.add(true)
}

// settleRollups makes each rollup have each row of a batch once, and returns how many rows were missing in one or
// both. Of the last batch of a log a partition has all or nothing. The rows are used up.
func settleRollups(ctx context.Context, conn driver.Conn, r *rollupRows, of batch) (int, error) {
	missing := -1
	for _, token := range []string{of.name(), of.name() + "-" + uniqueSuffix()} { // as in settle
		days, err := rolledUp(ctx, conn, queries.MinutesHave, of)
		if err != nil {
			return 0, err
		}
		months, err := rolledUp(ctx, conn, queries.HoursHave, of)
		if err != nil {
			return 0, err
		}
		r.want(days, months)
		if missing < 0 {
			missing = r.len()
		}
		if r.len() == 0 {
			break
		}
		if err := insert(ctx, conn, &r.block, of.name(), token); err != nil {
			return 0, err
		}
	}
	return missing, nil
}

// want marks each row for the rollups whose partition of it is not among those that have the batch, and drops what
// both have.
func (r *rollupRows) want(days, months map[uint32]struct{}) {
	marked := make([]bool, r.len())
	for i, at := range r.finished.rows {
		y, m, d := at.UTC().Date()
		month := uint32(y*100 + int(m))
		_, inMinutes := days[month*100+uint32(d)]
		_, inHours := months[month]
		r.minutes.rows[i], r.hours.rows[i] = !inMinutes, !inHours
		marked[i] = !inMinutes || !inHours
	}
	for _, c := range r.columns {
		c.keep(marked)
	}
}

// rolledUp returns the partitions of a rollup that have a batch, the last of its log.
func rolledUp(ctx context.Context, conn driver.Conn, query string, of batch) (map[uint32]struct{}, error) {
	rows, err := conn.Query(with(ctx, clickhouse.Parameters{
		"epoch": of.log.epoch, "generation": number(of.log.generation), "from": number(of.from),
	}), query)
	if err != nil {
		return nil, fmt.Errorf("look what the rollups have: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	have := map[uint32]struct{}{}
	for rows.Next() {
		var partition uint32
		if err := rows.Scan(&partition); err != nil {
			return nil, fmt.Errorf("look what the rollups have: %w", err)
		}
		have[partition] = struct{}{}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look what the rollups have: %w", err)
	}
	return have, nil
}

// rollUpSettings let the rollups be built of any number of deliveries: in blocks as small as a batch, since each takes
// memory for a state of every key.
func rollUpSettings() clickhouse.Settings {
	return clickhouse.Settings{
		"insert_deduplicate": 0, "max_partitions_per_insert_block": 0, "mutations_sync": 2, "alter_sync": 2,
		"max_block_size": maxBatchRecords, "min_insert_block_size_rows": maxBatchRecords, "max_threads": 1,
	}
}

// rollUp builds the rollups anew if an older release, which had none, has recorded since.
func (r *Recorder) rollUp(ctx context.Context) error {
	var unrolled uint64
	if err := r.store.conn.QueryRow(ctx, queries.Unrolled).Scan(&unrolled); err != nil {
		return fmt.Errorf("look for batches that are not in the rollups: %w", err)
	}
	if unrolled == 0 {
		return nil
	}
	r.log.Info().Uint64("batches", unrolled).Msg("building the rollups from what was recorded without them")
	limit := number(uint64(LatencyLimit.Microseconds()))
	for _, statement := range []string{"TRUNCATE TABLE slo_minutes", "TRUNCATE TABLE slo_hours", queries.RollUp, queries.RolledUp} {
		ctx := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"limit": limit}),
			clickhouse.WithSettings(rollUpSettings()))
		if err := r.store.conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("build the rollups: %w", err)
		}
	}
	return nil
}
