// Package queries holds the questions that analytics asks of ClickHouse, each a file that an analyst
// can read and run: clickhouse-client --param_since=0 --queries-file summary.sql.
package queries

import _ "embed"

// The queries, each with the named parameters that its text says.
var (
	//go:embed summary.sql
	Summary string
	//go:embed by_minutes.sql
	ByMinutes string
	//go:embed by_hours.sql
	ByHours string
	//go:embed by_days.sql
	ByDays string
	//go:embed series_minutes.sql
	SeriesMinutes string
	//go:embed series_hours.sql
	SeriesHours string
	//go:embed burnt.sql
	Burnt string
	//go:embed lock_age.sql
	LockAge string
	//go:embed tables.sql
	Tables string
	//go:embed minutes_have.sql
	MinutesHave string
	//go:embed hours_have.sql
	HoursHave string
	//go:embed unrolled.sql
	Unrolled string
	//go:embed roll_up.sql
	RollUp string
	//go:embed rolled_up.sql
	RolledUp string
	//go:embed attempts.sql
	Attempts string
	//go:embed receipts.sql
	Receipts string
	//go:embed audit.sql
	Audit string
	//go:embed deliveries.sql
	Deliveries string
	//go:embed erase_attempts.sql
	EraseAttempts string
	//go:embed erase_deliveries.sql
	EraseDeliveries string
	//go:embed erase_receipts.sql
	EraseReceipts string
	//go:embed erase_minutes.sql
	EraseMinutes string
	//go:embed erase_hours.sql
	EraseHours string
	//go:embed identified.sql
	Identified string
	//go:embed counts.sql
	Counts string
	//go:embed last_batch.sql
	LastBatch string
	//go:embed batches_within.sql
	BatchesWithin string
	//go:embed settled.sql
	Settled string
	//go:embed present.sql
	Present string
	//go:embed running.sql
	Running string
)
