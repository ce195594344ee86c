package analytics

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"

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

// groups is what ended of each group, by window. A group of which nothing ended in any of them is not there.
type groups struct {
	windows []time.Duration // ascending
	mu      sync.Mutex
	tallies map[string][]Tally // each has as many as there are windows
}

// of returns what ended of a group in a window.
func (g *groups) of(key string) func(window time.Duration) Tally {
	in := g.tallies[key]
	return func(window time.Duration) Tally { return in[slices.Index(g.windows, window)] }
}

// add counts what ended in some of the windows.
func (g *groups) add(key string, from, to int, t Tally) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in := g.tallies[key]
	if in == nil {
		in = make([]Tally, len(g.windows))
		g.tallies[key] = in
	}
	for i := from; i < to; i++ {
		in[i].Add(t)
	}
}

// count tells each group's deliveries over windows that end at the query's Now.
func (s *Store) count(ctx context.Context, q SLOQuery, windows []time.Duration) (*groups, error) {
	g := &groups{windows: slices.Clone(windows), tallies: map[string][]Tally{}}
	slices.Sort(g.windows)
	g.windows = slices.Compact(g.windows)
	byHours := len(g.windows)
	for i, w := range g.windows {
		if windowStep(w) == time.Hour {
			byHours = i
			break
		}
	}
	all, asking := errgroup.WithContext(ctx)
	for _, part := range []struct {
		query    string
		from, to int
	}{{queries.ByMinutes, 0, byHours}, {queries.ByHours, byHours, len(g.windows)}, {queries.ByDays, byHours, len(g.windows)}} {
		if part.from < part.to {
			all.Go(func() error { return s.countPart(asking, q, part.query, g, part.from, part.to) })
		}
	}
	return g, all.Wait()
}

// bands is how many windows the queries tell apart.
const bands = 5

// countPart adds to at most so many windows what one query knows.
func (s *Store) countPart(ctx context.Context, q SLOQuery, query string, g *groups, from, to int) error {
	starts, days := make([]string, bands), make([]string, bands)
	for i := range bands { // the longest begins first
		start := time.Unix(math.MaxUint32, 0) // nothing is in it
		if i < to-from {
			start = instant(WindowStart(q.Now, g.windows[to-1-i]))
		}
		starts[i], days[i] = seconds(start), start.UTC().Format(time.DateOnly)
	}
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{
		"by": string(q.By), "starts": "[" + strings.Join(starts, ",") + "]", "now": seconds(q.Now),
		"days": list(days), "edges": list(slices.Concat(days, []string{q.Now.UTC().Format(time.DateOnly)})),
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
		g.add(key, to-int(band), to, t) // band 1 is in the longest only
	}
	return rows.Err()
}

// settle makes what a rollup has, first ends and recoveries, into what became of deliveries.
func (t *Tally) settle() {
	t.Total = t.Delivered + t.Dead
	t.Recovered = min(t.Recovered, t.Dead) // one that is delivered twice, after a crash, may be told of twice
	t.Delivered, t.Dead = t.Delivered+t.Recovered, t.Dead-t.Recovered
}
