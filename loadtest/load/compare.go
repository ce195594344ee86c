package load

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Difference is one number of two runs.
type Difference struct {
	What   string  `json:"what"`
	Unit   string  `json:"unit,omitempty"` // "ms", "%" or "s"; "": a count
	A      float64 `json:"a"`
	B      float64 `json:"b"`
	Change float64 `json:"change"` // of B against A, in percent; 0 where A is 0
}

// ReadReport reads a report that WriteJSON wrote.
func ReadReport(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rep := &Report{}
	if err := json.Unmarshal(text, rep); err != nil {
		return nil, fmt.Errorf("%s is no report of wedsync load: %w", path, err)
	}
	if rep.Publishes == nil || len(rep.Verdicts) == 0 {
		return nil, fmt.Errorf("%s is no report of wedsync load: it has no verdicts", path)
	}
	return rep, nil
}

// Compare puts the numbers of two runs side by side.
func Compare(a, b *Report) []Difference {
	var all []Difference
	add := func(what, unit string, x, y float64) {
		d := Difference{What: what, Unit: unit, A: x, B: y}
		if x != 0 {
			d.Change = 100 * (y - x) / x
		}
		all = append(all, d)
	}
	count := func(what string, x, y int) { add(what, "", float64(x), float64(y)) }
	count("events planned", a.Planned, b.Planned)
	count("events accepted", a.Publishes.Accepted, b.Publishes.Accepted)
	count("deliveries due", a.Deliveries.Due, b.Deliveries.Due)
	add("deliveries that succeeded", "%", 100*a.Deliveries.Success, 100*b.Deliveries.Success)
	add("delivered within 5 s", "%", inTime(a), inTime(b))
	count("lost", a.Publishes.Lost, b.Publishes.Lost)
	count("reordered", a.Publishes.Reordered, b.Publishes.Reordered)
	count("repeated around a fault", a.Publishes.Duplicates, b.Publishes.Duplicates)
	count("otherwise wrong", a.Publishes.Wrong, b.Publishes.Wrong)
	count("dead letters", a.Deliveries.Dead, b.Deliveries.Dead)
	took := func(what string, x, y Quantiles) {
		add(what+", p50", "ms", x.P50, y.P50)
		add(what+", p99", "ms", x.P99, y.P99)
	}
	took("publishing", a.Accept, b.Accept)
	took("live at clients", a.Live, b.Live)
	for _, v := range union(a.Vendors, b.Vendors) {
		took(v, a.Vendors[v], b.Vendors[v])
	}
	for i := range min(len(a.Deaths), len(b.Deaths)) {
		add("clients back after: "+a.Deaths[i].About, "s", a.Deaths[i].Back, b.Deaths[i].Back)
	}
	for _, n := range union(a.Series.Nodes, b.Series.Nodes) {
		x, y := orNone(a.Series.Nodes[n]), orNone(b.Series.Nodes[n])
		add(n+", most memory", "MB", most(x.Memory), most(y.Memory))
		add(n+", processors on average", "", mean(x.CPU), mean(y.CPU))
	}
	return all
}

func union[V any](a, b map[string]V) []string {
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]V{a, b} {
			for name := range maps.Keys(m) {
				if !yield(name) {
					return
				}
			}
		}
	}))
}

func orNone(s *NodeSeries) *NodeSeries { return cmp.Or(s, &NodeSeries{}) }

func inTime(r *Report) float64 {
	if r.Deliveries.Due == 0 {
		return 100
	}
	return 100 * float64(r.Deliveries.InTime) / float64(r.Deliveries.Due)
}

func most(values []float64) float64 { return slices.Max(append([]float64{0}, values...)) }

// mean leaves out where there is no value.
func mean(values []float64) float64 {
	sum, n := 0.0, 0.0
	for _, v := range values {
		if v >= 0 {
			sum, n = sum+v, n+1
		}
	}
	return sum / max(n, 1)
}
