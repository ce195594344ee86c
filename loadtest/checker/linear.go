package checker

import (
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// linear checks each channel's log for linearizability: there is an order of the appends and reads, within the
// times of the calls, in which sequences rise and each read ends with the append before it. What lies before a
// read's end needs no search: it must be all that has those sequences; what lies before its beginning cannot change.
func (c *checking) linear() {
	const timeout = 10 * time.Second
	history := map[string][]porcupine.Operation{}
	appended := map[string][]uint64{}
	for _, op := range c.h.Ops {
		seq, ok := c.seqs[at(op.Channel, op.ID)]
		if !ok {
			continue // it did not happen, as far as anybody saw
		}
		end := op.End.UnixNano()
		if op.Outcome != Accepted {
			end = 1<<63 - 1 // whenever
		}
		appended[op.Channel] = append(appended[op.Channel], seq)
		history[op.Channel] = append(history[op.Channel], porcupine.Operation{
			ClientId: op.Client, Call: op.Start.UnixNano(), Return: end, Output: entry{seq: seq},
		})
	}
	for _, seqs := range appended {
		slices.Sort(seqs)
	}
	for _, r := range c.h.Reads {
		last := r.After
		if len(r.Seqs) > 0 {
			last = r.Seqs[len(r.Seqs)-1]
		}
		from, _ := slices.BinarySearch(appended[r.Channel], r.After+1)
		to, _ := slices.BinarySearch(appended[r.Channel], last+1)
		if want := appended[r.Channel][from:max(from, to)]; !slices.Equal(want, r.Seqs) {
			c.r.find(&c.r.Wrong, "the history of %s behind %d, read at %s, has %d events up to sequence %d, where there are %d", r.Channel, r.After, clock(r.End), len(r.Seqs), last, len(want))
			continue
		}
		if c.mayBeStale(&r) {
			if c.stale(&r, last) {
				c.r.Stale++
			}
			continue
		}
		history[r.Channel] = append(history[r.Channel], porcupine.Operation{
			ClientId: r.Client, Call: r.Start.UnixNano(), Return: r.End.UnixNano(), Output: entry{seq: last, read: true},
		})
	}
	for channel, ops := range history {
		switch porcupine.CheckOperationsTimeout(log, ops, timeout) {
		case porcupine.Illegal:
			c.r.find(&c.r.Wrong, "the appends to %s and the reads of it cannot have happened one after the other", channel)
		case porcupine.Unknown:
			c.r.find(&c.r.Wrong, "the appends to %s and the reads of it could not be put in an order within %v", channel, timeout)
		}
	}
}

// mayBeStale reports whether a fault had a grip on the node that was read from, or had until a moment ago; or whether
// one that it had a grip on has just come back, and answers the others' reads as if it still led the log.
func (c *checking) mayBeStale(r *Read) bool {
	return slices.ContainsFunc(c.h.Faults, func(w Window) bool {
		from, until := w.To, w.To.Add(c.h.Back)
		if slices.Contains(w.Nodes, r.Node) {
			from, until = w.From, w.To.Add(c.h.Grace)
		}
		return !w.InOrder && len(w.Nodes) > 0 && r.Start.Before(until) && r.End.After(from)
	})
}

// stale reports whether a read that ends with a sequence misses what had been accepted when it began.
func (c *checking) stale(r *Read, last uint64) bool {
	return slices.ContainsFunc(c.h.Ops, func(op Op) bool {
		return op.Channel == r.Channel && op.Outcome == Accepted && op.End.Before(r.Start) && c.seqs[at(op.Channel, op.ID)] > last
	})
}

// entry is what an operation on a log came to: the sequence of what was appended, or of the last that was read.
type entry struct {
	seq  uint64
	read bool
}

// log is the model of a channel's log. Its state is its last sequence.
var log = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, _, output any) (bool, any) {
		last, _ := state.(uint64)
		e, _ := output.(entry)
		if e.read {
			return e.seq == last, state
		}
		return e.seq > last, e.seq
	},
}
