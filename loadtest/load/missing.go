package load

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/checker"
)

// Missing is what an integration was due of accepted events, and its vendor did not take.
type Missing struct {
	Integration string `json:"integration"`
	Vendor      string `json:"vendor"`
	Waiting     int    `json:"waiting"` // deliveries that had not ended when the run did
	Dead        int    `json:"dead"`
	Why         string `json:"why"`
}

// maxMissing bounds how many integrations a report tells of, those that miss the most.
const maxMissing = 20

// missing tells which deliveries did not arrive, and what the nodes say why.
func (r *run) missing(ctx context.Context) []Missing {
	found, reasons := r.truth.missing()
	for i := range found {
		m := &found[i]
		if m.Waiting == 0 {
			m.Why = strings.Join(reasons[m.Integration], ", ")
			continue
		}
		var h event.Health
		if err := r.nodes[0].api.Call(ctx, http.MethodGet, "/api/integrations/"+m.Integration+"/health", nil, &h); err != nil {
			m.Why = err.Error()
			continue
		}
		is := "it is " + string(h.State)
		if h.State == event.Open {
			is = "its breaker is open"
		}
		m.Why = is + "; last error: " + cmp.Or(h.LastError, "none")
	}
	return found
}

// missing tells which integrations miss the most, and why their deliveries died.
func (t *truth) missing() (found []Missing, reasons map[string][]string) {
	taken := map[string]bool{}
	for _, one := range t.calls {
		taken[one.receipt.DeliveryID] = taken[one.receipt.DeliveryID] || one.taken
	}
	all := map[string]*Missing{}
	reasons = map[string][]string{}
	for i, op := range t.ops {
		if op.Outcome != checker.Accepted {
			continue
		}
		a := &t.plan.arrivals[t.of[i]]
		for _, to := range a.to {
			id := event.DeliveryID(a.channel, a.id, to)
			if taken[id] {
				continue
			}
			if all[to] == nil {
				all[to] = &Missing{Integration: to, Vendor: t.byDelivery[id].vendor}
			}
			died, dead := t.ends[id]
			if !dead {
				all[to].Waiting++
				continue
			}
			all[to].Dead++
			if !slices.Contains(reasons[to], died.why) {
				reasons[to] = append(reasons[to], died.why)
			}
		}
	}
	for _, m := range slices.SortedFunc(maps.Values(all), func(a, b *Missing) int {
		return cmp.Or(cmp.Compare(b.Waiting+b.Dead, a.Waiting+a.Dead), strings.Compare(a.Integration, b.Integration))
	}) {
		found = append(found, *m)
	}
	return found[:min(maxMissing, len(found))], reasons
}
