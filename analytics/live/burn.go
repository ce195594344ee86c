package live

import (
	"time"

	"github.com/wedsync/wedsync/analytics"
)

// SuddenPair finds what begins to fail at once. The workbook's pairs measure against an hour and more, so that after
// a good hour a tenth of all deliveries can fail for three quarters of an hour before the first of them says so;
// this one says so within a minute and a half.
func SuddenPair() analytics.BurnPair {
	return analytics.BurnPair{Short: time.Minute, Long: 2 * time.Minute, Threshold: 14.4, Severity: analytics.SeverityPage}
}

// Burn tells how fast each row's budgets are spent, over pairs of windows; those that go back further than the
// Report, which is one by the minute, are never burning. A window ends with the minute that goes on, and covers no more than
// it says.
func (r *Report) Burn(now time.Time, pairs ...analytics.BurnPair) []analytics.BurnRow {
	var rows []analytics.BurnRow
	for _, row := range r.Rows {
		in := func(window time.Duration) analytics.Tally {
			var sum analytics.Tally
			for _, m := range row.Minutes {
				if window <= Span && m.At > now.Unix()/60-int64(window/time.Minute) {
					sum.Add(m.Tally)
				}
			}
			return sum
		}
		out := analytics.BurnRow{Key: row.Key}
		for _, p := range pairs {
			for _, o := range []analytics.Objective{analytics.ForSuccess, analytics.ForLatency} {
				out.Burn = append(out.Burn, analytics.NewBurn(o, p, in))
			}
		}
		rows = append(rows, out)
	}
	return rows
}

// Young is since when the numbers are counted, where that is less than Span ago: as on a node that was started since.
// It is zero otherwise.
func (r *Report) Young(now time.Time) time.Time {
	if r.Since.After(now.Add(time.Minute - Span)) {
		return r.Since
	}
	return time.Time{}
}
