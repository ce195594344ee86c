package analytics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/queries"
)

// The objectives, over the deliveries that ended as delivered or dead. Skipped ones do not count.
const (
	SuccessObjective = 0.995           // are delivered
	LatencyObjective = 0.99            // are delivered within LatencyLimit
	LatencyLimit     = 5 * time.Second // from accepting the event to the vendor's answer
)

// DefaultSLOPeriod is how far back an SLO report looks where it is not said.
const DefaultSLOPeriod = 30 * 24 * time.Hour

// BurnWindows returns the windows of the burn rates, all ending at the report's Now.
func BurnWindows() []time.Duration {
	return []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 72 * time.Hour}
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

// SLOQuery selects deliveries that ended in [Since, Now).
type SLOQuery struct {
	By    Dimension // default ByOverall
	Since time.Time // default DefaultSLOPeriod before Now
	Now   time.Time // required
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
	case !q.Since.Before(q.Now):
		return fmt.Errorf("SLO since %s: it must be before %s", q.Since.Format(time.RFC3339), q.Now.Format(time.RFC3339))
	}
	return nil
}

// SLOReport says how the objectives are met.
type SLOReport struct {
	By    Dimension `json:"by"`
	Since time.Time `json:"since"`
	Now   time.Time `json:"now"`
	Rows  []SLORow  `json:"rows"` // ordered by Key; by overall one at most, with Key ""
}

// SLORow is how one group stands. Rates are 1 where nothing counts.
type SLORow struct {
	Key       string `json:"key"`
	Total     uint64 `json:"total"` // delivered and dead
	Delivered uint64 `json:"delivered"`
	Dead      uint64 `json:"dead"`
	Skipped   uint64 `json:"skipped"`
	InTime    uint64 `json:"inTime"` // delivered within LatencyLimit

	Success SLI `json:"success"` // Delivered of Total against SuccessObjective
	Latency SLI `json:"latency"` // InTime of Total against LatencyObjective

	Burn []Burn `json:"burn"` // one of each of BurnWindows
}

// SLI is a rate against its objective.
type SLI struct {
	Rate       float64 `json:"rate"`
	Objective  float64 `json:"objective"`
	Met        bool    `json:"met"`
	BudgetLeft float64 `json:"budgetLeft"` // of the failures that the objective allows: 1 none used, 0 all, below 0 overspent
}

// NewSLI computes a rate and what it leaves of the error budget.
func NewSLI(good, total uint64, objective float64) SLI {
	s := SLI{Rate: 1, Objective: objective, BudgetLeft: 1}
	if total > 0 {
		s.Rate = float64(good) / float64(total)
		s.BudgetLeft = 1 - float64(total-good)/((1-objective)*float64(total))
	}
	s.Met = s.Rate >= objective
	return s
}

// Burn is how fast the budget for failed deliveries was spent in the window that ends at Now: at rate
// 1 it lasts exactly the period that the objective is for.
type Burn struct {
	Window event.Duration `json:"window"`
	Total  uint64         `json:"total"`
	Dead   uint64         `json:"dead"`
	Rate   float64        `json:"rate"` // 0 where nothing counts
}

// SLO reports on the objectives.
func (s *Store) SLO(ctx context.Context, q SLOQuery) (SLOReport, error) {
	q = q.WithDefaults()
	if err := q.Validate(); err != nil {
		return SLOReport{}, err
	}
	windows := BurnWindows()
	from := q.Since
	widths := make([]string, len(windows))
	for i, w := range windows {
		widths[i] = strconv.FormatInt(w.Microseconds(), 10)
		if start := q.Now.Add(-w); start.Before(from) {
			from = start
		}
	}
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{
		"by": string(q.By), "since": micros(q.Since), "from": micros(from), "now": micros(q.Now),
		"limit": strconv.FormatInt(LatencyLimit.Microseconds(), 10), "windows": "[" + strings.Join(widths, ",") + "]",
	}), queries.SLO)
	if err != nil {
		return SLOReport{}, fmt.Errorf("SLO: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	report := SLOReport{By: q.By, Since: q.Since, Now: q.Now, Rows: []SLORow{}}
	for rows.Next() {
		var r SLORow
		var totals, deads []uint64
		if err := rows.Scan(&r.Key, &r.Delivered, &r.Dead, &r.Skipped, &r.InTime, &totals, &deads); err != nil {
			return SLOReport{}, fmt.Errorf("SLO: %w", err)
		}
		r.Total = r.Delivered + r.Dead
		r.Success = NewSLI(r.Delivered, r.Total, SuccessObjective)
		r.Latency = NewSLI(r.InTime, r.Total, LatencyObjective)
		for i, w := range windows {
			b := Burn{Window: event.Duration(w), Total: totals[i], Dead: deads[i]}
			if b.Total > 0 {
				b.Rate = float64(b.Dead) / float64(b.Total) / (1 - SuccessObjective)
			}
			r.Burn = append(r.Burn, b)
		}
		report.Rows = append(report.Rows, r)
	}
	if err := rows.Err(); err != nil {
		return SLOReport{}, fmt.Errorf("SLO: %w", err)
	}
	return report, nil
}
