package checker

import "slices"

// answers counts how publishes were answered, and finds those that no fault excuses.
func (c *checking) answers() {
	for _, op := range c.h.Ops {
		took := op.End.Sub(op.Start)
		how := "answered"
		switch op.Outcome {
		case Accepted:
			c.r.Accepted++
			c.r.Slowest = max(c.r.Slowest, took)
			if took <= c.h.Patience {
				continue
			}
		case Refused:
			c.r.Refused++
			how = "refused"
		case Failed:
			c.r.Failed++
			how = "failed"
		case Unsent, Unanswered:
			c.r.Unanswered++
			how = "not answered"
		}
		if op.Outcome == Refused || !c.excused(&op) && (!c.h.Lenient || took < c.h.Patience) {
			c.r.find(&c.r.NotAllowed, "event %s of %s, published by %s at %s, was %s after %v, which no fault excuses",
				op.ID, op.Channel, op.Node, clock(op.Start), how, took)
		}
	}
}

// excused reports whether a fault had a grip on the node meanwhile. A client that has no connection yet sends nothing.
func (c *checking) excused(op *Op) bool {
	return slices.ContainsFunc(c.h.Faults, func(w Window) bool {
		end := w.To
		if op.Outcome == Unsent {
			end = end.Add(c.h.Back)
		}
		return op.Start.Before(end) && op.End.After(w.From) && slices.Contains(w.Nodes, op.Node) &&
			(!w.InOrder || op.Outcome == Unanswered && op.End.Sub(op.Start) <= c.h.Patience)
	})
}
