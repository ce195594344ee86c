package admin

import (
	"time"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/problem"
)

// lastMinutes is what "now" means: the minute that goes on and the four before.
const lastMinutes = 5

// pace is how deliveries go now, over all that the visitor reaches.
type pace struct {
	perSecond float64
	success   analytics.SLI
	total     uint64
	silent    []string // nodes whose numbers are missing
	wrong     string   // why there are none
}

// pace is as of a second ago, from the nodes' memory.
func (v *visit) pace() pace {
	p, err := v.admin.paces.of(v, liveEvery, findPace)
	if err != nil {
		return pace{wrong: problem.Of(err).Detail}
	}
	return p
}

// byReach is what the visitor's numbers can be broken down by: who is bound to an owner sees integrations alone.
func (v *visit) byReach() analytics.Dimension {
	if v.Caller().Bound() {
		return analytics.ByIntegration
	}
	return analytics.ByOverall
}

func findPace(v *visit) (pace, error) {
	report, err := v.Live(v.Context(), v.byReach(), "", lastMinutes, false)
	if err != nil {
		return pace{}, err
	}
	p := pace{silent: report.Silent}
	var sum analytics.Tally
	for _, r := range report.Rows {
		sum.Add(r.Tally)
	}
	p.total, p.success = sum.Total, analytics.NewSLI(analytics.ForSuccess, sum)
	switch {
	case report.Pace != nil:
		p.perSecond = report.Pace.DeliveriesPerSecond
	case report.Now.After(report.Since):
		p.perSecond = float64(p.total) / max(report.Now.Sub(report.Since).Seconds(), 1)
	}
	return p, nil
}

// budget is what is left of the error budgets, and how fast they burn.
type budget struct {
	success, latency analytics.SLI
	total            uint64
	burn             []analytics.Burn // nil where the visitor sees some integrations alone
	live             bool             // of the last hour, from the nodes' memory
	wrong            string           // why there are no numbers, or these alone
}

// budgetEvery is how often ClickHouse is asked.
const budgetEvery = 10 * time.Second

func (v *visit) budget() *budget {
	b, err := v.admin.slos.of(v, budgetEvery, findBudget)
	if err != nil {
		return &budget{wrong: problem.Of(err).Detail}
	}
	return b
}

func findBudget(v *visit) (*budget, error) {
	report, err := v.SLO(v.Context(), v.byReach(), "")
	if err != nil {
		return nil, err
	}
	var sum analytics.Tally
	b := &budget{live: report.Source == analytics.Live, wrong: report.Why}
	for _, r := range report.Rows {
		sum.Add(r.Tally)
		if report.By == analytics.ByOverall {
			b.burn = r.Burn
		}
	}
	b.total = sum.Total
	b.success, b.latency = analytics.NewSLI(analytics.ForSuccess, sum), analytics.NewSLI(analytics.ForLatency, sum)
	return b, nil
}

// worst returns the burn that says most: the first that burns, else the fastest.
func (b *budget) worst() (worst analytics.Burn) {
	for i, one := range b.burn {
		if i == 0 || one.Burning && !worst.Burning || one.Burning == worst.Burning && one.Long.Rate > worst.Long.Rate {
			worst = one
		}
	}
	return worst
}

// budgetText is what is left of a budget, or how many times it is spent.
func budgetText(left float64) string {
	if left < 0 {
		return rate(1-left) + " × spent"
	}
	return percent(left)
}

// tone says how a budget is: "good", "warn" or "bad".
func tone(left float64) string {
	switch {
	case left <= 0:
		return "bad"
	case left < 0.25:
		return "warn"
	}
	return "good"
}
