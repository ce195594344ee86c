package analytics_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/queries"
)

// What the tables say is computed here a second time, from the records and with nothing of the package.

func keyOf(d *event.DeliveryRecord, by analytics.Dimension) string {
	return map[analytics.Dimension]string{
		analytics.ByOverall: "", analytics.ByVendor: d.Vendor, analytics.ByCategory: string(d.Category),
		analytics.ByIntegration: d.Integration, analytics.ByEventType: d.EventType, analytics.ByWedding: d.WeddingID,
	}[by]
}

// tally counts what ended from the first to the last minute or hour that the two times are in.
func tally(records []*event.Record, by analytics.Dimension, from, to time.Time) map[string]analytics.Tally {
	step := time.Minute
	if to.Sub(from) > 6*time.Hour {
		step = time.Hour
	}
	return tallyBetween(records, by, from.Truncate(step), to.Truncate(step).Add(step))
}

// tallyBetween counts what ended in [from, to).
func tallyBetween(records []*event.Record, by analytics.Dimension, from, to time.Time) map[string]analytics.Tally {
	sums := map[string]analytics.Tally{}
	for _, r := range records {
		d := r.Delivery
		if d == nil || d.Result == nil {
			continue
		}
		at, recovered := d.Result.FinishedAt, d.Replay > 0 && !d.Died.IsZero() && d.Result.Outcome == event.Delivered
		if recovered {
			at = d.Died
		}
		if at.Before(from) || !at.Before(to) || d.Replay > 0 && !recovered {
			continue
		}
		t := sums[keyOf(d, by)]
		switch {
		case recovered:
			t.Recovered++
		case d.Result.Outcome == event.Skipped:
			t.Excluded++
		case d.Result.Outcome == event.Dead:
			t.Total++
			t.Dead++
		default:
			t.Total++
			t.Delivered++
			if d.Result.FinishedAt.UnixMicro()-d.AcceptedAt.UnixMicro() <= 5_000_000 {
				t.InTime++
			}
		}
		sums[keyOf(d, by)] = t
	}
	for key, t := range sums {
		t.Delivered, t.Dead = t.Delivered+t.Recovered, t.Dead-t.Recovered
		sums[key] = t
	}
	return sums
}

func standing(t analytics.Tally) analytics.Standing {
	sli := func(good uint64, objective, budget float64) analytics.SLI {
		s := analytics.SLI{Rate: 1, Objective: objective, Met: true, BudgetLeft: 1}
		if t.Total > 0 {
			s.Rate = float64(good) / float64(t.Total)
			s.Met = s.Rate >= objective
			s.BudgetLeft = 1 - float64(t.Total-good)/(budget*float64(t.Total))
		}
		return s
	}
	return analytics.Standing{Tally: t, Success: sli(t.Delivered, 0.995, 0.005), Latency: sli(t.InTime, 0.99, 0.01)}
}

func burns(in func(time.Duration) analytics.Tally) []analytics.Burn {
	var all []analytics.Burn
	for _, objective := range []struct {
		name   analytics.Objective
		budget float64
		good   func(analytics.Tally) uint64
	}{
		{"success", 0.005, func(t analytics.Tally) uint64 { return t.Delivered }},
		{"latency", 0.01, func(t analytics.Tally) uint64 { return t.InTime }},
	} {
		window := func(w time.Duration) analytics.BurnWindow {
			t := in(w)
			b := analytics.BurnWindow{Window: event.Duration(w), Total: t.Total, Bad: t.Total - objective.good(t)}
			if t.Total > 0 {
				b.Rate = float64(b.Bad) / float64(b.Total) / objective.budget
			}
			return b
		}
		for _, pair := range []struct {
			short, long time.Duration
			threshold   float64
			severity    analytics.Severity
		}{{5 * time.Minute, time.Hour, 14.4, "page"}, {30 * time.Minute, 6 * time.Hour, 6, "page"}, {6 * time.Hour, 72 * time.Hour, 1, "ticket"}} {
			b := analytics.Burn{Objective: objective.name, Severity: pair.severity, Threshold: pair.threshold, Short: window(pair.short), Long: window(pair.long)}
			b.Burning = min(b.Short.Rate, b.Long.Rate) >= pair.threshold
			all = append(all, b)
		}
	}
	return all
}

