package analytics

import (
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// The objectives, over the deliveries that count: see event.DeliveryRecord.Excluded and docs/slo.md.
const (
	SuccessObjective = 0.995           // are delivered
	LatencyObjective = 0.99            // are delivered within LatencyLimit
	LatencyLimit     = 5 * time.Second // from accepting the event to the vendor's answer
)

// Objective names one of the objectives.
type Objective string

// The objectives.
const (
	ForSuccess Objective = "success"
	ForLatency Objective = "latency"
)

// Tally counts deliveries. Each counts once, at the time of its first end.
type Tally struct {
	Total     uint64 `json:"total"` // delivered and dead
	Delivered uint64 `json:"delivered"`
	Dead      uint64 `json:"dead"`
	InTime    uint64 `json:"inTime"`    // delivered within LatencyLimit
	Recovered uint64 `json:"recovered"` // of Delivered: died first, and a replay delivered them
	Excluded  uint64 `json:"excluded"`  // not in Total
}

// Add counts more.
func (t *Tally) Add(more Tally) {
	t.Total += more.Total
	t.Delivered += more.Delivered
	t.Dead += more.Dead
	t.InTime += more.InTime
	t.Recovered += more.Recovered
	t.Excluded += more.Excluded
}

// Bad is how many count against an objective: whoever is dead misses both.
func (t Tally) Bad(o Objective) uint64 {
	if o == ForSuccess {
		return t.Total - t.Delivered
	}
	return t.Total - t.InTime
}

// Goal is the share of deliveries that an objective asks for.
func (o Objective) Goal() float64 {
	if o == ForSuccess {
		return SuccessObjective
	}
	return LatencyObjective
}

// Budget is the share that may fail.
func (o Objective) Budget() float64 {
	if o == ForSuccess {
		return 1 - SuccessObjective // a constant, so exact
	}
	return 1 - LatencyObjective
}

// SLI is a rate against its objective.
type SLI struct {
	Rate       float64 `json:"rate"` // 1 where nothing counts
	Objective  float64 `json:"objective"`
	Met        bool    `json:"met"`
	BudgetLeft float64 `json:"budgetLeft"` // of the failures that the objective allows: 1 none used, 0 all, below 0 overspent
}

// NewSLI computes the rate of an objective, and what it leaves of the error budget.
func NewSLI(o Objective, t Tally) SLI {
	s := SLI{Rate: 1, Objective: o.Goal(), BudgetLeft: 1}
	if bad := t.Bad(o); t.Total > 0 {
		s.Rate = float64(t.Total-bad) / float64(t.Total)
		s.BudgetLeft = 1 - float64(bad)/(o.Budget()*float64(t.Total))
	}
	s.Met = s.Rate >= s.Objective
	return s
}

// Severity is how soon somebody should look at a budget that burns.
type Severity string

// The severities.
const (
	SeverityPage   Severity = "page"   // now
	SeverityTicket Severity = "ticket" // in working hours
)

// BurnPair is two windows, and the rate at which a budget burns: over the long one, so that it matters, and over
// the short one, so that it still goes on.
type BurnPair struct {
	Short, Long time.Duration
	Threshold   float64
	Severity    Severity
}

// BurnPairs returns the pairs of windows, the fastest first. They and their thresholds are of the Google SRE
// workbook, chapter 5, table 5-8: 2 % of the budget of 30 days in an hour, 5 % in six, 10 % in three days.
func BurnPairs() []BurnPair {
	return []BurnPair{
		{5 * time.Minute, time.Hour, 14.4, SeverityPage},
		{30 * time.Minute, 6 * time.Hour, 6, SeverityPage},
		{6 * time.Hour, 72 * time.Hour, 1, SeverityTicket},
	}
}

// Burn is how fast an objective's budget is spent, over one of BurnPairs.
type Burn struct {
	Objective Objective  `json:"objective"`
	Severity  Severity   `json:"severity"`
	Threshold float64    `json:"threshold"`
	Short     BurnWindow `json:"short"`
	Long      BurnWindow `json:"long"`
	Burning   bool       `json:"burning"` // both rates have reached the threshold
}

// BurnWindow is how fast a budget was spent in the window that ends now: at rate 1 it lasts exactly the
// period that the objective is for.
type BurnWindow struct {
	Window event.Duration `json:"window"`
	Total  uint64         `json:"total"`
	Bad    uint64         `json:"bad"`
	Rate   float64        `json:"rate"` // 0 where nothing counts
}

// NewBurns computes the burn of both objectives over all pairs, from what ended in each of their windows.
func NewBurns(in func(window time.Duration) Tally) []Burn {
	var all []Burn
	for _, o := range []Objective{ForSuccess, ForLatency} {
		for _, p := range BurnPairs() {
			all = append(all, NewBurn(o, p, in))
		}
	}
	return all
}

// NewBurn computes the burn of one objective over one pair.
func NewBurn(o Objective, p BurnPair, in func(window time.Duration) Tally) Burn {
	b := Burn{
		Objective: o, Severity: p.Severity, Threshold: p.Threshold,
		Short: newBurnWindow(o, p.Short, in(p.Short)), Long: newBurnWindow(o, p.Long, in(p.Long)),
	}
	b.Burning = b.Short.Rate >= p.Threshold && b.Long.Rate >= p.Threshold
	return b
}

func newBurnWindow(o Objective, window time.Duration, t Tally) BurnWindow {
	b := BurnWindow{Window: event.Duration(window), Total: t.Total, Bad: t.Bad(o)}
	if b.Total > 0 {
		b.Rate = float64(b.Bad) / float64(b.Total) / o.Budget()
	}
	return b
}
