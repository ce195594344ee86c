package checker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
)

const channel = "supplier:dashboard:42"

var start = time.Date(2026, 6, 6, 15, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// sound is a history of four events, published one after the other, 100 ms apart, in which all is well: one
// integration, one subscriber, one fault of the node n1 in the first half second; they are published at n2.
func sound() *checker.History {
	h := &checker.History{
		Routes:   map[string][]string{channel: {"crm"}},
		Watchers: map[string][]string{channel: {"bride"}},
		Faults:   []checker.Window{{Fault: "kill", From: at(0), To: at(500), Nodes: []string{"n1"}}},
		Grace:    time.Second,
		Logs:     map[string][]checker.Entry{},
		Reads:    []checker.Read{{Channel: channel, Node: "n2", Client: 9, Seqs: []uint64{11, 12}, Start: at(250), End: at(260)}},
	}
	for i := range 4 {
		id, seq, ms := fmt.Sprintf("e%d", i+1), uint64(11+i), 100*(i+1)
		h.Ops = append(h.Ops, checker.Op{Channel: channel, ID: id, Node: "n2", Outcome: checker.Accepted, Seq: seq, Start: at(ms), End: at(ms + 10)})
		h.Receipts = append(h.Receipts, checker.Receipt{Integration: "crm", Channel: channel, EventID: id, DeliveryID: "d-" + id, At: at(ms + 30)})
		h.Sightings = append(h.Sightings, checker.Sighting{Subscriber: "bride", Channel: channel, EventID: id, Seq: seq, At: at(ms + 20)})
		h.Logs[channel] = append(h.Logs[channel], checker.Entry{EventID: id, Seq: seq})
		h.Rows = append(h.Rows, checker.Row{DeliveryID: "d-" + id, Deliveries: 1, Attempts: 1})
	}
	return h
}

// flaw is a change of a sound history, and what the checker must say of it.
type flaw struct {
	change                                         func(h *checker.History)
	lost, reordered, duplicates, wrong, notAllowed int
	stale                                          int
	says                                           string // a finding
}

// check runs the checker on each.
func check(t *testing.T, flaws map[string]flaw) {
	t.Helper()
	for name, c := range flaws {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := sound()
			c.change(h)
			r := checker.Check(h)
			if r.Lost != c.lost || r.Reordered != c.reordered || r.Duplicates != c.duplicates || r.Wrong != c.wrong || r.NotAllowed != c.notAllowed {
				t.Errorf("lost %d, reordered %d, duplicates %d, wrong %d, not allowed %d; want %d, %d, %d, %d, %d",
					r.Lost, r.Reordered, r.Duplicates, r.Wrong, r.NotAllowed, c.lost, c.reordered, c.duplicates, c.wrong, c.notAllowed)
			}
			if r.Stale != c.stale {
				t.Errorf("%d stale reads, want %d", r.Stale, c.stale)
			}
			if found := strings.Join(r.Findings, "\n"); !strings.Contains(found, c.says) || (c.says == "" && found != "") {
				t.Errorf("the findings are\n%s\nand should say %q", found, c.says)
			}
			if clean := c.lost+c.reordered+c.wrong+c.notAllowed == 0; r.Clean() != clean {
				t.Errorf("clean is %v", r.Clean())
			}
		})
	}
}

