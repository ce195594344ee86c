package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/loadtest/checker"
)

// chart puts what was noted into steps of time.
type chart struct {
	t    *truth
	step time.Duration
	n    int // steps
	Series
}

// series draws the charts of what was noted until now.
func (t *truth) series(s *sampler) Series {
	c := &chart{t: t, step: s.step, n: int(s.Seconds[len(s.Seconds)-1]/s.step.Seconds()) + 1}
	for i := range c.n {
		c.Seconds = append(c.Seconds, float64(i)*c.step.Seconds())
	}
	evenly := s.evenly(c.n)
	c.Clients, c.CPU, c.Machine, c.Nodes = evenly(s.Clients), evenly(s.CPU), evenly(s.Machine), map[string]*NodeSeries{}
	for name, n := range s.Nodes {
		c.Nodes[name] = &NodeSeries{
			CPU: evenly(n.CPU), Memory: evenly(n.Memory), Connections: evenly(n.Connections), InFlight: evenly(n.InFlight), Queued: evenly(n.Queued),
		}
	}
	c.Vendors = map[string]*VendorSeries{}
	c.publishes()
	c.deliveries()
	c.live()
	c.open()
	return c.Series
}

// at is the step in which a time lies.
func (c *chart) at(when time.Time) int { return c.after(when.Sub(c.t.begun)) }

func (c *chart) after(d time.Duration) int { return min(max(0, int(d/c.step)), c.n-1) }

// row makes one of counts; each is added where a time lies.
func (c *chart) row() []float64 { return make([]float64, c.n) }

// perSecond makes counts of a step those of a second.
func (c *chart) perSecond(rows ...[]float64) {
	for _, row := range rows {
		for i := range row {
			row[i] /= c.step.Seconds()
		}
	}
}

func (c *chart) publishes() {
	c.Planned, c.Accepted, c.NotTaken = c.row(), c.row(), c.row()
	for _, a := range c.t.plan.arrivals {
		if at := int(a.at / c.step); at < c.n { // of those behind that nothing came: the run was interrupted
			c.Planned[at]++
		}
	}
	for _, op := range c.t.ops {
		if op.Outcome == checker.Accepted {
			c.Accepted[c.at(op.End)]++
		} else {
			c.NotTaken[c.at(op.End)]++
		}
	}
	c.perSecond(c.Planned, c.Accepted, c.NotTaken)
}

// share divides part by all, step by step; -1 where there is nothing.
func share(part, all []float64) []float64 {
	shares := make([]float64, len(all))
	for i := range all {
		shares[i] = -1
		if all[i] > 0 {
			shares[i] = part[i] / all[i]
		}
	}
	return shares
}

func (c *chart) deliveries() {
	owed, came, soon := c.row(), c.row(), c.row()
	accepted := map[int]bool{} // arrivals
	took := map[string][]*hdrhistogram.Histogram{}
	for i, op := range c.t.ops {
		if op.Outcome != checker.Accepted {
			continue
		}
		a := &c.t.plan.arrivals[c.t.of[i]]
		accepted[c.t.of[i]] = true
		owed[c.after(a.at)] += float64(len(a.to))
		for _, id := range a.to {
			v := c.vendor(c.t.byDelivery[event.DeliveryID(a.channel, a.id, id)].vendor)
			v.Waiting[c.at(op.End)]++
		}
	}
	c.Calls, c.Refused = c.row(), c.row()
	taken := c.row()
	for _, one := range c.t.calls {
		c.Calls[c.at(one.ended)]++
		if one.taken {
			taken[c.at(one.ended)]++
		} else {
			c.Refused[c.at(one.ended)]++
		}
	}
	for _, one := range c.t.firsts() {
		a := &c.t.plan.arrivals[one.arrival]
		late := one.ended.Sub(c.t.begun) - a.at
		came[c.after(a.at)]++
		if late <= analytics.LatencyLimit {
			soon[c.after(a.at)]++
		}
		v := c.vendor(one.vendor)
		if accepted[one.arrival] {
			v.Waiting[c.at(one.ended)]--
		} else { // its publisher got no answer, or none that says so
			owed[c.after(a.at)]++
		}
		if took[one.vendor] == nil {
			took[one.vendor] = make([]*hdrhistogram.Histogram, c.n)
		}
		note(took[one.vendor], c.at(one.ended), late)
	}
	for id, died := range c.t.ends {
		if d := c.t.byDelivery[id]; accepted[d.arrival] {
			c.vendor(d.vendor).Waiting[c.at(died.at)]--
		}
	}
	for name, steps := range took {
		c.Vendors[name].P50, c.Vendors[name].P99 = both(steps)
	}
	for _, v := range c.Vendors {
		for i := 1; i < c.n; i++ {
			v.Waiting[i] += v.Waiting[i-1]
		}
		for i := range v.Waiting {
			v.Waiting[i] = max(0, v.Waiting[i]) // a vendor may be told before the publisher is
		}
	}
	c.Success, c.InTime, c.Attempts = share(came, owed), share(soon, owed), share(taken, c.Calls)
	c.perSecond(c.Calls, c.Refused)
}

// vendor gives a vendor's rows, which are made when they are first asked for.
func (c *chart) vendor(name string) *VendorSeries {
	if c.Vendors[name] == nil {
		c.Vendors[name] = &VendorSeries{Waiting: c.row(), Open: c.row()}
	}
	return c.Vendors[name]
}

// note adds a duration to a step's histogram. Two digits will do for a chart.
func note(steps []*hdrhistogram.Histogram, at int, d time.Duration) {
	if steps[at] == nil {
		steps[at] = hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 2)
	}
	record(steps[at], d)
}

// both are the medians and the 99th percentiles; -1 where there is nothing.
func both(steps []*hdrhistogram.Histogram) (p50, p99 []float64) {
	for _, h := range steps {
		q := Quantiles{P50: -1, P99: -1}
		if h != nil {
			q = quantiles(h)
		}
		p50, p99 = append(p50, q.P50), append(p99, q.P99)
	}
	return p50, p99
}

// firsts are the calls by which each delivery was taken first.
func (t *truth) firsts() (first []call) {
	known := map[string]bool{}
	calls := slices.Clone(t.calls)
	slices.SortStableFunc(calls, func(a, b call) int { return cmp.Compare(a.ended.UnixNano(), b.ended.UnixNano()) })
	for _, one := range calls {
		if one.taken && !known[one.receipt.DeliveryID] {
			known[one.receipt.DeliveryID] = true
			first = append(first, one)
		}
	}
	return first
}

func (c *chart) live() {
	c.Seen = c.row()
	steps := make([]*hdrhistogram.Histogram, c.n)
	for k, s := range c.t.sightings {
		c.Seen[c.at(s.At)]++
		if i := c.t.seen[k]; i >= 0 {
			note(steps, c.at(s.At), s.At.Sub(c.t.begun)-c.t.plan.arrivals[i].at)
		}
	}
	c.LiveP50, c.LiveP99 = both(steps)
	c.perSecond(c.Seen)
}

// open counts the integrations whose breaker is open, by vendor, as they told it.
func (c *chart) open() {
	open := map[string]bool{}
	changes := c.t.breakers
	for i := range c.n {
		until := c.t.begun.Add(time.Duration(i+1) * c.step)
		for len(changes) > 0 && changes[0].at.Before(until) {
			open[changes[0].integration] = changes[0].state == event.Open
			c.vendor(changes[0].vendor)
			changes = changes[1:]
		}
		for _, in := range c.t.plan.people.integrations {
			if open[in.id] {
				c.Vendors[in.vendor].Open[i]++
			}
		}
	}
}