func sloOf(records []*event.Record, by analytics.Dimension, since, now time.Time) []analytics.SLORow {
	rows := []analytics.SLORow{}
	sums := tally(records, by, since, now)
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		in := func(w time.Duration) analytics.Tally { return tally(records, by, now.Add(-w), now)[key] }
		row := analytics.SLORow{Key: key, Standing: standing(sums[key]), Burn: burns(in)}
		for _, w := range []time.Duration{time.Hour, 24 * time.Hour, 168 * time.Hour, 720 * time.Hour} {
			row.Windows = append(row.Windows, analytics.SLOWindow{Window: event.Duration(w), Standing: standing(in(w))})
		}
		rows = append(rows, row)
	}
	return rows
}

// burntOf is what died for good in a report's time, by what it has in common.
func burntOf(records []*event.Record, since, now time.Time) analytics.Burnt {
	step := time.Minute
	if now.Sub(since) > 6*time.Hour {
		step = time.Hour
	}
	from, to := since.Truncate(step), now.Truncate(step).Add(step)
	recovered, all := map[string]bool{}, 0
	for _, r := range records {
		if d := r.Delivery; d != nil && d.Result != nil && d.Replay > 0 && !d.Died.IsZero() && d.Result.Outcome == event.Delivered {
			recovered[d.ID] = true
		}
	}
	var by [3]map[string]uint64
	for i := range by {
		by[i] = map[string]uint64{}
	}
	for _, r := range records {
		d := r.Delivery
		if d == nil || d.Result == nil || d.Replay > 0 || d.Result.Outcome != event.Dead || recovered[d.ID] ||
			d.Result.FinishedAt.Before(from) || !d.Result.FinishedAt.Before(to) {
			continue
		}
		all++
		for i, key := range []string{d.Vendor, d.Result.Reason, d.WeddingID} {
			by[i][key]++
		}
	}
	var top [3][]analytics.BurntBy
	for i := range top {
		top[i] = []analytics.BurntBy{}
		for key, dead := range by[i] {
			top[i] = append(top[i], analytics.BurntBy{Key: key, Dead: dead, Share: float64(dead) / float64(all)})
		}
		slices.SortFunc(top[i], func(a, b analytics.BurntBy) int {
			return cmp.Or(cmp.Compare(b.Dead, a.Dead), cmp.Compare(a.Key, b.Key))
		})
		top[i] = top[i][:min(10, len(top[i]))]
	}
	return analytics.Burnt{Vendors: top[0], Reasons: top[1], Weddings: top[2]}
}

