package live_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/live"
)

// clock stands until it is moved.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2027, 6, 12, 14, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time        { return c.at }
func (c *clock) move(by time.Duration) { c.at = c.at.Add(by) }
func (c *clock) minute() int64         { return c.at.Unix() / 60 }

// ended is the record of a delivery that took so long; below zero it died.
func ended(c *clock, vendor, integration string, took time.Duration) *event.DeliveryRecord {
	r := &event.DeliveryRecord{
		Vendor: vendor, Integration: integration, AcceptedAt: c.at.Add(-took),
		Result: &event.Result{Outcome: event.Delivered, FinishedAt: c.at},
	}
	if took < 0 {
		r.AcceptedAt, r.Result.Outcome = c.at, event.Dead
	}
	return r
}

// model counts the same in another way: every delivery and call by itself.
type model struct {
	bound  int64 // nothing before this minute is known
	events []happened
}

type happened struct {
	minute              int64
	vendor, integration string
	attempt, ok         bool
	excluded            bool
	took                time.Duration
}

func (m *model) rows(q live.Query, now int64) []live.Row {
	byKey := map[string]map[int64]*live.Minute{}
	histograms := map[*live.Minute]*hdrhistogram.Histogram{}
	for _, e := range m.events {
		key := map[analytics.Dimension]string{analytics.ByVendor: e.vendor, analytics.ByIntegration: e.integration}[q.By]
		if e.minute <= now-int64(q.Last) || e.minute < m.bound || q.Key != "" && q.Key != key || key <= q.After && q.After != "" {
			continue
		}
		at := e.minute
		if !q.Series {
			at = 0
		}
		if byKey[key] == nil {
			byKey[key] = map[int64]*live.Minute{}
		}
		row := byKey[key][at]
		if row == nil {
			row = &live.Minute{At: at}
			byKey[key][at], histograms[row] = row, hdrhistogram.New(1, time.Hour.Microseconds(), 1)
		}
		switch {
		case e.attempt:
			row.Attempts++
			if !e.ok {
				row.Failed++
			}
		case e.excluded:
			row.Excluded++
		case !e.ok:
			row.Total++
			row.Dead++
		default:
			row.Total++
			row.Delivered++
			if e.took <= 5*time.Second {
				row.InTime++
			}
			_ = histograms[row].RecordValue(min(e.took.Microseconds(), time.Hour.Microseconds()))
		}
	}
	rows := []live.Row{}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		row := live.Row{Key: key}
		for _, at := range slices.Sorted(maps.Keys(byKey[key])) {
			m := *byKey[key][at]
			text, _ := json.Marshal(quantiles(histograms[byKey[key][at]]))
			m.Latencies = text // what quantiles there are, in place of the bins
			row.Minutes = append(row.Minutes, m)
		}
		rows = append(rows, row)
	}
	return rows
}

var percents = []float64{0.1, 50, 95, 99, 100}

func quantiles(h *hdrhistogram.Histogram) []time.Duration {
	out := make([]time.Duration, len(percents))
	for i, p := range percents {
		out[i] = time.Duration(h.ValueAtPercentile(p)) * time.Microsecond
	}
	return out
}

// readable has the rows tell quantiles, not bins.
func readable(rows []live.Row) []live.Row {
	out := []live.Row{}
	for _, r := range rows {
		r.Minutes = slices.Clone(r.Minutes)
		for i := range r.Minutes {
			r.Minutes[i].Latencies, _ = json.Marshal(r.Minutes[i].Quantiles(percents...))
		}
		out = append(out, r)
	}
	return out
}

