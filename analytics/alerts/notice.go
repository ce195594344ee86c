package alerts

import (
	"fmt"
	"math"
	"time"

	"github.com/wedsync/wedsync/analytics"
)

// The payloads, as people read them: adapters write a line for each field.
type (
	burnStarted struct {
		Vendor    string              `json:"vendor"`
		Severity  analytics.Severity  `json:"severity"`
		Objective analytics.Objective `json:"objective"`
		Goal      string              `json:"goal"`
		Lately    string              `json:"lately"`
		Before    string              `json:"before"`
		BurnRate  float64             `json:"burnRate"` // over the long window
		Threshold float64             `json:"threshold"`
		Since     time.Time           `json:"since"`
		Notes     string              `json:"notes"`
	}
	burnEnded struct {
		Vendor    string              `json:"vendor"`
		Severity  analytics.Severity  `json:"severity"`
		Objective analytics.Objective `json:"objective"`
		Goal      string              `json:"goal"`
		Since     time.Time           `json:"since"`
		Until     time.Time           `json:"until"`
	}
)

func started(a *alert, b analytics.Burn) burnStarted {
	return burnStarted{
		Vendor: a.Vendor, Severity: b.Severity, Objective: a.Objective, Goal: goal(a.Objective),
		Lately: share(a.Objective, b.Short), Before: share(a.Objective, b.Long),
		BurnRate: math.Round(10*b.Long.Rate) / 10, Threshold: b.Threshold, Since: a.Since,
		Notes: fmt.Sprintf("wedsync slo --by=integration says whose deliveries these are, wedsync dead why %s refused them.", a.Vendor),
	}
}

func ended(a *alert) burnEnded {
	return burnEnded{Vendor: a.Vendor, Severity: a.Severity, Objective: a.Objective, Goal: goal(a.Objective), Since: a.Since, Until: a.CalmSince}
}

func goal(o analytics.Objective) string {
	if o == analytics.ForSuccess {
		return fmt.Sprintf("%g %% are delivered", 100*o.Goal())
	}
	return fmt.Sprintf("%g %% are delivered within %s", 100*o.Goal(), analytics.LatencyLimit)
}

func share(o analytics.Objective, w analytics.BurnWindow) string {
	what := "were not delivered"
	if o == analytics.ForLatency {
		what = "were late or not delivered"
	}
	return fmt.Sprintf("%d of %d %s in %s", w.Bad, w.Total, what, short(time.Duration(w.Window)))
}

// short writes a window without the zeros of time.Duration.
func short(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}
