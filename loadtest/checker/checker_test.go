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

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change                                         func(h *checker.History)
		lost, reordered, duplicates, wrong, notAllowed int
		stale                                          int
		says                                           string // a finding
	}{
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
		"a delivery without a row": {
			change: func(h *checker.History) { h.Rows = h.Rows[1:] },
			lost:   1, says: "ClickHouse has no delivery d-e1: event e1 of supplier:dashboard:42, which crm got at 15:00:00.130",
		},
		"a delivery with two rows": {
			change: func(h *checker.History) { h.Rows[0].Deliveries = 2 },
			wrong:  1, says: "ClickHouse has delivery d-e1 2 times",
		},
		"a doubled attempt": {
			change: func(h *checker.History) { h.Rows[2].Doubled = 1 },
			wrong:  1, says: "ClickHouse has delivery d-e3 1 times, with 1 attempts and 1 rows of attempts too many",
		},
		"a delivery without attempts": {
			change: func(h *checker.History) { h.Rows[2].Attempts = 0 },
			wrong:  1, says: "with 0 attempts",
		},
		"an event that the log does not have": {
			change: func(h *checker.History) { h.Logs[channel] = h.Logs[channel][:3] },
			lost:   1, says: "the log does not have event e4 of supplier:dashboard:42, sequence 14, accepted at 15:00:00.410",
		},
		"an event that the log has twice": {
			change: func(h *checker.History) {
				h.Logs[channel] = append(h.Logs[channel], checker.Entry{EventID: "e1", Seq: 15})
			},
			wrong: 2, says: "the log has event e1 of supplier:dashboard:42 twice, the second time with the sequence 15",
		},
		"the log has another sequence": {
			change: func(h *checker.History) { h.Logs[channel][0].Seq = 10 },
			wrong:  1, says: "event e1 on supplier:dashboard:42 has the sequence 10 by the log, and 11 elsewhere",
		},
		"the log has what nobody published": {
			change: func(h *checker.History) {
				h.Logs[channel] = append(h.Logs[channel], checker.Entry{EventID: "ghost", Seq: 15})
			},
			wrong: 1, says: "the log got event ghost of supplier:dashboard:42, sequence 15, which nobody published",
		},
		"the log has what was refused": {
			change: func(h *checker.History) {
				publish(h, checker.Refused, "n1", at(400), at(510))
				h.Logs[channel] = append(h.Logs[channel], checker.Entry{EventID: "e5", Seq: 15})
			},
			lost: 2, wrong: 1, notAllowed: 1, says: "the log got event e5 of supplier:dashboard:42, sequence 15, which was refused",
		},
		"no answer, the log has it, and nobody got it": {
			change: func(h *checker.History) {
				publish(h, checker.Unanswered, "n1", at(400), at(510))
				h.Logs[channel] = append(h.Logs[channel], checker.Entry{EventID: "e5", Seq: 15})
			},
			lost: 2, says: "crm never got event e5 of supplier:dashboard:42, sequence 15, published at 15:00:00.510",
		},
		"the log was not asked": {change: func(h *checker.History) { h.Logs = nil }},
		"an answer without a sequence": {
			change: func(h *checker.History) { h.Ops[1].Seq = 0 },
		},
		"an answer without a sequence, out of order": {
			change: func(h *checker.History) {
				h.Ops[1].Seq = 0
				h.Receipts[1].At = at(335)
			},
			reordered: 1, says: "crm got event e2 of supplier:dashboard:42, sequence 12, at 15:00:00.335, after 13",
		},
		"no ClickHouse": {change: func(h *checker.History) { h.Rows = nil }},
	} {
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

// again has the integration get an event another time.
func again(h *checker.History, i int, when time.Time, delivery string) {
	g := h.Receipts[i]
	g.At, g.DeliveryID = when, delivery
	h.Receipts = append(h.Receipts, g)
}

// publish adds another event that was not accepted.
func publish(h *checker.History, outcome checker.Outcome, node string, start, end time.Time) {
	h.Ops = append(h.Ops, checker.Op{Channel: channel, ID: "e5", Node: node, Outcome: outcome, Start: start, End: end})
}

// unanswered has the broken node not answer for an event.
func unanswered(h *checker.History, i int) {
	h.Ops[i].Node, h.Ops[i].Outcome, h.Ops[i].Seq = "n1", checker.Unanswered, 0
	h.Logs = nil
}

func TestMissing(t *testing.T) {
	t.Parallel()
	h := sound()
	if n := checker.Missing(h); n != 0 {
		t.Errorf("%d are missing, where all arrived", n)
	}
	h.Receipts, h.Sightings = h.Receipts[1:], h.Sightings[:2]
	unanswered(h, 1)
	if n := checker.Missing(h); n != 3 {
		t.Errorf("%d are missing, want 3", n)
	}
	h.Sightings = h.Sightings[:1]
	if n := checker.Missing(h); n != 3 {
		t.Errorf("%d are missing, want 3: what was not answered need not arrive", n)
	}
	h.Logs = map[string][]checker.Entry{channel: {{EventID: "e2", Seq: 12}}}
	if n := checker.Missing(h); n != 4 {
		t.Errorf("%d are missing, want 4: the log has what was not answered", n)
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	h := sound()
	h.Ops[2].End = at(900)
	for i, outcome := range []checker.Outcome{checker.Refused, checker.Unsent, checker.Unanswered, checker.Failed} {
		h.Ops = append(h.Ops, checker.Op{Channel: channel, ID: fmt.Sprintf("e%d", 5+i), Node: "n1", Outcome: outcome, Start: at(450), End: at(460)})
	}
	r := checker.Check(h)
	if r.Accepted != 4 || r.Refused != 1 || r.Unanswered != 2 || r.Failed != 1 || r.Slowest != 600*time.Millisecond {
		t.Errorf("accepted %d, refused %d, unanswered %d, failed %d, the slowest %v; want 4, 1, 2, 1, 600ms",
			r.Accepted, r.Refused, r.Unanswered, r.Failed, r.Slowest)
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	h := sound()
	h.Ops[2].Outcome, h.Ops[2].Seq = checker.Unanswered, 0
	h.Routes[channel] = []string{"crm", "venue"}
	for i, ms := range []int{130, 230, 330, 930} { // while crm gets its own
		h.Receipts = append(h.Receipts, checker.Receipt{Integration: "venue", Channel: channel, EventID: h.Ops[i].ID, DeliveryID: "d-" + h.Ops[i].ID, At: at(ms)})
	}
	h.Sightings[3].At = at(620)
	r := checker.Check(h)
	if r.Accepted != 3 || r.AcceptGap != 200*time.Millisecond || r.DeliveryGap != 600*time.Millisecond || r.LiveGap != 300*time.Millisecond {
		t.Errorf("accepted %d; gaps %v, %v, %v; want 3, 200ms, 600ms, 300ms", r.Accepted, r.AcceptGap, r.DeliveryGap, r.LiveGap)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	t.Parallel()
	h := sound()
	h.Receipts, h.Rows, h.Logs = nil, nil, nil
	for i := range 200 {
		h.Ops = append(h.Ops, checker.Op{Channel: "other", ID: fmt.Sprint(i), Outcome: checker.Accepted, Seq: uint64(100 + i), Start: at(i), End: at(i)})
	}
	h.Routes["other"] = []string{"crm"}
	if r := checker.Check(h); r.Lost != 204 || len(r.Findings) != 50 {
		t.Errorf("lost %d with %d findings; want 204 with 50", r.Lost, len(r.Findings))
	}
}