func TestSLOAgreesWithTheRecords(t *testing.T) {
	t.Parallel()
	store, records := recorded(t, 5, 6000)
	base := newSeason().base
	for _, by := range analytics.Dimensions() {
		for name, q := range map[string]analytics.SLOQuery{
			"month":    {Now: base.Add(17 * time.Minute)},
			"two days": {Now: base.Add(-time.Second), Since: base.Add(-48*time.Hour - time.Second)},
			"minutes":  {Now: base.Add(-25 * time.Hour), Since: base.Add(-25*time.Hour - 77*time.Second)},
			"six":      {Now: base, Since: base.Add(-6 * time.Hour)},
			"none":     {Now: base.Add(-60 * 24 * time.Hour)},
		} {
			q.By = by
			t.Run(string(by)+" "+name, func(t *testing.T) {
				t.Parallel()
				got, err := store.SLO(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				since := q.Since
				if since.IsZero() {
					since = q.Now.Add(-30 * 24 * time.Hour)
				}
				want := sloOf(records, by, since, q.Now)
				if !reflect.DeepEqual(got.Rows, want) {
					t.Errorf("rows\n%+v\nwant\n%+v", got.Rows, want)
				}
				if want := burntOf(records, since, q.Now); !reflect.DeepEqual(got.Burnt, want) {
					t.Errorf("burnt\n%+v\nwant\n%+v", got.Burnt, want)
				}
				if from := analytics.WindowStart(q.Now, q.Now.Sub(since)); !got.Since.Equal(from) || !got.Now.Equal(q.Now) || got.By != by {
					t.Errorf("it is by %s, from %s to %s; want %s", got.By, got.Since, got.Now, from)
				}
				if name == "month" && len(got.Rows) == 0 || name == "none" && len(got.Rows) != 0 {
					t.Errorf("%d rows", len(got.Rows))
				}
			})
		}
		t.Run(string(by)+" burn", func(t *testing.T) {
			t.Parallel()
			got, err := store.Burn(t.Context(), analytics.SLOQuery{By: by, Now: base})
			if err != nil {
				t.Fatal(err)
			}
			var want []analytics.BurnRow
			for _, key := range slices.Sorted(maps.Keys(tally(records, by, base.Add(-72*time.Hour), base))) {
				want = append(want, analytics.BurnRow{Key: key, Burn: burns(func(w time.Duration) analytics.Tally {
					return tally(records, by, base.Add(-w), base)[key]
				})})
			}
			if !reflect.DeepEqual(got, want) || len(got) == 0 {
				t.Errorf("burn\n%+v\nwant\n%+v", got, want)
			}
		})
	}
	t.Run("series", func(t *testing.T) {
		t.Parallel()
		for name, c := range map[string]struct{ window, step time.Duration }{
			"an hour": {time.Hour, time.Minute}, "six hours": {6 * time.Hour, 6 * time.Minute}, "a week": {168 * time.Hour, time.Hour},
			"a month": {720 * time.Hour, 6 * time.Hour}, "a year": {8760 * time.Hour, 168 * time.Hour},
		} {
			for _, by := range []analytics.Dimension{analytics.ByOverall, analytics.ByVendor} {
				q := analytics.SLOQuery{By: by, Now: base, Since: base.Add(-c.window)}
				key := ""
				if by == analytics.ByVendor {
					key = "slack"
				}
				got, err := store.Series(t.Context(), q, key)
				if err != nil || time.Duration(got.Step) != c.step || got.Key != key || !got.Since.Equal(analytics.WindowStart(base, c.window)) {
					t.Fatalf("%s: %+v %v", name, got, err)
				}
				var want []analytics.SLOPoint
				end := base.Truncate(time.Minute).Add(time.Minute)
				if c.window > 6*time.Hour {
					end = base.Truncate(time.Hour).Add(time.Hour)
				}
				first := time.Unix(got.Since.Unix()/int64(c.step.Seconds())*int64(c.step.Seconds()), 0).UTC()
				for at := first; at.Before(end); at = at.Add(c.step) {
					from, to := at, at.Add(c.step)
					if from.Before(got.Since) {
						from = got.Since
					}
					if to.After(end) {
						to = end
					}
					if sum, ok := tallyBetween(records, by, from, to)[key]; ok {
						want = append(want, analytics.SLOPoint{At: at, Tally: sum})
					}
				}
				if !reflect.DeepEqual(got.Points, want) || len(want) == 0 {
					t.Errorf("%s by %s\n%+v\nwant\n%+v", name, by, got.Points, want)
				}
			}
		}
		if _, err := store.Series(t.Context(), analytics.SLOQuery{}, ""); err == nil {
			t.Error("a query without Now is answered")
		}
	})
	t.Run("among", func(t *testing.T) {
		t.Parallel()
		q := analytics.SLOQuery{By: analytics.ByIntegration, Now: base, Among: []string{"slack-1", "it's none"}}
		report, err := store.SLO(t.Context(), q)
		rows, burnErr := store.Burn(t.Context(), q)
		if err != nil || burnErr != nil || len(report.Rows) != 1 || report.Rows[0].Key != "slack-1" || len(rows) != 1 || rows[0].Key != "slack-1" ||
			len(report.Burnt.Vendors) != 1 || report.Burnt.Vendors[0].Dead != report.Rows[0].Dead {
			t.Errorf("%+v %v, %+v %v", report, err, rows, burnErr)
		}
		q.Among = []string{}
		if report, err := store.SLO(t.Context(), q); err != nil || len(report.Rows) != 0 {
			t.Errorf("among none: %+v %v", report, err)
		}
	})
}

// A few deliveries whose numbers a person can check.
func TestSLOByHand(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store, log := openStore(t, dsn), newLog()
	now := time.Now().UTC().Truncate(time.Hour).Add(30 * time.Minute)
	end := func(id string, outcome event.Outcome, latency, ago time.Duration, more ...func(*event.DeliveryRecord)) {
		d := &event.DeliveryRecord{
			ID: id, Vendor: "slack", AcceptedAt: now.Add(-ago - latency), Result: &event.Result{Outcome: outcome, FinishedAt: now.Add(-ago)},
		}
		for _, set := range more {
			set(d)
		}
		log.append(&event.Record{V: 1, Node: "n", Delivery: d})
	}
	replay := func(d *event.DeliveryRecord) { d.Replay, d.Died = 1, now.Add(-170*time.Minute) }
	reason := func(reason string) func(*event.DeliveryRecord) {
		return func(d *event.DeliveryRecord) { d.Result.Reason = reason }
	}
	pausedUntil := func(ago time.Duration) func(*event.DeliveryRecord) {
		return func(d *event.DeliveryRecord) { d.PausedUntil = now.Add(-ago) }
	}
	end("in time", event.Delivered, 5*time.Second, 2*time.Hour)
	end("late", event.Delivered, 5*time.Second+time.Microsecond, 2*time.Hour)
	end("in time after a pause", event.Delivered, time.Hour, 2*time.Hour, pausedUntil(2*time.Hour+5*time.Second))
	end("late after a pause", event.Delivered, time.Hour, 2*time.Hour, pausedUntil(2*time.Hour+6*time.Second))
	end("dead", event.Dead, time.Second, 4*time.Minute, reason("rejected"))
	end("waited too long", event.Dead, 24*time.Hour, 3*time.Minute, reason(event.ReasonExpired))
	end("waited too long while paused", event.Dead, 24*time.Hour, 2*time.Minute, reason(event.ReasonExpired), pausedUntil(2*time.Minute))
	end("opted out", event.Dead, time.Second, time.Hour, reason(event.ReasonOptedOut))
	end("skipped", event.Skipped, time.Second, time.Hour)
	end("replayed", event.Dead, time.Second, 170*time.Minute)
	end("replayed", event.Delivered, 2*time.Second, time.Minute, replay)
	end("replayed in vain", event.Dead, time.Second, 170*time.Minute)
	end("replayed in vain", event.Dead, time.Second, time.Minute, replay)
	end("a minute ahead", event.Dead, time.Second, -time.Minute)
	r := run(t, store, log, quick())
	r.reaches(t, 14, time.Minute)
	report, err := store.SLO(t.Context(), analytics.SLOQuery{By: analytics.ByVendor, Since: now.Add(-3 * time.Hour), Now: now})
	if err != nil || len(report.Rows) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	row := report.Rows[0]
	if row.Key != "slack" || row.Tally != (analytics.Tally{Total: 8, Delivered: 5, Dead: 3, InTime: 2, Recovered: 1, Excluded: 3}) {
		t.Errorf("row %+v", row)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("success rate", row.Success.Rate, 5.0/8)
	near("success budget", row.Success.BudgetLeft, 1-3/(0.005*8))
	near("latency rate", row.Latency.Rate, 2.0/8)
	near("latency budget", row.Latency.BudgetLeft, 1-6/(0.01*8))
	near("burn in 5m", row.Burn[0].Short.Rate, 200)
	near("burn in 6h", row.Burn[1].Long.Rate, 3.0/8/0.005)
	near("latency burn in 6h", row.Burn[4].Long.Rate, 6.0/8/0.01)
	if row.Success.Met || row.Latency.Met || !row.Burn[0].Burning {
		t.Error("the objectives are met, or nothing burns")
	}
}

// Windows of days, and what burnt the budget, are told from projections: ClickHouse refuses to if it cannot.
func TestProjectionsAnswer(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	log := newLog()
	log.append(newSeason().records(0, 100)...)
	r := run(t, openStore(t, dsn), log, quick())
	r.reaches(t, 100, time.Minute)
	conn := connect(t, dsn)
	for projection, query := range map[string]string{"failures": queries.Burnt, "days": queries.ByDays} {
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"force_optimize_projection": 1}), clickhouse.WithParameters(clickhouse.Parameters{
			"from": "0", "until": "4294967295", "top": "10", "all": "true", "among": "[]", "by": "vendor", "now": fmt.Sprint(time.Now().Unix()),
			"days": "['1970-01-01','2100-01-01','2100-01-01','2100-01-01','2100-01-01']", "edges": "['1970-01-01','2100-01-01']",
		}))
		ask := func(query string) (lines []string) {
			t.Helper()
			rows, err := conn.Query(ctx, query)
			if err != nil {
				t.Fatalf("%s\n%v", query, err)
			}
			defer rows.Close()
			for rows.Next() {
				var line string
				if strings.HasPrefix(query, "EXPLAIN") {
					err = errors.Join(err, rows.Scan(&line))
				}
				lines = append(lines, line)
			}
			if err = errors.Join(err, rows.Err()); err != nil {
				t.Fatalf("%s\n%v", query, err)
			}
			return lines
		}
		if len(ask(query)) == 0 {
			t.Errorf("%s: nothing is found", projection)
		}
		for _, line := range ask("EXPLAIN " + query) {
			if strings.Contains(line, "ReadFromMergeTree") && !strings.Contains(line, "("+projection+")") {
				t.Errorf("%s: %s", projection, line)
			}
		}
	}
}