func TestArrivals(t *testing.T) {
	t.Parallel()
	check(t, map[string]flaw{
		"all well": {change: func(*checker.History) {}},
		"lost at an integration": {
			change: func(h *checker.History) { h.Receipts = append(h.Receipts[:1], h.Receipts[2:]...) },
			lost:   1, says: "crm never got event e2 of supplier:dashboard:42, sequence 12, published at 15:00:00.210",
		},
		"lost at a subscriber": {
			change: func(h *checker.History) { h.Sightings = h.Sightings[:3] },
			lost:   1, says: "bride never saw event e4 of supplier:dashboard:42, sequence 14, published at 15:00:00.410",
		},
		"an integration that got nothing": {
			change: func(h *checker.History) { h.Routes[channel] = append(h.Routes[channel], "venue") },
			lost:   4, says: "venue never got event e1",
		},
		"an event that one more integration must get": {
			change: func(h *checker.History) { h.Ops[1].To = []string{"venue"} },
			lost:   1, says: "venue never got event e2",
		},
		"a delivery that was given up": {
			change: func(h *checker.History) {
				h.Dead = h.Receipts[1:2:2]
				h.Receipts = append(h.Receipts[:1:1], h.Receipts[2:]...)
			},
		},
		"another delivery was given up": {
			change: func(h *checker.History) {
				h.Dead = []checker.Receipt{{Integration: "venue", Channel: channel, EventID: "e2"}}
				h.Receipts = append(h.Receipts[:1], h.Receipts[2:]...)
			},
			lost: 1, says: "crm never got event e2",
		},
		"no answer of a broken node, and it happened": {
			change: func(h *checker.History) { unanswered(h, 1) },
		},
		"no answer of a broken node, and it did not happen": {
			change: func(h *checker.History) { publish(h, checker.Unanswered, "n1", at(400), at(510)) },
		},
		"no answer of a broken node, and only a vendor got it": {
			change: func(h *checker.History) {
				unanswered(h, 3)
				h.Sightings = h.Sightings[:3]
			},
		},
		"no answer of a sound node": {
			change:     func(h *checker.History) { publish(h, checker.Unanswered, "n2", at(400), at(510)) },
			notAllowed: 1, says: "event e5 of supplier:dashboard:42, published by n2 at 15:00:00.400, was not answered after 110ms, which no fault excuses",
		},
		"no answer of a node that was broken before": {
			change:     func(h *checker.History) { publish(h, checker.Unanswered, "n1", at(500), at(510)) },
			notAllowed: 1, says: "which no fault excuses",
		},
		"nothing sent by a client that has no connection yet": {
			change: func(h *checker.History) { publish(h, checker.Unsent, "n1", at(2400), at(2400)) },
		},
		"nothing sent by a client that takes too long to come back": {
			change:     func(h *checker.History) { publish(h, checker.Unsent, "n1", at(2501), at(2501)) },
			notAllowed: 1, says: "which no fault excuses",
		},
		"no answer of a node that broke later": {
			change: func(h *checker.History) {
				h.Faults[0].From = at(300)
				publish(h, checker.Unanswered, "n1", at(280), at(300))
			},
			notAllowed: 1, says: "which no fault excuses",
		},
		"failed at a broken node": {
			change: func(h *checker.History) { publish(h, checker.Failed, "n1", at(400), at(510)) },
		},
		"failed at a broken node, and it happened": {
			change: func(h *checker.History) {
				unanswered(h, 1)
				h.Ops[1].Outcome = checker.Failed
			},
		},
		"failed at a sound node": {
			change:     func(h *checker.History) { publish(h, checker.Failed, "n2", at(400), at(510)) },
			notAllowed: 1, says: "was failed after 110ms",
		},
		"no connection to broken nodes": {
			change: func(h *checker.History) { publish(h, checker.Unsent, "n1", at(400), at(510)) },
		},
		"no connection to a sound node": {
			change:     func(h *checker.History) { publish(h, checker.Unsent, "n2", at(400), at(510)) },
			notAllowed: 1, says: "was not answered after 110ms",
		},
		"no connection, and it happened": {
			change: func(h *checker.History) {
				unanswered(h, 1)
				h.Ops[1].Outcome = checker.Unsent
			},
			wrong: 2, says: "crm got event e2 of supplier:dashboard:42, sequence 12, which was refused at 15:00:00.210",
		},
		"a connection breaks at a node that is stopped in order": {
			change: func(h *checker.History) {
				h.Faults[0].InOrder = true
				publish(h, checker.Unanswered, "n1", at(400), at(510))
			},
		},
		"no answer for long of a node that is stopped in order": {
			change: func(h *checker.History) {
				h.Faults[0].InOrder = true
				publish(h, checker.Unanswered, "n1", at(400), at(15_401))
			},
			notAllowed: 1, says: "was not answered after 15.001s",
		},
		"failed at a node that is stopped in order": {
			change: func(h *checker.History) {
				h.Faults[0].InOrder = true
				publish(h, checker.Failed, "n1", at(400), at(510))
			},
			notAllowed: 1, says: "was failed after 110ms",
		},
		"a node that is stopped in order waits for long": {
			change: func(h *checker.History) {
				h.Faults[0].InOrder = true
				h.Ops[3].Start, h.Ops[3].Node = at(410-15_001), "n1"
			},
			notAllowed: 1, says: "was answered after 15.001s",
		},
		"refused, and it did not happen": {
			change:     func(h *checker.History) { publish(h, checker.Refused, "n1", at(400), at(510)) },
			notAllowed: 1, says: "was refused after 110ms",
		},
		"refused, and a vendor got it": {
			change: func(h *checker.History) {
				unanswered(h, 3)
				h.Ops[3].Outcome = checker.Refused
				h.Sightings = h.Sightings[:3]
			},
			notAllowed: 1, wrong: 1, says: "crm got event e4 of supplier:dashboard:42, sequence 0, which was refused at 15:00:00.410",
		},
		"refused, and a subscriber saw it": {
			change: func(h *checker.History) {
				unanswered(h, 3)
				h.Ops[3].Outcome = checker.Refused
				h.Receipts, h.Rows = h.Receipts[:3], h.Rows[:3]
			},
			notAllowed: 1, wrong: 1, says: "bride got event e4 of supplier:dashboard:42, sequence 14, which was refused at 15:00:00.410",
		},
		"a node is patient": {
			change: func(h *checker.History) { h.Ops[3].Start = at(410 - 15_000) },
		},
		"a sound node waits for too long on a slow machine": {
			change: func(h *checker.History) {
				h.Lenient, h.Ops[3].Start = true, at(410-15_001)
				publish(h, checker.Failed, "n2", at(400), at(15_401))
			},
		},
		"a sound node fails on a slow machine": {
			change: func(h *checker.History) {
				h.Lenient = true
				publish(h, checker.Failed, "n2", at(400), at(510))
			},
			notAllowed: 1, says: "was failed after 110ms",
		},
		"a sound node waits for too long": {
			change:     func(h *checker.History) { h.Ops[3].Start = at(410 - 15_001) },
			notAllowed: 1, says: "event e4 of supplier:dashboard:42, published by n2 at 14:59:45.409, was answered after 15.001s, which no fault excuses",
		},
		"a broken node waits for long": {
			change: func(h *checker.History) { h.Ops[3].Start, h.Ops[3].Node = at(410-15_001), "n1" },
		},
		"reordered at an integration": {
			change:    func(h *checker.History) { h.Receipts[1].At = at(335) },
			reordered: 1, says: "crm got event e2 of supplier:dashboard:42, sequence 12, at 15:00:00.335, after 13",
		},
		"reordered at a subscriber": {
			change:    func(h *checker.History) { h.Sightings[1], h.Sightings[2] = h.Sightings[2], h.Sightings[1] },
			reordered: 1, says: "bride saw sequence 12 of supplier:dashboard:42 at 15:00:00.220, after 13",
		},
		"order is of the first arrival": {
			change:     func(h *checker.History) { again(h, 0, at(700), "d-e1") },
			duplicates: 1,
		},
		"a duplicate with another id": {
			change: func(h *checker.History) { again(h, 0, at(140), "d-other") },
			wrong:  1, lost: 1, says: "as delivery d-e1 and as d-other", // and the other one has no row
		},
		"a duplicate far from any fault": {
			change: func(h *checker.History) { again(h, 0, at(1500), "d-e1") },
			wrong:  1, says: "again at 15:00:01.500, 1.37s after the first time, which no fault explains",
		},
		"a duplicate that took longer than it may, where that is excused": {
			change: func(h *checker.History) {
				h.Lenient = true
				again(h, 0, at(1500), "d-e1")
			},
			duplicates: 1,
		},
		"a duplicate of what was done long before the fault, where waits are excused": {
			change: func(h *checker.History) {
				h.Lenient, h.Under, h.Faults[0].From = true, 100*time.Millisecond, at(231)
				again(h, 0, at(700), "d-e1")
			},
			wrong: 1, says: "which no fault explains",
		},
		"a duplicate before the fault": {
			change: func(h *checker.History) {
				h.Faults[0].From = at(300)
				again(h, 0, at(299), "d-e1")
			},
			wrong: 1, says: "which no fault explains",
		},
		"a duplicate of what was under way at the fault": {
			change: func(h *checker.History) {
				h.Under, h.Faults[0].From = 100*time.Millisecond, at(229)
				again(h, 0, at(700), "d-e1")
			},
			duplicates: 1,
		},
		"a duplicate of what was done long before the fault": {
			change: func(h *checker.History) {
				h.Under, h.Faults[0].From = 100*time.Millisecond, at(231)
				again(h, 0, at(700), "d-e1")
			},
			wrong: 1, says: "which no fault explains",
		},
		"a duplicate at the next fault of what was under way at one": {
			change: func(h *checker.History) {
				h.Faults = append(h.Faults, checker.Window{Fault: "drain", From: at(9000), To: at(9100)})
				again(h, 0, at(9001), "d-e1")
			},
			duplicates: 1,
		},
		"a duplicate at a fault of what was done long before": {
			change: func(h *checker.History) {
				h.Under, h.Faults = time.Second, []checker.Window{{Fault: "drain", From: at(9000), To: at(9100)}}
				again(h, 0, at(9001), "d-e1")
			},
			wrong: 1, says: "which no fault explains",
		},
		"a duplicate between two faults that explain it no more and not yet": {
			change: func(h *checker.History) {
				h.Faults = append(h.Faults, checker.Window{Fault: "drain", From: at(1700), To: at(1800)})
				again(h, 0, at(1600), "d-e1")
			},
			wrong: 1, says: "which no fault explains",
		},
		"a duplicate at a subscriber": {
			change: func(h *checker.History) { h.Sightings = append(h.Sightings, h.Sightings[3]) },
			wrong:  1, says: "bride saw event e4 of supplier:dashboard:42, sequence 14, twice",
		},
		"an integration got what nobody published": {
			change: func(h *checker.History) {
				h.Receipts[0].EventID = "ghost"
			},
			wrong: 1, lost: 1, says: "crm got event ghost of supplier:dashboard:42, sequence 0, which nobody published",
		},
		"a subscriber saw what nobody published": {
			change: func(h *checker.History) {
				h.Sightings = append(h.Sightings, checker.Sighting{Subscriber: "bride", Channel: channel, EventID: "ghost", Seq: 15, At: at(600)})
			},
			wrong: 1, says: "bride got event ghost of supplier:dashboard:42, sequence 15, which nobody published",
		},
		"one event with two sequences": {
			change: func(h *checker.History) { h.Sightings[3].Seq = 15 },
			wrong:  1, says: "event e4 on supplier:dashboard:42 has the sequence 15 by bride, and 14 elsewhere",
		},
		"two events with one sequence": {
			change: func(h *checker.History) { h.Ops[3].Seq, h.Sightings[3].Seq, h.Logs[channel][3].Seq = 13, 13, 13 },
			wrong:  1, reordered: 1, says: "cannot have happened one after the other",
		},
		"a later append with an earlier sequence": {
			change: func(h *checker.History) {
				h.Ops[2].Seq, h.Ops[3].Seq = h.Ops[3].Seq, h.Ops[2].Seq
				h.Sightings[2].Seq, h.Sightings[3].Seq = h.Sightings[3].Seq, h.Sightings[2].Seq
				h.Logs[channel][2].Seq, h.Logs[channel][3].Seq = 14, 13
				h.Sightings[2], h.Sightings[3] = h.Sightings[3], h.Sightings[2]
				h.Receipts[3].At = at(325)
			},
			wrong: 1, says: "the appends to supplier:dashboard:42 and the reads of it cannot have happened one after the other",
		},
		"appends at the same time, in either order": {
			change: func(h *checker.History) {
				h.Ops[2].End = at(450)
				h.Ops[2].Seq, h.Ops[3].Seq = h.Ops[3].Seq, h.Ops[2].Seq
				h.Sightings[2].Seq, h.Sightings[3].Seq = h.Sightings[3].Seq, h.Sightings[2].Seq
				h.Logs[channel][2].Seq, h.Logs[channel][3].Seq = 14, 13
				h.Sightings[2], h.Sightings[3] = h.Sightings[3], h.Sightings[2]
				h.Receipts[3].At = at(325)
			},
		},
		"a read that misses what was appended before": {
			change: func(h *checker.History) { h.Reads[0].Seqs = []uint64{11} },
			wrong:  1, says: "cannot have happened one after the other",
		},
		"a read at a broken node that misses what was appended before": {
			change: func(h *checker.History) { h.Reads[0].Node, h.Reads[0].Seqs = "n1", []uint64{11} },
			stale:  1,
		},
		"a read that misses something just when a broken node is back": {
			change: func(h *checker.History) {
				h.Back = 200 * time.Millisecond
				h.Faults[0].From, h.Faults[0].To = at(100), at(150)
				h.Reads[0].Seqs = []uint64{11}
			},
			stale: 1,
		},
		"a read that misses something when a broken node has been back for a while": {
			change: func(h *checker.History) {
				h.Back = 50 * time.Millisecond
				h.Faults[0].From, h.Faults[0].To = at(100), at(150)
				h.Reads[0].Seqs = []uint64{11}
			},
			wrong: 1, says: "cannot have happened one after the other",
		},
		"a read at a node that is stopped in order, which misses something": {
			change: func(h *checker.History) {
				h.Faults[0].InOrder = true
				h.Reads[0].Node, h.Reads[0].Seqs = "n1", []uint64{11}
			},
			wrong: 1, says: "cannot have happened one after the other",
		},
		"a read at a broken node that misses nothing": {
			change: func(h *checker.History) { h.Reads[0].Node = "n1" },
		},
		"a read at a broken node with a hole": {
			change: func(h *checker.History) { h.Reads[0].Node, h.Reads[0].Seqs = "n1", []uint64{12} },
			wrong:  1, says: "has 1 events up to sequence 12, where there are 2",
		},
		"a read that misses something at a node that was broken a while ago": {
			change: func(h *checker.History) {
				h.Reads[0] = checker.Read{Channel: channel, Node: "n1", Client: 9, Seqs: []uint64{11}, Start: at(1500), End: at(1510)}
			},
			wrong: 1, says: "cannot have happened one after the other",
		},
		"a read of what comes later": {
			change: func(h *checker.History) { h.Reads[0].Seqs = []uint64{11, 12, 13} },
			wrong:  1, says: "cannot have happened one after the other",
		},
		"a read with a hole": {
			change: func(h *checker.History) { h.Reads[0].Seqs = []uint64{12} },
			wrong:  1, says: "behind 0, read at 15:00:00.260, has 1 events up to sequence 12, where there are 2",
		},
		"a read behind a sequence": {
			change: func(h *checker.History) { h.Reads[0].After, h.Reads[0].Seqs = 11, []uint64{12} },
		},
		"a read of nothing behind a sequence": {
			change: func(h *checker.History) { h.Reads[0].After, h.Reads[0].Seqs = 12, nil },
		},
		"a read behind a sequence with a hole": {
			change: func(h *checker.History) {
				h.Reads[0] = checker.Read{Channel: channel, Node: "n2", Client: 9, After: 11, Seqs: []uint64{13}, Start: at(350), End: at(360)}
			},
			wrong: 1, says: "behind 11, read at 15:00:00.360, has 1 events up to sequence 13, where there are 2",
		},
		"a read behind a sequence that misses what was appended before": {
			change: func(h *checker.History) { h.Reads[0].After, h.Reads[0].Seqs = 11, nil },
			wrong:  1, says: "cannot have happened one after the other",
		},
		"an empty read before anything": {
			change: func(h *checker.History) {
				h.Reads = append(h.Reads, checker.Read{Channel: channel, Client: 9, Start: at(20), End: at(30)})
			},
		},
	})
}
