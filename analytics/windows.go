package analytics

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/analytics/queries"
)

// minuteWindow is the longest window that is counted by the minute; longer ones are by the hour.
const minuteWindow = 6 * time.Hour

// WindowStart is where a window begins that ends at now: at the full minute at or before, or at the full hour if it
// is longer than six hours. It ends with the minute, or the hour, that now is in.
func WindowStart(now time.Time, window time.Duration) time.Time {
	return now.Add(-window).Truncate(windowStep(window))
}

// windowEnd is where it ends.
func windowEnd(now time.Time, window time.Duration) time.Time {
	step := windowStep(window)
	return now.Truncate(step).Add(step)
}

func windowStep(window time.Duration) time.Duration {
	if window <= minuteWindow {
		return time.Minute
	}
	return time.Hour
}

// windowed is what ended of a group, by window.
type windowed map[time.Duration]Tally

func (w windowed) of(window time.Duration) Tally { return w[window] }

// tallies counts each group's deliveries over windows that end at the query's Now. A group of which nothing ended in any of
// them is not among the groups.
func (s *Store) tallies(ctx context.Context, q SLOQuery, windows []time.Duration) (map[string]windowed, error) {
	short := slices.Clone(windows)
	slices.Sort(short)
	short = slices.Compact(short)
	n, found := slices.BinarySearch(short, minuteWindow)
	if found {
		n++
	}
	groups := map[string]windowed{}
	if err := s.count(ctx, q, queries.ByMinutes, short[:n], groups); err != nil {
		return nil, err
	}
	if err := s.count(ctx, q, queries.ByHours, short[n:], groups); err != nil {
		return nil, err
	}
	return groups, nil
}

// bands is how many windows the queries tell apart.
const bands = 5

// count adds the tallies of at most so many windows, the shortest first, that one rollup knows.
func (s *Store) count(ctx context.Context, q SLOQuery, query string, windows []time.Duration, groups map[string]windowed) error {
	if len(windows) == 0 {
		return nil
	}
	starts := make([]string, bands)
	for i := range starts {
		starts[i] = strconv.Itoa(math.MaxUint32) // nothing is in it
	}
	for i, w := range windows { // the longest begins first
		starts[len(windows)-1-i] = strconv.FormatInt(max(WindowStart(q.Now, w).Unix(), 0), 10)
	}
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{
		"by": string(q.By), "starts": "[" + strings.Join(starts, ",") + "]", "now": strconv.FormatInt(q.Now.Unix(), 10),
		"all": strconv.FormatBool(q.Among == nil), "among": list(q.Among),
	}), query)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err says it
	for rows.Next() {
		var key string
		var band uint8
		var t Tally
		if err := rows.Scan(&key, &band, &t.Delivered, &t.Dead, &t.InTime, &t.Recovered, &t.Excluded); err != nil {
			return err
		}
		t.settle()
		if groups[key] == nil {
			groups[key] = windowed{}
		}
		for _, w := range windows[len(windows)-int(band):] { // band 1 is in the longest only
			sum := groups[key][w]
			sum.Add(t)
			groups[key][w] = sum
		}
	}
	return rows.Err()
}

// settle makes what a rollup has, first ends and recoveries, into what became of deliveries.
func (t *Tally) settle() {
	t.Total = t.Delivered + t.Dead
	t.Recovered = min(t.Recovered, t.Dead) // one that is delivered twice, after a crash, may be told of twice
	t.Delivered, t.Dead = t.Delivered+t.Recovered, t.Dead-t.Recovered
}
