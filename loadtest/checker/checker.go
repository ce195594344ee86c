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
	To          []string // integrations that must get it, besides its channel's Routes
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

// Read is one answer of a channel's history, all of it behind a sequence.
type Read struct {
	Channel    string
	Node       string // that was asked
	Client     int    // reads one after the other, and is no client of an Op
	After      uint64 // 0: from the beginning
	Seqs       []uint64
	Start, End time.Time
}

// Entry is one event in the log.
type Entry struct {
	EventID string
	Seq     uint64
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
	// They may take themselves for the log's leader, until Grace after it, and answer reads from what they have.
	Nodes []string
	// InOrder says that they were stopped in order: a connection may break, and that is all.
	InOrder bool
}

// History is all that was recorded of a run.
type History struct {
	Ops       []Op
	Receipts  []Receipt
	Sightings []Sighting
	Reads     []Read
	Logs      map[string][]Entry  // all that the log has in the end, by channel; nil: it was not asked
	Rows      []Row               // nil: ClickHouse was not asked
	Routes    map[string][]string // integrations by channel
	Watchers  map[string][]string // subscribers by channel
	Dead      []Receipt           // deliveries that were given up, and kept as dead letters: they need not arrive
	Faults    []Window
	// Grace is how long after a fault what was under way may still be repeated; default 15 s. Under is how long
	// before a fault it may have arrived at first; default 5 s.
	Grace, Under time.Duration
	// Back is how long after a fault a client may take to connect again, and a node that led the log to hear that
	// another one does: until then it may answer what others read; default 2 s.
	Back time.Duration
	// Patience is how long a publish may take; default 15 s, which is how long a node waits for its log.
	Patience time.Duration
	// Lenient says that what took longer than Patience or Grace is excused, however it ended: on a slow machine
	// elections take longer, too.
	Lenient bool
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
	Stale      int `json:"stale"`      // reads that missed what was accepted before, at a node that a fault excuses
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

// at is an event's place in the log.
func at(channel, id string) place { return place{"", channel, id} }

// checking is a check under way.
type checking struct {
	h    *History
	r    *Report
	ops  map[place]Op
	seqs map[place]uint64 // from answers, from the log, or from what subscribers saw
	due  map[place]bool   // what happened: it was accepted, or the log has it
}

func (h *History) withDefaults() *History {
	with := *h
	for d, value := range map[*time.Duration]time.Duration{
		&with.Grace: 15 * time.Second, &with.Under: 5 * time.Second, &with.Patience: 15 * time.Second, &with.Back: 2 * time.Second,
	} {
		if *d == 0 {
			*d = value
		}
	}
	return &with
}

// Check compares the histories.
func Check(h *History) *Report {
	c := begin(h)
	c.answers()
	c.logs()
	c.receipts()
	c.sightings()
	c.missing()
	c.linear()
	c.rows()
	c.gaps()
	return c.r
}

// Missing counts what has yet to arrive at integrations and subscribers.
func Missing(h *History) int {
	c := begin(h)
	c.missing()
	return c.r.Lost
}

func begin(h *History) *checking {
	c := &checking{h: h.withDefaults(), r: &Report{}, ops: map[place]Op{}, seqs: map[place]uint64{}, due: map[place]bool{}}
	for _, op := range h.Ops {
		c.ops[at(op.Channel, op.ID)] = op
		if op.Outcome == Accepted {
			c.due[at(op.Channel, op.ID)] = true
			c.number("the answer", op.Channel, op.ID, op.Seq)
		}
	}
	for channel, entries := range h.Logs {
		for _, e := range entries {
			c.due[at(channel, e.EventID)] = true
			c.number("the log", channel, e.EventID, e.Seq)
		}
	}
	for _, s := range h.Sightings {
		c.number(s.Subscriber, s.Channel, s.EventID, s.Seq)
	}
	return c
}

// number notes an event's sequence, as somebody has it; 0: that says nothing.
func (c *checking) number(who, channel, id string, seq uint64) {
	before, ok := c.seqs[at(channel, id)]
	switch {
	case seq == 0:
	case !ok:
		c.seqs[at(channel, id)] = seq
	case seq != before:
		c.r.find(&c.r.Wrong, "event %s on %s has the sequence %d by %s, and %d elsewhere", id, channel, seq, who, before)
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