func TestNewSLI(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		good, total uint64
		met         bool
		left        float64
	}{{0, 0, true, 1}, {1000, 1000, true, 1}, {995, 1000, true, 0}, {990, 1000, false, -1}, {9975, 10_000, true, 0.5}} {
		s := analytics.NewSLI(analytics.ForSuccess, analytics.Tally{Total: c.total, Delivered: c.good})
		if s.Met != c.met || math.Abs(s.BudgetLeft-c.left) > 1e-9 {
			t.Errorf("%d of %d: %+v, want met %v and %v left", c.good, c.total, s, c.met, c.left)
		}
	}
}

// Both windows have to burn: what is over does not, nor does a moment's trouble.
func TestNewBurns(t *testing.T) {
	t.Parallel()
	of := func(total, delivered, inTime uint64) analytics.Tally {
		return analytics.Tally{Total: total, Delivered: delivered, Dead: total - delivered, InTime: inTime}
	}
	for name, c := range map[string]struct {
		in      map[time.Duration]analytics.Tally
		burning []string
	}{
		"nothing ended": {},
		"7.2 % failed": {map[time.Duration]analytics.Tally{
			5 * time.Minute: of(100000, 92799, 92799), time.Hour: of(100000, 92799, 92799),
		}, []string{"success 5m0s"}},
		"somewhat less": {map[time.Duration]analytics.Tally{
			5 * time.Minute: of(100000, 92799, 92799), time.Hour: of(100000, 92801, 92801),
		}, nil},
		"over":       {map[time.Duration]analytics.Tally{5 * time.Minute: of(100, 100, 100), time.Hour: of(1000, 500, 500)}, nil},
		"just begun": {map[time.Duration]analytics.Tally{5 * time.Minute: of(100, 50, 50), time.Hour: of(100000, 99950, 99950)}, nil},
		"late":       {map[time.Duration]analytics.Tally{30 * time.Minute: of(100, 100, 93), 6 * time.Hour: of(1000, 1000, 930)}, []string{"latency 30m0s"}},
		"for days": {map[time.Duration]analytics.Tally{
			30 * time.Minute: of(100, 100, 100), 6 * time.Hour: of(1000, 989, 989), 72 * time.Hour: of(10000, 9940, 9895),
		}, []string{"success 6h0m0s", "latency 6h0m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := func(w time.Duration) analytics.Tally { return c.in[w] }
			all := analytics.NewBurns(in)
			if want := burns(in); !reflect.DeepEqual(all, want) {
				t.Errorf("burns %+v, want %+v", all, want)
			}
			var burning []string
			for _, b := range all {
				if b.Burning {
					burning = append(burning, fmt.Sprint(b.Objective, " ", time.Duration(b.Short.Window)))
				}
			}
			if !slices.Equal(burning, c.burning) {
				t.Errorf("%q burn, want %q", burning, c.burning)
			}
		})
	}
}

