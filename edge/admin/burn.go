package admin

import (
	"strconv"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// inTime is how soon deliveries should be there.
func inTime() string { return strconv.Itoa(int(analytics.LatencyLimit/time.Second)) + " s" }

// objectiveName says what is counted.
func objectiveName(o analytics.Objective) string {
	if o == analytics.ForSuccess {
		return "Delivered"
	}
	return "Within " + inTime()
}

// dimensionName says what a dimension's groups are.
func dimensionName(d analytics.Dimension) string {
	switch d {
	case analytics.ByOverall:
		return "Overall"
	case analytics.ByEventType:
		return "Event type"
	}
	return sentence(string(d))
}

// keyName is what to call a group.
func keyName(by analytics.Dimension, key string) string {
	switch {
	case by == analytics.ByOverall:
		return "All deliveries"
	case key == "":
		return "(none)"
	case key == event.Erased:
		return "(erased)"
	}
	return key
}

// budgetPeriod is what error budgets are for.
const budgetPeriod = 30 * 24 * time.Hour

// burnMeans says in plain words what two windows tell of a budget.
func burnMeans(b analytics.Burn) string {
	long, short := b.Long.Rate >= b.Threshold, b.Short.Rate >= b.Threshold
	switch {
	case b.Long.Total == 0:
		return "Nothing ended in that time."
	case b.Burning && b.Severity == analytics.SeverityPage:
		return "It burns: at this rate a month's budget is gone in " + exhausted(b.Long.Rate) + ". Somebody must look now."
	case b.Burning:
		return "It burns slowly: at this rate a month's budget is gone in " + exhausted(b.Long.Rate) + ". Look at it in working hours."
	case long && !short:
		return "It burnt, and that has stopped: nobody is woken any more."
	case short:
		return "It has begun to burn, and not for long enough yet to wake somebody."
	case b.Long.Bad == 0:
		return "Nothing failed."
	case b.Long.Rate <= 1:
		return "Some failed, fewer than the objective allows."
	}
	return "More fail than the budget allows in the long run, and fewer than would wake somebody."
}

// exhausted is how long the budget of 30 days lasts at a rate.
func exhausted(rate float64) string {
	return hours(max(time.Duration(float64(budgetPeriod)/rate), time.Minute))
}

// burnState is the look of a burn.
func burnState(b analytics.Burn) string {
	switch {
	case b.Burning && b.Severity == analytics.SeverityPage:
		return "open"
	case b.Burning:
		return "degraded"
	case b.Long.Total == 0:
		return "idle"
	}
	return "healthy"
}

// burnWord is the same in a word.
func burnWord(b analytics.Burn) string {
	return map[string]string{"open": "Burning", "degraded": "Burning slowly", "idle": "No deliveries", "healthy": "Holds"}[burnState(b)]
}

// words tells a chart to who cannot see it.
func (c *objectiveChart) words() string {
	values := c.chart.Lines[0].Values
	if len(values) == 0 {
		return "Nothing ended in that time."
	}
	values = values[1 : len(values)-1] // see widen
	low := *values[0]
	for _, v := range values {
		low = min(low, *v)
	}
	return objectiveName(c.objective) + ", last " + percent(*values[len(values)-1]/100) + ", lowest " + percent(low/100) + ", objective " + percent(c.objective.Goal())
}
