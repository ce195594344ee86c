package load

import (
	"fmt"
	"math"
	"strings"

	"github.com/wedsync/wedsync/analytics"
)

// Held reports whether the success objective held.
func (rep *Report) Held() bool { return rep.Deliveries.Success >= analytics.SuccessObjective }

// percent is never rounded up: what is not all is not 100 %.
func percent(share float64) string {
	return fmt.Sprintf("%.3f %%", math.Floor(1e5*share+1e-6)/1e3)
}

// Summary says in a sentence whether the success objective held.
func (rep *Report) Summary() string {
	held := "held"
	if !rep.Held() {
		held = "did not hold"
	}
	d := rep.Deliveries
	return fmt.Sprintf("The %g %% %s: %s of %d deliveries arrived, %.1f %% within %.0f s of the intended time.",
		100*analytics.SuccessObjective, held, percent(d.Success), d.Due, inTime(rep), analytics.LatencyLimit.Seconds())
}

// How says what the nodes had to get over.
func (rep *Report) How() string {
	var open, waiting, longest float64
	for i := range rep.Series.Seconds {
		var o, w float64
		for _, v := range rep.Series.Vendors {
			o, w = o+v.Open[i], w+v.Waiting[i]
		}
		open, waiting = max(open, o), max(waiting, w)
	}
	for _, q := range rep.Vendors {
		longest = max(longest, q.Max)
	}
	said := []string{fmt.Sprintf("Vendors did not take %d of %d calls. Up to %.0f breakers were open at once and up to %.0f deliveries waited; of those that arrived the longest took %.1f s.",
		rep.Deliveries.Refused, rep.Deliveries.Calls, open, waiting, longest/1000)}
	for _, death := range rep.Deaths {
		back := fmt.Sprintf("back after %.1f s", death.Back)
		if death.Back < 0 {
			back = "never all came back"
		}
		said = append(said, fmt.Sprintf("%d clients were cut off at %s, and %s.", death.Clients, death.Node, back))
	}
	return strings.Join(said, " ")
}

// Missed names the thresholds that were not met; "": all were.
func (rep *Report) Missed() string {
	var missed []string
	for _, v := range rep.Verdicts {
		if !v.Met {
			missed = append(missed, fmt.Sprintf("%s (%s, wanted %s)", v.What, v.Got, v.Want))
		}
	}
	return strings.Join(missed, "; ")
}
