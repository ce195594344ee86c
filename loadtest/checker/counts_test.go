package checker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
)

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