// A day of random deliveries of two nodes is told as a model tells it that keeps each of them and counts with
// HdrHistogram itself: of each node, and of both together.
func TestReportsAreWhatHappened(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- a test's
	c := newClock()
	books := []*live.Book{live.NewBook(live.Config{Now: c.now}), live.NewBook(live.Config{Now: c.now})}
	parts, all := []model{{}, {}}, model{}
	for round := range 1500 {
		n := random.IntN(2)
		vendor := fmt.Sprint("v", random.IntN(4))
		integration := fmt.Sprint(vendor, "-", random.IntN(5))
		e := happened{
			c.minute(), vendor, integration, random.IntN(3) == 0, random.IntN(10) > 0, random.IntN(20) == 0,
			time.Duration(random.ExpFloat64() * float64(2*time.Second)),
		}
		switch {
		case e.attempt:
			books[n].Attempted(vendor, integration, e.ok)
		case e.excluded:
			out := ended(c, vendor, integration, -1)
			out.Result.Reason = event.ReasonOptedOut
			books[n].Ended(out)
			again := ended(c, vendor, integration, e.took) // a replay is in no number
			again.Replay = 1
			books[n].Ended(again)
		case !e.ok:
			books[n].Ended(ended(c, vendor, integration, -1))
		default:
			if random.IntN(50) == 0 {
				e.took *= 10_000 // more than a histogram has
			}
			books[n].Ended(ended(c, vendor, integration, e.took))
		}
		parts[n].events, all.events = append(parts[n].events, e), append(all.events, e)
		c.move(time.Duration(random.ExpFloat64() * float64(20*time.Second)))
		if round%300 == 299 {
			c.move(17 * time.Minute)
		}
		if round%25 > 0 {
			continue
		}
		q := live.Query{
			By:   []analytics.Dimension{analytics.ByOverall, analytics.ByVendor, analytics.ByIntegration}[random.IntN(3)],
			Last: 1 + random.IntN(60), Series: random.IntN(2) == 0,
		}
		switch random.IntN(4) {
		case 0:
			q.Key = map[analytics.Dimension]string{analytics.ByVendor: "v2", analytics.ByIntegration: "v1-3"}[q.By]
		case 1:
			q.After = map[analytics.Dimension]string{analytics.ByVendor: "v1", analytics.ByIntegration: "v1-3"}[q.By]
		}
		if err := q.Validate(); err != nil {
			t.Fatal(err)
		}
		sum := books[0].Report(q)
		for i, b := range books {
			if got, want := readable(b.Report(q).Rows), parts[i].rows(q, c.minute()); !reflect.DeepEqual(got, want) {
				t.Fatalf("round %d, %+v: node %d tells\n%s\nwant\n%s", round, q, i, show(got), show(want))
			}
		}
		if err := sum.Add(books[1].Report(q)); err != nil {
			t.Fatal(err)
		}
		if got, want := readable(sum.Rows), all.rows(q, c.minute()); !reflect.DeepEqual(got, want) {
			t.Fatalf("round %d, %+v: together they tell\n%s\nwant\n%s", round, q, show(got), show(want))
		}
	}
}

