package checker

// logs checks what the log has in the end.
func (c *checking) logs() {
	if c.h.Logs == nil {
		return
	}
	has := map[place]bool{}
	for channel, entries := range c.h.Logs {
		for _, e := range entries {
			if has[at(channel, e.EventID)] {
				c.r.find(&c.r.Wrong, "the log has event %s of %s twice, the second time with the sequence %d", e.EventID, channel, e.Seq)
				continue
			}
			has[at(channel, e.EventID)] = true
			c.known("the log", channel, e.EventID, e.Seq)
		}
	}
	for _, op := range c.h.Ops {
		if op.Outcome == Accepted && !has[at(op.Channel, op.ID)] {
			c.r.find(&c.r.Lost, "the log does not have event %s of %s, sequence %d, accepted at %s", op.ID, op.Channel, op.Seq, clock(op.End))
		}
	}
}

// rows checks that ClickHouse has each delivery that a vendor got, once.
func (c *checking) rows() {
	if c.h.Rows == nil {
		return
	}
	had := map[string]bool{}
	for _, row := range c.h.Rows {
		had[row.DeliveryID] = true
		if row.Deliveries != 1 || row.Doubled > 0 || row.Attempts == 0 {
			c.r.find(&c.r.Wrong, "ClickHouse has delivery %s %d times, with %d attempts and %d rows of attempts too many", row.DeliveryID, row.Deliveries, row.Attempts, row.Doubled)
		}
	}
	for _, g := range c.h.Receipts {
		if !had[g.DeliveryID] {
			had[g.DeliveryID] = true
			c.r.find(&c.r.Lost, "ClickHouse has no delivery %s: event %s of %s, which %s got at %s", g.DeliveryID, g.EventID, g.Channel, g.Integration, clock(g.At))
		}
	}
}