func TestBadSLOQueries(t *testing.T) {
	t.Parallel()
	store := openStore(t, "clickhouse://127.0.0.1:1")
	now := time.Now()
	for want, q := range map[string]analytics.SLOQuery{
		`"planet"`:       {By: "planet", Now: now},
		"Now is not set": {},
		"must be before": {Now: now, Since: now},
		"ask by integr":  {By: "vendor", Now: now, Among: []string{"a"}},
	} {
		if _, err := store.SLO(t.Context(), q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if _, err := store.Burn(t.Context(), q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("burn: error %v, want %q", err, want)
		}
	}
}

// agree checks that the rollups say what the deliveries do, of every minute, hour and key; of minutes those of a week, for
// which they are kept.
func agree(t testing.TB, conn driver.Conn) {
	t.Helper()
	for table, c := range map[string]struct{ column, start, since string }{
		"slo_minutes": {"minute", "toStartOfMinute", "today() - 7"}, "slo_hours": {"hour", "toStartOfHour", "0"},
	} {
		raw := `SELECT arrayJoin([('overall', ''), ('vendor', vendor), ('category', category), ('integration', integration),
				('event_type', event_type), ('wedding', wedding_id)]::Array(Tuple(String, String))) AS of,
			replay > 0 AND outcome = 'delivered' AND died_at > 0 AS again, ` + c.start + `(if(again, died_at, finished_at)) AS at,
			log_epoch, log_generation, countIf(excluded = '' AND outcome = 'delivered') AS a, countIf(excluded = '' AND outcome = 'dead') AS b,
			countIf(excluded = '' AND outcome = 'delivered' AND latency_us <= 5000000) AS c, countIf(again) AS d,
			countIf(excluded NOT IN ('', 'replay')) AS e, max(log_seq) AS last
			FROM deliveries WHERE at >= ` + c.since + ` AND of != ('wedding', 'erased') AND (excluded != 'replay' OR again)
			GROUP BY of, again, at, log_epoch, log_generation`
		raw = `SELECT of, at, log_epoch, log_generation, sum(a), sum(b), sum(c), sum(d), sum(e), max(last) FROM (` + raw + `) GROUP BY of, at, log_epoch, log_generation`
		rolled := `SELECT (dimension, key)::Tuple(String, String) AS of, ` + c.column + ` AS at, log_epoch, log_generation, sum(delivered), sum(dead),
			sum(in_time), sum(recovered), sum(excluded), max(last_seq) FROM ` + table + ` WHERE at >= ` + c.since + ` GROUP BY of, at, log_epoch, log_generation`
		var rows, missing, more uint64
		err := conn.QueryRow(t.Context(), "SELECT (SELECT count() FROM ("+raw+")), (SELECT count() FROM ("+raw+" EXCEPT "+rolled+
			")), (SELECT count() FROM ("+rolled+" EXCEPT "+raw+"))").Scan(&rows, &missing, &more)
		if err != nil {
			t.Fatal(err)
		}
		if missing > 0 || more > 0 || rows == 0 {
			t.Errorf("of %d rows, %s has %d not, or otherwise, and %d that should not be", rows, table, missing, more)
		}
	}
}