func show(rows []live.Row) string {
	text, err := json.Marshal(rows)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// A report is read in parts.
func TestReportsInParts(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := live.NewBook(live.Config{Now: c.now})
	for i := range 10 {
		b.Ended(ended(c, "slack", fmt.Sprint("i", i), time.Second))
		c.move(20 * time.Second)
	}
	whole := b.Report(live.Query{By: analytics.ByIntegration, Last: 60, Series: true})
	var parts []live.Row
	for q := (live.Query{By: analytics.ByIntegration, Last: 60, Series: true, MaxRows: 3}); ; {
		r := b.Report(q)
		if parts = append(parts, r.Rows...); !r.More {
			break
		}
		if len(r.Rows) != 3 {
			t.Fatalf("%d rows, and more", len(r.Rows))
		}
		q.After = r.Rows[2].Key
	}
	if len(whole.Rows) != 10 || show(parts) != show(whole.Rows) {
		t.Errorf("in parts\n%s\nas a whole\n%s", show(parts), show(whole.Rows))
	}
}

// What was read does not change when more is counted, a clock that is set back goes on in the newest minute, and
// what is skipped counts for nothing.
func TestReportsStay(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := live.NewBook(live.Config{Now: c.now})
	q := live.Query{By: analytics.ByVendor, Last: 60, Series: true}
	b.Ended(ended(c, "slack", "a", time.Second))
	before := b.Report(q)
	text := show(before.Rows)
	skipped := ended(c, "slack", "a", time.Second)
	skipped.Result.Outcome = event.Skipped
	b.Ended(skipped)
	if again := b.Report(q).Rows[0].Minutes[0]; again.Total != 1 || again.Excluded != 1 {
		t.Errorf("with one that was skipped: %+v", again)
	}
	c.move(-10 * time.Minute)
	late := ended(c, "slack", "a", time.Hour)
	late.NotBefore = c.at.Add(-time.Second) // a night's quiet hours are nobody's latency
	b.Ended(late)
	c.move(10 * time.Minute)
	if show(before.Rows) != text {
		t.Errorf("what was read has become %s", show(before.Rows))
	}
	after := b.Report(q).Rows[0].Minutes
	if len(after) != 1 || after[0].Delivered != 2 || after[0].InTime != 2 || after[0].At != c.minute() {
		t.Errorf("after a clock that was set back: %+v", after)
	}
}

// The newest minutes are kept in the bytes that are given, and the report says since when. What the package's doc
// says of bytes holds.
func TestBytesAreBounded(t *testing.T) {
	t.Parallel()
	const integrations, deliveries = 100, 30
	random := rand.New(rand.NewPCG(3, 4)) // #nosec G404 -- a test's
	fill := func(b *live.Book, c *clock, minutes int) {
		for range minutes {
			for i := range integrations {
				for range deliveries {
					b.Ended(ended(c, "slack", fmt.Sprint("integration-", i), time.Duration(random.ExpFloat64()*float64(5*time.Millisecond))))
				}
			}
			c.move(time.Minute)
		}
	}
	c := newClock()
	begun := c.at
	b := live.NewBook(live.Config{Now: c.now})
	fill(b, c, 70)
	each := b.Bytes() / integrations
	t.Logf("%d bytes an integration that delivers %d times in each minute", each, deliveries)
	if each > 6200 { // 62 MB for 10,000
		t.Errorf("an integration takes %d bytes", each)
	}
	q := live.Query{By: analytics.ByOverall, Last: 60, Series: true}
	if r := b.Report(q); !r.Since.Equal(begun.Add(11*time.Minute)) || len(r.Rows[0].Minutes) != 59 { // of the minute that has begun there is nothing
		t.Errorf("with room it tells of %d minutes since %v", len(r.Rows[0].Minutes), r.Since)
	}

	c = newClock()
	small := live.NewBook(live.Config{Now: c.now, MaxBytes: 10 * integrations * 85})
	fill(small, c, 70)
	r := small.Report(q)
	minutes := r.Rows[0].Minutes
	if small.Bytes() > 10*integrations*85 || len(minutes) < 8 || len(minutes) > 12 {
		t.Errorf("it takes %d bytes for %d minutes", small.Bytes(), len(minutes))
	}
	if first := time.Unix(60*minutes[0].At, 0); !r.Since.Equal(first) {
		t.Errorf("it tells since %v, and of what was since %v", r.Since, first)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	for want, q := range map[string]live.Query{
		`live numbers by "wedding": use overall, vendor or integration`: {By: analytics.ByWedding, Last: 1},
		"live numbers of the last 0 minutes: 1 to 60 are there":         {By: analytics.ByVendor},
		"live numbers of the last 61 minutes: 1 to 60 are there":        {By: analytics.ByVendor, Last: 61},
		"live numbers: MaxRows is below 0":                              {By: analytics.ByVendor, Last: 5, MaxRows: -1},
	} {
		if err := q.Validate(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// What another node sends and cannot be read changes nothing.
func TestLatenciesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	row := func(l live.Latencies) live.Report {
		return live.Report{Rows: []live.Row{{Key: "slack", Minutes: []live.Minute{{At: 7, Figures: live.Figures{Counts: live.Counts{Tally: analytics.Tally{Total: 1, Delivered: 1}}, Latencies: l}}}}}}
	}
	for _, bad := range []live.Latencies{{0, 1}, {1}, {0xff}, {0xff, 0xff, 0x7f, 1}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, {0xd1, 0x03, 1}} {
		r := row(live.Latencies{3, 1})
		before := show(r.Rows)
		if err := r.Add(row(bad)); err == nil || show(r.Rows) != before {
			t.Errorf("%v: %v, %s", bad, err, show(r.Rows))
		}
		r = row(bad)
		if err := r.Add(row(live.Latencies{3, 1})); err == nil {
			t.Errorf("%v is added to", bad)
		}
		if q := r.Rows[0].Minutes[0].Quantiles(50); q[0] != 0 {
			t.Errorf("%v has the quantile %v", bad, q)
		}
	}
}

func FuzzLatencies(f *testing.F) {
	f.Add([]byte{1, 1, 5, 200, 1})
	f.Add([]byte{0xd0, 0x03, 1})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		packed, err := live.Decode(data)
		if err != nil {
			if len(packed) > 0 {
				t.Fatalf("%v cannot be read (%v) and counts", data, err)
			}
			return
		}
		if again, err := live.Decode(packed); err != nil || !bytes.Equal(again, packed) {
			t.Fatalf("%v is packed as %v, and that as %v, %v", data, packed, again, err)
		}
		(&live.Figures{Latencies: data}).Quantiles(1, 99)
	})
}

// BenchmarkBook counts deliveries of 10,000 integrations.
func BenchmarkBook(b *testing.B) {
	c := newClock()
	book := live.NewBook(live.Config{Now: c.now})
	records := make([]*event.DeliveryRecord, 10_000)
	for i := range records {
		records[i] = ended(c, "slack", fmt.Sprint("integration-", i), time.Duration(i)*time.Microsecond)
	}
	n := 0
	for b.Loop() {
		if n++; n%300_000 == 0 { // 5,000 a second
			c.move(time.Minute)
		}
		book.Ended(records[n%len(records)])
	}
}

// BenchmarkReport asks for the pace, and for one integration, while 10,000 are counted; whoever counts waits meanwhile.
func BenchmarkReport(b *testing.B) {
	for name, q := range map[string]live.Query{
		"overall": {By: analytics.ByOverall, Last: live.PaceMinutes}, "one integration": {By: analytics.ByIntegration, Key: "integration-7", Last: 60, Series: true},
	} {
		b.Run(name, func(b *testing.B) {
			c := newClock()
			book := live.NewBook(live.Config{Now: c.now})
			for i := range 10_000 {
				book.Ended(ended(c, "slack", fmt.Sprint("integration-", i), time.Second))
			}
			for b.Loop() {
				book.Report(q)
			}
		})
	}
}

// Windows end with the minute that goes on and cover no more than they say; what goes back further than the hour does
// not burn.
func TestBurnOfTheLastHour(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := live.NewBook(live.Config{Now: c.now})
	for minute := range 60 {
		for i := range 10 {
			took := time.Second
			if minute >= 57 && i < 2 { // two tenths of the last three minutes
				took = -1
			}
			b.Ended(ended(c, "slack", "a", took))
		}
		if minute < 59 {
			c.move(time.Minute)
		}
	}
	r := b.Report(live.Query{By: analytics.ByVendor, Last: 60, Series: true})
	rows := r.Burn(c.at, append(analytics.BurnPairs(), live.SuddenPair())...)
	type window struct {
		total, bad uint64
		burning    bool
	}
	got := map[time.Duration]window{}
	for _, burn := range rows[0].Burn {
		if burn.Objective == analytics.ForSuccess {
			got[time.Duration(burn.Short.Window)] = window{burn.Short.Total, burn.Short.Bad, burn.Burning}
			got[time.Duration(burn.Long.Window)] = window{burn.Long.Total, burn.Long.Bad, burn.Burning}
		}
	}
	want := map[time.Duration]window{
		time.Minute: {10, 2, true}, 2 * time.Minute: {20, 4, true},
		5 * time.Minute: {50, 6, false}, time.Hour: {600, 6, false},
		30 * time.Minute: {300, 6, false}, 6 * time.Hour: {}, 72 * time.Hour: {},
	}
	if len(rows) != 1 || rows[0].Key != "slack" || len(rows[0].Burn) != 8 || !maps.Equal(got, want) {
		t.Errorf("it tells %+v, as windows %+v", rows, got)
	}
}
