package checker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
)

var t0 = time.Date(2027, 6, 19, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

// good is a history of four events on one channel, to one integration and one subscriber, with a fault at the
// second one.
func good() *checker.History {
	h := &checker.History{
		Routes: map[string][]string{"a:b": {"crm"}}, Watchers: map[string][]string{"a:b": {"ann"}},
		Faults: []checker.Window{{From: at(150), To: at(250)}}, Grace: time.Second,
	}
	for i := range 4 {
		id := fmt.Sprint("e", i)
		h.Ops = append(h.Ops, checker.Op{Channel: "a:b", ID: id, Seq: uint64(i + 1), Start: at(i * 100), End: at(i*100 + 10)})
		h.Receipts = append(h.Receipts, checker.Receipt{Integration: "crm", Channel: "a:b", EventID: id, DeliveryID: "d" + id, At: at(i*100 + 20)})
		h.Sightings = append(h.Sightings, checker.Sighting{Subscriber: "ann", Channel: "a:b", EventID: id, Seq: uint64(i + 1), At: at(i*100 + 15)})
	}
	return h
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change                             func(h *checker.History)
		lost, reordered, duplicates, wrong int
		says                               string
	}{
		"nothing": {change: func(*checker.History) {}},
		"lost at a vendor": {
			change: func(h *checker.History) { h.Receipts = h.Receipts[:3] }, lost: 1, says: "crm never got event e3",
		},
		"lost at a subscriber": {
			change: func(h *checker.History) { h.Sightings = h.Sightings[:3] }, lost: 1, says: "ann never saw event e3",
		},
		"not accepted, and not there": {change: func(h *checker.History) {
			h.Ops[3].Outcome = checker.Unknown
			h.Receipts, h.Sightings = h.Receipts[:3], h.Sightings[:3]
		}},
		"not answered, and there": {change: func(h *checker.History) { h.Ops[3].Outcome = checker.Unknown }},
		"reordered at a vendor": {
			change: func(h *checker.History) { h.Receipts[1].At, h.Receipts[2].At = h.Receipts[2].At, h.Receipts[1].At }, reordered: 1,
			says: "sequence 2, at 12:00:00.220, after 3",
		},
		"reordered at a subscriber": {
			change:    func(h *checker.History) { h.Sightings[1], h.Sightings[2] = h.Sightings[2], h.Sightings[1] },
			reordered: 1, says: "ann saw sequence 2 of a:b",
		},
		"again around a fault": {change: func(h *checker.History) {
			again := h.Receipts[1]
			again.At = at(900)
			h.Receipts = append(h.Receipts, again)
		}, duplicates: 1},
		"again far from any fault": {change: func(h *checker.History) {
			again := h.Receipts[1]
			again.At = at(5000)
			h.Receipts = append(h.Receipts, again)
		}, wrong: 1, says: "far from any fault"},
		"again as another delivery": {change: func(h *checker.History) {
			again := h.Receipts[1]
			again.At, again.DeliveryID = at(300), "other"
			h.Receipts = append(h.Receipts, again)
		}, wrong: 1, says: "as delivery de1 and as other"},
		"seen twice": {
			change: func(h *checker.History) { h.Sightings = append(h.Sightings, h.Sightings[3]) }, wrong: 1, says: "twice",
		},
		"published by nobody": {change: func(h *checker.History) {
			h.Receipts = append(h.Receipts, checker.Receipt{Integration: "crm", Channel: "a:b", EventID: "x", DeliveryID: "dx", At: at(500)})
		}, wrong: 1, says: "nobody published"},
		"another sequence here than there": {
			change: func(h *checker.History) { h.Sightings[3].Seq = 9 }, wrong: 1, says: "and 4 elsewhere",
		},
		"a later append with an earlier sequence": {change: func(h *checker.History) {
			for i, seq := range []uint64{1, 3, 2, 4} {
				h.Ops[i].Seq = seq
			}
			h.Sightings, h.Watchers, h.Receipts, h.Routes = nil, nil, nil, nil
		}, wrong: 1, says: "cannot have happened"},
		"side by side in either order": {change: func(h *checker.History) {
			for i, seq := range []uint64{1, 3, 2, 4} {
				h.Ops[i].Seq, h.Ops[i].Client = seq, i
			}
			h.Ops[1].End = at(215)
			h.Sightings, h.Watchers, h.Receipts, h.Routes = nil, nil, nil, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := good()
			tc.change(h)
			r := checker.Check(h)
			if r.Lost != tc.lost || r.Reordered != tc.reordered || r.Duplicates != tc.duplicates || r.Wrong != tc.wrong {
				t.Errorf("%+v", r)
			}
			if clean := tc.lost+tc.reordered+tc.wrong == 0; r.Clean() != clean || !strings.Contains(strings.Join(r.Findings, "\n"), tc.says) {
				t.Errorf("clean %v, findings %q", r.Clean(), r.Findings)
			}
		})
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	h := good()
	h.Ops[3].End, h.Receipts[3].At, h.Sightings[3].At = at(1210), at(2220), at(3215)
	if r := checker.Check(h); r.Accepted != 4 || r.AcceptGap != time.Second || r.DeliveryGap != 2*time.Second || r.LiveGap != 3*time.Second {
		t.Errorf("%+v", r)
	}
}
