package analytics

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/queries"
)

// SLOSeries says how one group did over time.
type SLOSeries struct {
	By     Dimension      `json:"by"`
	Key    string         `json:"key"`
	Since  time.Time      `json:"since"`
	Now    time.Time      `json:"now"`
	Step   event.Duration `json:"step"` // from one point to the next
	Points []SLOPoint     `json:"points" nullable:"false"`
}

// SLOPoint is what ended in the step that begins then. Steps in which nothing ended are not there.
type SLOPoint struct {
	At time.Time `json:"at"`
	Tally
}

// maxPoints is how many steps of a rollup a series shows at most; above, several are added up.
const maxPoints = 200

// seriesStep is a minute or an hour, as the window is counted, or as many as it takes.
func seriesStep(window time.Duration) time.Duration {
	step := windowStep(window)
	for _, times := range []int{1, 6, 24} {
		if several := time.Duration(times) * step; window <= maxPoints*several {
			return several
		}
	}
	return 7 * 24 * step
}

// Series tells how a key of the query's dimension did since Since; by ByOverall there is one, "".
func (s *Store) Series(ctx context.Context, q SLOQuery, key string) (SLOSeries, error) {
	q = q.WithDefaults()
	if err := q.Validate(); err != nil {
		return SLOSeries{}, err
	}
	window := q.Now.Sub(q.Since)
	out := SLOSeries{By: q.By, Key: key, Since: WindowStart(q.Now, window), Now: q.Now, Step: event.Duration(seriesStep(window)), Points: []SLOPoint{}}
	query := queries.SeriesMinutes
	if windowStep(window) == time.Hour {
		query = queries.SeriesHours
	}
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{
		"by": string(q.By), "key": param(key), "step": strconv.Itoa(int(time.Duration(out.Step) / time.Second)),
		"start": seconds(out.Since), "now": seconds(q.Now),
	}), query)
	if err != nil {
		return SLOSeries{}, fmt.Errorf("SLO over time: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	for rows.Next() {
		var at uint32
		var t Tally
		if err := rows.Scan(&at, &t.Delivered, &t.Dead, &t.InTime, &t.Recovered, &t.Excluded); err != nil {
			return SLOSeries{}, fmt.Errorf("SLO over time: %w", err)
		}
		t.settle()
		out.Points = append(out.Points, SLOPoint{time.Unix(int64(at), 0).UTC(), t})
	}
	if err := rows.Err(); err != nil {
		return SLOSeries{}, fmt.Errorf("SLO over time: %w", err)
	}
	return out, nil
}
