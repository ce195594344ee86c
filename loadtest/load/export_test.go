package load

import (
	"fmt"
	"time"
)

// Planned is an arrival, as tests see it.
type Planned struct {
	At                time.Duration
	Kind, Channel, ID string
	To                []string
	Payload           string
}

// Plan draws a plan.
func Plan(p *Profile, seed uint64, run string) (all []Planned) {
	pl := newPlan(p, seed, run)
	for i, a := range pl.arrivals {
		all = append(all, Planned{a.at, a.kind, a.channel, a.id, a.to, string(pl.payload(i))})
	}
	return all
}

// Seats are the channels of each client.
func Seats(p *Profile, seed uint64) [][]string { return newPlan(p, seed, "r").people.channels }

// Draw draws how long a vendor takes for n deliveries.
func (l Latency) Draw(seed uint64, n int) (all []time.Duration) {
	for i := range n {
		all = append(all, l.draw(seed, fmt.Sprint("dlv_", i)))
	}
	return all
}

// ParseMetrics reads the numbers of a node.
var ParseMetrics = parseMetrics

// Judge holds a report against thresholds.
func (rep *Report) Judge(t Thresholds) { rep.judge(t) }
