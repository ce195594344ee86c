// Package checker compares what clients were told with what vendors and subscribers received, and says what was
// lost, reordered or doubled. It knows nothing of how the histories came to be.
package checker

import (
	"fmt"
	"slices"
	"time"
)

// Outcome is what became of a publish, as its client knows it.
type Outcome int

// The outcomes.
const (
	Accepted   Outcome = iota // answered 2xx
	Refused                   // answered 4xx: it must not have happened
	Unsent                    // no node gave a connection: it cannot have happened
	Failed                    // answered 5xx: it may have happened
	Unanswered                // the connection broke or time ran out: it may have happened
)

// Op is one publish.
type Op struct {
	Channel, ID string
	Client      int    // publishes one after the other
	Node        string // that was asked
	Outcome     Outcome
	Seq         uint64 // of an accepted one
	Start, End  time.Time
}

// mayHaveHappened reports whether the event may be seen.
func (op *Op) mayHaveHappened() bool { return op.Outcome != Refused && op.Outcome != Unsent }

// Receipt is one call that a vendor got.
type Receipt struct {
	Integration, Channel, EventID, DeliveryID string
	At                                        time.Time
}

// Sighting is one event that a subscriber saw.
type Sighting struct {
	Subscriber, Channel, EventID string
	Seq                          uint64
	At                           time.Time
}

// Read is one answer of a channel's whole history.
type Read struct {
	Channel    string
	Client     int // reads one after the other, and is no client of an Op
	Seqs       []uint64
	Start, End time.Time
}

// Row is what ClickHouse has of one delivery.
type Row struct {
	DeliveryID string
	Deliveries int // rows that say how it ended
	Attempts   int // different attempts
	Doubled    int // rows of attempts beyond those
}

// Window is a time in which something was broken on purpose.
type Window struct {
	Fault    string
	From, To time.Time
	// Nodes may fail publishes, leave them unanswered or let them wait for longer than Patience meanwhile.
	Nodes []string
}

// History is all that was recorded of a run.
type History struct {
	Ops       []Op
	Receipts  []Receipt
	Sightings []Sighting
	Reads     []Read
	Rows      []Row               // nil: ClickHouse was not asked
	Routes    map[string][]string // integrations by channel
	Watchers  map[string][]string // subscribers by channel
	Faults    []Window
	// Grace is how long after a fault what was under way may still be repeated; default 1 min.
	Grace time.Duration
	// Patience is how long a publish may take; default 15 s, which is how long a node waits for its log.
	Patience time.Duration
}

// Report is what is wrong with a history, and how long things stood still.
type Report struct {
	Accepted   int           `json:"accepted"`
	Refused    int           `json:"refused"`
	Failed     int           `json:"failed"`
	Unanswered int           `json:"unanswered"` // unsent ones among them
	Slowest    time.Duration `json:"slowest"`    // of the accepted ones
	NotAllowed int           `json:"notAllowed"` // refused; or failed, unanswered or too slow where no fault allows it

	Lost       int `json:"lost"`
	Reordered  int `json:"reordered"`
	Duplicates int `json:"duplicates"` // with the same delivery id, around a fault
	Wrong      int `json:"wrong"`      // other duplicates, what nobody published, histories that cannot be explained

	AcceptGap   time.Duration `json:"acceptGap"`   // longest time without an accepted publish
	DeliveryGap time.Duration `json:"deliveryGap"` // likewise without a call to an integration about one channel
	LiveGap     time.Duration `json:"liveGap"`     // likewise without an event at a subscriber

	Findings []string `json:"findings,omitempty"`
}

// Clean reports that nothing was lost, reordered or otherwise wrong, and every publish was answered as it must be.
func (r *Report) Clean() bool {
	return r.Lost == 0 && r.Reordered == 0 && r.Wrong == 0 && r.NotAllowed == 0
}

// maxFindings bounds what a report says in words.
const maxFindings = 50

