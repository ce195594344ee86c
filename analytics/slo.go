package analytics

import (
	"context"
	"time"
)

// The objectives.
const (
	SuccessObjective = 0.995           // of the deliveries that were not skipped are delivered
	LatencyObjective = 0.99            // of them are delivered within LatencyLimit
	LatencyLimit     = 5 * time.Second // from accepting the event to the vendor's answer
)

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

// SLOQuery selects deliveries that ended in [Since, Now).
type SLOQuery struct {
	By    Dimension // default ByOverall
	Since time.Time // default 30 days before Now
	Now   time.Time // required
}

// SLOReport says how the objectives are met.
type SLOReport struct {
	By    Dimension `json:"by"`
	Since time.Time `json:"since"`
	Now   time.Time `json:"now"`
	Rows  []SLORow  `json:"rows"` // ordered by key; one with key "" when By is overall
}

// SLORow is one group's standing.
type SLORow struct {
	Key         string  `json:"key"`
	Total       uint64  `json:"total"` // delivered and dead
	Delivered   uint64  `json:"delivered"`
	Dead        uint64  `json:"dead"`
	Skipped     uint64  `json:"skipped"`
	InTime      uint64  `json:"inTime"`      // delivered within LatencyLimit
	SuccessRate float64 `json:"successRate"` // 1 when Total is 0
	InTimeRate  float64 `json:"inTimeRate"`
	BudgetLeft  float64 `json:"budgetLeft"` // of the failures that SuccessObjective allows: 1 none used, 0 all, below 0 overspent
	LatencyLeft float64 `json:"latencyBudgetLeft"`
	SuccessMet  bool    `json:"successMet"`
	LatencyMet  bool    `json:"latencyMet"`
}

// SLO reports on the service level objectives.
func (s *Store) SLO(ctx context.Context, q SLOQuery) (SLOReport, error) {
	return SLOReport{}, errTodo
}
