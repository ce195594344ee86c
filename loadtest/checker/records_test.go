package checker_test

import (
	"testing"

	"github.com/wedsync/wedsync/loadtest/checker"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	check(t, map[string]flaw{
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
	})
}