func (r *Report) find(count *int, format string, args ...any) {
	*count++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

type place struct{ where, channel, id string }

// checking is a check under way.
type checking struct {
	h    *History
	r    *Report
	ops  map[string]Op     // by channel and id
	seqs map[string]uint64 // likewise; from answers, or from what subscribers saw
}

func (h *History) withDefaults() *History {
	with := *h
	if with.Grace == 0 {
		with.Grace = time.Minute
	}
	if with.Patience == 0 {
		with.Patience = 15 * time.Second
	}
	return &with
}

// Check compares the histories.
func Check(h *History) *Report {
	h = h.withDefaults()
	c := &checking{h: h, r: &Report{}, ops: map[string]Op{}, seqs: map[string]uint64{}}
	for _, op := range h.Ops {
		c.ops[op.Channel+"\x00"+op.ID] = op
		if op.Outcome == Accepted {
			c.seqs[op.Channel+"\x00"+op.ID] = op.Seq
		}
	}
	c.answers()
	for _, s := range h.Sightings {
		key := s.Channel + "\x00" + s.EventID
		if seq, ok := c.seqs[key]; ok && seq != s.Seq {
			c.r.find(&c.r.Wrong, "event %s on %s has the sequence %d at %s, and %d elsewhere", s.EventID, s.Channel, s.Seq, s.Subscriber, seq)
		}
		c.seqs[key] = s.Seq
	}
	c.receipts()
	c.sightings()
	c.linear()
	c.rows()
	c.gaps()
	return c.r
}

// known finds it wrong that somebody got an event that nobody published, or that was refused.
func (c *checking) known(who, channel, id string, seq uint64) {
	switch op, ok := c.ops[channel+"\x00"+id]; {
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
		at := place{g.Integration, g.Channel, g.EventID}
		if before, ok := first[at]; ok {
			switch {
			case before.DeliveryID != g.DeliveryID:
				c.r.find(&c.r.Wrong, "%s got event %s of %s as delivery %s and as %s", g.Integration, g.EventID, g.Channel, before.DeliveryID, g.DeliveryID)
			case !c.nearFault(g.At):
				c.r.find(&c.r.Wrong, "%s got event %s of %s again at %s, %v after the first time and far from any fault", g.Integration, g.EventID, g.Channel, clock(g.At), g.At.Sub(before.At))
			default:
				c.r.Duplicates++
			}
			continue
		}
		first[at] = g
		seq, known := c.seqs[g.Channel+"\x00"+g.EventID]
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
	for _, op := range c.h.Ops {
		for _, integration := range c.h.Routes[op.Channel] {
			if _, ok := first[place{integration, op.Channel, op.ID}]; !ok && op.Outcome == Accepted {
				c.r.find(&c.r.Lost, "%s never got event %s of %s, sequence %d, accepted at %s", integration, op.ID, op.Channel, op.Seq, clock(op.End))
			}
		}
	}
}

// sightings checks what subscribers saw.
func (c *checking) sightings() {
	seen := map[place]bool{}
	last := map[place]uint64{}
	for _, s := range c.h.Sightings { // in the order of each subscriber
		at := place{s.Subscriber, s.Channel, s.EventID}
		if seen[at] {
			c.r.find(&c.r.Wrong, "%s saw event %s of %s, sequence %d, twice", s.Subscriber, s.EventID, s.Channel, s.Seq)
			continue
		}
		seen[at] = true
		c.known(s.Subscriber, s.Channel, s.EventID, s.Seq)
		lane := place{s.Subscriber, s.Channel, ""}
		if s.Seq <= last[lane] {
			c.r.find(&c.r.Reordered, "%s saw sequence %d of %s at %s, after %d", s.Subscriber, s.Seq, s.Channel, clock(s.At), last[lane])
		}
		last[lane] = max(last[lane], s.Seq)
	}
	for _, op := range c.h.Ops {
		for _, who := range c.h.Watchers[op.Channel] {
			if op.Outcome == Accepted && !seen[place{who, op.Channel, op.ID}] {
				c.r.find(&c.r.Lost, "%s never saw event %s of %s, sequence %d, accepted at %s", who, op.ID, op.Channel, op.Seq, clock(op.End))
			}
		}
	}
}

func (c *checking) nearFault(at time.Time) bool {
	return slices.ContainsFunc(c.h.Faults, func(w Window) bool { return !at.Before(w.From) && at.Before(w.To.Add(c.h.Grace)) })
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

// gaps measures how long things stood still.
func (c *checking) gaps() {
	var accepted, live []time.Time
	delivered := map[place][]time.Time{}
	for _, op := range c.h.Ops {
		if op.Outcome == Accepted {
			accepted = append(accepted, op.End)
		}
	}
	for _, g := range c.h.Receipts {
		lane := place{g.Integration, g.Channel, ""}
		delivered[lane] = append(delivered[lane], g.At)
	}
	for _, s := range c.h.Sightings {
		live = append(live, s.At)
	}
	c.r.AcceptGap, c.r.LiveGap = longest(accepted), longest(live)
	for _, times := range delivered {
		c.r.DeliveryGap = max(c.r.DeliveryGap, longest(times))
	}
}

// longest is the longest time between two of them.
func longest(times []time.Time) (gap time.Duration) {
	slices.SortFunc(times, time.Time.Compare)
	for i := 1; i < len(times); i++ {
		gap = max(gap, times[i].Sub(times[i-1]))
	}
	return gap
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
