package load

import (
	"fmt"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/vendors"
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

// Delays are what vendors of a latency take for the first deliveries of a plan, each tried so often.
func (l Latency) Delays(p *Profile, seed uint64, run string, deliveries, tries int) (all [][]time.Duration) {
	t := newTruth(newPlan(p, seed, run))
	draw := t.delays(l)
	for _, a := range t.plan.arrivals {
		for _, id := range a.to {
			var own []time.Duration
			for range tries {
				own = append(own, draw(&vendors.Receipt{ID: event.DeliveryID(a.channel, a.id, id)}))
			}
			if all = append(all, own); len(all) == deliveries {
				return all
			}
		}
	}
	return all
}

// Missing is what is missing of a plan that was accepted, where became says what came of each delivery: "" that it
// waits, "taken", or else why it died.
func (p *Profile) Missing(seed uint64, became func(n int) string) ([]Missing, map[string][]string) {
	t := newTruth(newPlan(p, seed, "r"))
	var dead []checker.Receipt
	ends, n := map[string]end{}, 0
	for i, a := range t.plan.arrivals {
		t.published(i, checker.Op{Channel: a.channel, ID: a.id, Outcome: checker.Accepted})
		for _, to := range a.to {
			id := event.DeliveryID(a.channel, a.id, to)
			switch how := became(n); how {
			case "":
				t.received(vendors.Receipt{ID: id}) // in vain
			case "taken":
				t.received(vendors.Receipt{ID: id, Taken: true})
			default:
				dead, ends[id] = append(dead, checker.Receipt{DeliveryID: id}), end{why: how}
			}
			n++
		}
	}
	t.died(dead, ends)
	return t.missing()
}

// Unseen is how many sightings are waited for when each client has seen each event of a plan so often, after it was
// accepted or before.
func (p *Profile) Unseen(seed uint64, sightings int, before bool) int {
	t := newTruth(newPlan(p, seed, "r"))
	see := func(a *arrival) {
		for range sightings {
			for _, client := range t.plan.people.watchers[a.channel] {
				t.saw(client, a.channel, a.id, 1)
			}
		}
	}
	for i := range t.plan.arrivals {
		a := &t.plan.arrivals[i]
		if before {
			see(a)
		}
		t.published(i, checker.Op{Channel: a.channel, ID: a.id, Outcome: checker.Accepted})
		if !before {
			see(a)
		}
	}
	return t.standing().unseen
}

// Victim is the one of nodes that dies, which are edges and have so many clients.
func Victim(edges []bool, clients []int) int {
	c := &crowd{conns: map[*held]bool{}}
	s := &script{crowd: c}
	for i, edge := range edges {
		s.nodes = append(s.nodes, &node{edge: edge})
		for range clients[i] {
			c.conns[&held{node: i}] = true
		}
	}
	return s.victim()
}

// Fits reports whether so many open files are enough.
func (p *Profile) Fits(files uint64) error { return p.fits(files) }

// Evenly puts samples of some times into n steps of a second.
func Evenly(seconds, samples []float64, n int) []float64 {
	return (&sampler{step: time.Second, Seconds: seconds}).evenly(n)(samples)
}

// BusyIn reads how long processors were busy.
var BusyIn = busyIn

// ParseMetrics reads the numbers of a node.
var ParseMetrics = parseMetrics

// Judge holds a report against thresholds.
func (rep *Report) Judge(t Thresholds) { rep.judge(t) }
