package analytics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/actors/event"
)

// DefaultSLOPeriod is how far back an SLO report looks where it is not said.
const DefaultSLOPeriod = 30 * 24 * time.Hour

// SLOWindows returns the windows of a report, all ending at its Now.
func SLOWindows() []time.Duration {
	return []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}
}

// Dimension is what an SLO report is broken down by.
type Dimension string

// The dimensions.
const (
	ByOverall     Dimension = "overall"
	ByVendor      Dimension = "vendor"
	ByCategory    Dimension = "category"
	ByIntegration Dimension = "integration"
	ByEventType   Dimension = "event_type"
	ByWedding     Dimension = "wedding"
)

// Dimensions returns all of them.
func Dimensions() []Dimension {
	return []Dimension{ByOverall, ByVendor, ByCategory, ByIntegration, ByEventType, ByWedding}
}

// SLOQuery selects deliveries that ended between Since and Now. Both count as whole minutes or hours, as WindowStart
// says, so that the rollups answer.
type SLOQuery struct {
	By    Dimension // default ByOverall
	Since time.Time // default DefaultSLOPeriod before Now
	Now   time.Time // required
	Among []string  // only these integrations, by integration; nil: all
}

// WithDefaults returns the query with its zero fields filled in.
func (q SLOQuery) WithDefaults() SLOQuery {
	if q.By == "" {
		q.By = ByOverall
	}
	if q.Since.IsZero() {
		q.Since = q.Now.Add(-DefaultSLOPeriod)
	}
	return q
}

// Validate returns an error that names what is wrong.
func (q SLOQuery) Validate() error {
	switch {
	case !slices.Contains(Dimensions(), q.By):
		names := make([]string, 0, len(Dimensions()))
		for _, d := range Dimensions() {
			names = append(names, string(d))
		}
		return fmt.Errorf("SLO by %.40q: use one of %s", q.By, strings.Join(names, ", "))
	case q.Now.IsZero():
		return errors.New("SLO: Now is not set")
	case q.Among != nil && q.By != ByIntegration:
		return fmt.Errorf("SLO by %s of some integrations: ask by %s", q.By, ByIntegration)
	case !q.Since.Before(q.Now):
		return fmt.Errorf("SLO since %s: it must be before %s", q.Since.Format(time.RFC3339), q.Now.Format(time.RFC3339))
	}
	return nil
}

// Origin is where the numbers of a report come from.
type Origin string

// The origins.
const (
	Recorded Origin = "recorded" // ClickHouse
	Live     Origin = "live"     // the nodes' memory: of an hour at most, and not exact over restarts
)

// SLOReport says how the objectives are met.
type SLOReport struct {
	Source Origin    `json:"source" enum:"recorded,live"`
	Why    string    `json:"why,omitempty"`    // of Live: why they are not Recorded
	Silent []string  `json:"silent,omitempty"` // of Live: nodes that did not answer, whose numbers are missing
	By     Dimension `json:"by"`
	Since  time.Time `json:"since"` // the full minute or hour from which it counts; of Live no more than an hour ago
	Now    time.Time `json:"now"`
	Rows   []SLORow  `json:"rows" nullable:"false"` // ordered by Key; by overall one at most, with Key ""
	Burnt  Burnt     `json:"burnt"`                 // what spent the budget for failures since Since; of Live nothing is known
}

// Standing is what ended, against the objectives.
type Standing struct {
	Tally
	Success SLI `json:"success"` // Delivered of Total against SuccessObjective
	Latency SLI `json:"latency"` // InTime of Total against LatencyObjective
}

// NewStanding holds what ended against the objectives.
func NewStanding(t Tally) Standing {
	return Standing{t, NewSLI(ForSuccess, t), NewSLI(ForLatency, t)}
}

// SLORow is how one group stands since the report's Since.
type SLORow struct {
	Key string `json:"key"`
	Standing
	Windows []SLOWindow `json:"windows" nullable:"false"` // one of each of SLOWindows; of Live those of an hour at most
	Burn    []Burn      `json:"burn" nullable:"false"`    // of both objectives over each of BurnPairs; likewise
}

// SLOWindow is how a group stands in the window that ends at Now.
type SLOWindow struct {
	Window event.Duration `json:"window"`
	Standing
}

// SLO computes a report. It counts what was recorded; that lags behind by a second or two.
func (s *Store) SLO(ctx context.Context, q SLOQuery) (SLOReport, error) {
	q = q.WithDefaults()
	if err := q.Validate(); err != nil {
		return SLOReport{}, err
	}
	period := q.Now.Sub(q.Since)
	report := SLOReport{Source: Recorded, By: q.By, Since: WindowStart(q.Now, period), Now: q.Now, Rows: []SLORow{}}
	var g *groups
	all, asking := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		g, err = s.count(asking, q, append(burnWindows(), append(SLOWindows(), period)...))
		return err
	})
	all.Go(func() (err error) {
		report.Burnt, err = s.burnt(asking, q)
		return err
	})
	if err := all.Wait(); err != nil {
		return SLOReport{}, fmt.Errorf("SLO: %w", err)
	}
	dead := uint64(0)
	for _, key := range slices.Sorted(maps.Keys(g.tallies)) {
		in := g.of(key)
		if in(period) == (Tally{}) {
			continue
		}
		row := SLORow{Key: key, Standing: NewStanding(in(period)), Burn: NewBurns(in)}
		for _, w := range SLOWindows() {
			row.Windows = append(row.Windows, SLOWindow{event.Duration(w), NewStanding(in(w))})
		}
		report.Rows = append(report.Rows, row)
		dead += row.Dead
	}
	report.Burnt.share(dead)
	return report, nil
}

// BurnRow is how fast one group spends its budgets.
type BurnRow struct {
	Key  string `json:"key"`
	Burn []Burn `json:"burn" nullable:"false"` // of both objectives over each of BurnPairs
}

// Burn tells how fast each group spends its budgets, ordered by key: those of which anything ended in the last
// three days. It asks the rollups alone; Since does not matter.
func (s *Store) Burn(ctx context.Context, q SLOQuery) ([]BurnRow, error) {
	q = q.WithDefaults()
	if err := q.Validate(); err != nil {
		return nil, err
	}
	g, err := s.count(ctx, q, burnWindows())
	if err != nil {
		return nil, fmt.Errorf("burn: %w", err)
	}
	var rows []BurnRow
	for _, key := range slices.Sorted(maps.Keys(g.tallies)) {
		rows = append(rows, BurnRow{key, NewBurns(g.of(key))})
	}
	return rows, nil
}

func burnWindows() []time.Duration {
	var all []time.Duration
	for _, p := range BurnPairs() {
		all = append(all, p.Short, p.Long)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
