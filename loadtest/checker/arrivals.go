package checker

import (
	"slices"
	"time"
)

// known finds it wrong that somebody got an event that nobody published, or that was refused.
func (c *checking) known(who, channel, id string, seq uint64) {
	switch op, ok := c.ops[at(channel, id)]; {
	case !ok:
		c.r.find(&c.r.Wrong, "%s got event %s of %s, sequence %d, which nobody published", who, id, channel, seq)
	case !op.mayHaveHappened():
		c.r.find(&c.r.Wrong, "%s got event %s of %s, sequence %d, which was refused at %s", who, id, channel, seq, clock(op.End))
	}
}

// receipts checks what vendors got.
func (c *checking) receipts() {
	got := slices.Clone(c.h.Receipts)
	slices.SortStableFunc(got, func(a, b Receipt) int { return a.At.Compare(b.At) })
	first := map[place]Receipt{}
	last := map[place]uint64{}
	for _, g := range got {
		here := place{g.Integration, g.Channel, g.EventID}
		if before, ok := first[here]; ok {
			switch {
			case before.DeliveryID != g.DeliveryID:
				c.r.find(&c.r.Wrong, "%s got event %s of %s as delivery %s and as %s", g.Integration, g.EventID, g.Channel, before.DeliveryID, g.DeliveryID)
			case !c.explained(before.At, g.At):
				c.r.find(&c.r.Wrong, "%s got event %s of %s again at %s, %v after the first time, which no fault explains", g.Integration, g.EventID, g.Channel, clock(g.At), g.At.Sub(before.At))
			default:
				c.r.Duplicates++
			}
			continue
		}
		first[here] = g
		seq, known := c.seqs[at(g.Channel, g.EventID)]
		c.known(g.Integration, g.Channel, g.EventID, seq)
		if !known {
			continue
		}
		lane := place{g.Integration, g.Channel, ""}
		if seq < last[lane] {
			c.r.find(&c.r.Reordered, "%s got event %s of %s, sequence %d, at %s, after %d", g.Integration, g.EventID, g.Channel, seq, clock(g.At), last[lane])
		}
		last[lane] = max(last[lane], seq)
	}
}

// sightings checks what subscribers saw.
func (c *checking) sightings() {
	seen := map[place]bool{}
	last := map[place]uint64{}
	for _, s := range c.h.Sightings { // in the order of each subscriber
		here := place{s.Subscriber, s.Channel, s.EventID}
		if seen[here] {
			c.r.find(&c.r.Wrong, "%s saw event %s of %s, sequence %d, twice", s.Subscriber, s.EventID, s.Channel, s.Seq)
			continue
		}
		seen[here] = true
		c.known(s.Subscriber, s.Channel, s.EventID, s.Seq)
		lane := place{s.Subscriber, s.Channel, ""}
		if s.Seq <= last[lane] {
			c.r.find(&c.r.Reordered, "%s saw sequence %d of %s at %s, after %d", s.Subscriber, s.Seq, s.Channel, clock(s.At), last[lane])
		}
		last[lane] = max(last[lane], s.Seq)
	}
}

// missing finds what happened and did not arrive everywhere.
func (c *checking) missing() {
	arrived := map[place]bool{}
	for _, g := range c.h.Receipts {
		arrived[place{g.Integration, g.Channel, g.EventID}] = true
	}
	for _, d := range c.h.Dead {
		arrived[place{d.Integration, d.Channel, d.EventID}] = true
	}
	for _, s := range c.h.Sightings {
		arrived[place{s.Subscriber, s.Channel, s.EventID}] = true
	}
	for _, op := range c.h.Ops {
		if !c.due[at(op.Channel, op.ID)] {
			continue
		}
		for verb, list := range map[string][]string{"got": slices.Concat(c.h.Routes[op.Channel], op.To), "saw": c.h.Watchers[op.Channel]} {
			for _, who := range list {
				if !arrived[place{who, op.Channel, op.ID}] {
					c.r.find(&c.r.Lost, "%s never %s event %s of %s, sequence %d, published at %s",
						who, verb, op.ID, op.Channel, c.seqs[at(op.Channel, op.ID)], clock(op.End))
				}
			}
		}
	}
}

// explained reports whether faults explain that what arrived first is repeated: an acknowledgement that got lost
// around one may be missed only when the next one has the work taken over. How long a slow machine takes to take it
// over is excused.
func (c *checking) explained(first, again time.Time) bool {
	around := func(at time.Time, under time.Duration) bool {
		return slices.ContainsFunc(c.h.Faults, func(w Window) bool {
			return at.After(w.From.Add(-under)) && at.Before(w.To.Add(c.h.Grace))
		})
	}
	return around(first, c.h.Under) && (c.h.Lenient || around(again, 0))
}
