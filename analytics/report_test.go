package analytics_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// recorded returns a store that holds the records, and them.
func recorded(t *testing.T, days, n int) (*analytics.Store, []*event.Record) {
	t.Helper()
	dsn := freshDSN(t)
	store := openStore(t, dsn)
	season, log := newSeason(), newLog()
	season.days = days
	records := season.records(0, n)
	log.append(records...)
	r := run(t, store, log, analytics.RecorderConfig{BatchWait: time.Millisecond})
	r.reaches(t, uint64(n), time.Minute)
	r.stop()
	return store, records
}

// ended is how a delivery ended for good, computed from the records and not from the tables.
type ended struct {
	d       *event.DeliveryRecord
	latency int64 // microseconds
}

// finals returns the deliveries that ended in [from, to), each by its latest replay there.
func finals(records []*event.Record, from, to time.Time) map[string]ended {
	final := map[string]ended{}
	for _, r := range records {
		d := r.Delivery
		if d == nil || d.Result == nil || d.Result.FinishedAt.UnixMicro() < from.UnixMicro() || d.Result.FinishedAt.UnixMicro() >= to.UnixMicro() {
			continue
		}
		if before, ok := final[d.ID]; ok && before.d.Replay > d.Replay {
			continue
		}
		final[d.ID] = ended{d, d.Result.FinishedAt.UnixMicro() - d.AcceptedAt.UnixMicro()}
	}
	return final
}

// quantile is the element with that share of the others below it, the way quantileExact takes it.
func quantile(sorted []int64, level float64) event.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return event.Duration(sorted[int(level*float64(len(sorted)))]) * event.Duration(time.Microsecond)
}

func summaryOf(records []*event.Record, since time.Time) []analytics.IntegrationSummary {
	by := map[string]*analytics.IntegrationSummary{}
	named := func(integration, vendor string) *analytics.IntegrationSummary {
		if by[integration] == nil {
			by[integration] = &analytics.IntegrationSummary{Integration: integration, Vendor: vendor}
		}
		return by[integration]
	}
	of := func(d *event.DeliveryRecord) *analytics.IntegrationSummary { return named(d.Integration, d.Vendor) }
	latencies := map[string][]int64{}
	for _, e := range finals(records, since, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)) {
		s := of(e.d)
		switch e.d.Result.Outcome {
		case event.Delivered:
			s.Delivered++
			latencies[e.d.Integration] = append(latencies[e.d.Integration], e.latency)
		case event.Dead:
			s.Dead++
		case event.Skipped:
			s.Skipped++
		}
	}
	sent, said := map[string]bool{}, map[string]bool{}
	count := func(into *uint64, what string, r *event.Receipt) {
		if key := what + r.DeliveryID; !said[key] {
			said[key] = true
			*into++
		}
	}
	for _, r := range records {
		if r.Receipt != nil && r.Receipt.At.UnixMicro() >= since.UnixMicro() {
			s := named(r.Receipt.Integration, r.Receipt.Vendor)
			switch r.Receipt.Status {
			case event.ReceiptRead:
				count(&s.Read, "read", r.Receipt)
				count(&s.Reached, "reached", r.Receipt)
			case event.ReceiptDelivered:
				count(&s.Reached, "reached", r.Receipt)
			case event.ReceiptFailed:
				count(&s.Failed, "failed", r.Receipt)
			case event.ReceiptSent:
			}
		}
		if r.Delivery == nil {
			continue
		}
		for _, a := range r.Delivery.Attempts {
			if a.StartedAt.UnixMicro() < since.UnixMicro() {
				continue
			}
			s := of(r.Delivery)
			s.Attempts++
			if !sent[r.Delivery.ID] {
				sent[r.Delivery.ID] = true
				s.Sent++
			}
		}
	}
	var all []analytics.IntegrationSummary
	for _, key := range slices.Sorted(maps.Keys(by)) {
		l := latencies[key]
		slices.Sort(l)
		by[key].P50, by[key].P99 = quantile(l, 0.5), quantile(l, 0.99)
		all = append(all, *by[key])
	}
	return all
}

func TestSummaryAgreesWithTheRecords(t *testing.T) {
	t.Parallel()
	store, records := recorded(t, 3, 5000)
	base := newSeason().base
	for name, since := range map[string]time.Time{
		"all": {}, "a day": base.Add(-24 * time.Hour), "an hour and a bit": base.Add(-time.Hour - 123456*time.Microsecond), "nothing": base.Add(24 * time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := store.Summary(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			want := summaryOf(records, since)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("summary\n%+v\nwant\n%+v", got, want)
			}
			if name == "all" && len(got) != 15 || name == "nothing" && got != nil {
				t.Errorf("%d integrations", len(got))
			}
		})
	}
}

func keyOf(d *event.DeliveryRecord, by analytics.Dimension) string {
	return map[analytics.Dimension]string{
		analytics.ByOverall: "", analytics.ByVendor: d.Vendor, analytics.ByCategory: string(d.Category),
		analytics.ByIntegration: d.Integration, analytics.ByEventType: d.EventType, analytics.ByWedding: d.WeddingID,
	}[by]
}

// tally counts finals into rows; it is what the query does, done another way.
func tally(records []*event.Record, by analytics.Dimension, since, now time.Time) map[string]*analytics.SLORow {
	rows := map[string]*analytics.SLORow{}
	for _, e := range finals(records, since, now) {
		key := keyOf(e.d, by)
		if rows[key] == nil {
			rows[key] = &analytics.SLORow{Key: key}
		}
		r := rows[key]
		switch e.d.Result.Outcome {
		case event.Delivered:
			r.Total++
			r.Delivered++
			if e.latency <= 5_000_000 {
				r.InTime++
			}
		case event.Dead:
			r.Total++
			r.Dead++
		case event.Skipped:
			r.Skipped++
		}
	}
	return rows
}

func sloOf(records []*event.Record, by analytics.Dimension, since, now time.Time) []analytics.SLORow {
	rows := tally(records, by, since, now)
	all := []analytics.SLORow{}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		r := rows[key]
		sli := func(good uint64, objective float64) analytics.SLI {
			s := analytics.SLI{Rate: 1, Objective: objective, Met: true, BudgetLeft: 1}
			if r.Total > 0 {
				s.Rate = float64(good) / float64(r.Total)
				s.Met = s.Rate >= objective
				s.BudgetLeft = 1 - float64(r.Total-good)/((1-objective)*float64(r.Total))
			}
			return s
		}
		r.Success, r.Latency = sli(r.Delivered, 0.995), sli(r.InTime, 0.99)
		for _, w := range analytics.BurnWindows() {
			b := analytics.Burn{Window: event.Duration(w)}
			if in := tally(records, by, now.Add(-w), now)[key]; in != nil {
				b.Total, b.Dead = in.Total, in.Dead
			}
			if b.Total > 0 {
				b.Rate = float64(b.Dead) / float64(b.Total) / (1 - analytics.SuccessObjective)
			}
			r.Burn = append(r.Burn, b)
		}
		all = append(all, *r)
	}
	return all
}

func TestSLOAgreesWithTheRecords(t *testing.T) {
	t.Parallel()
	store, records := recorded(t, 5, 6000)
	base := newSeason().base
	for _, by := range analytics.Dimensions() {
		for name, q := range map[string]analytics.SLOQuery{
			"month":    {Now: base.Add(time.Hour)},
			"two days": {Now: base, Since: base.Add(-48 * time.Hour)},
			"minutes":  {Now: base.Add(-25 * time.Hour), Since: base.Add(-25*time.Hour - 7*time.Minute)},
			"none":     {Now: base.Add(-30 * 24 * time.Hour)},
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
					since = q.Now.Add(-analytics.DefaultSLOPeriod)
				}
				want := analytics.SLOReport{By: by, Since: since, Now: q.Now, Rows: sloOf(records, by, since, q.Now)}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("report\n%+v\nwant\n%+v", got, want)
				}
				if name == "month" && len(got.Rows) == 0 || name == "none" && len(got.Rows) != 0 {
					t.Errorf("%d rows", len(got.Rows))
				}
			})
		}
	}
}

// A few deliveries whose numbers a person can check.
func TestSLOByHand(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store, log := openStore(t, dsn), newLog()
	now := time.Now().UTC().Truncate(time.Microsecond)
	end := func(id string, replay int, outcome event.Outcome, latency time.Duration, ago time.Duration) {
		log.append(&event.Record{V: 1, Node: "n", Delivery: &event.DeliveryRecord{
			ID: id, Replay: replay, Vendor: "slack", AcceptedAt: now.Add(-ago - latency),
			Result: &event.Result{Outcome: outcome, FinishedAt: now.Add(-ago)},
		}})
	}
	end("in time", 0, event.Delivered, 5*time.Second, 2*time.Hour)
	end("late", 0, event.Delivered, 5*time.Second+time.Microsecond, 2*time.Hour)
	end("dead", 0, event.Dead, time.Second, 4*time.Minute)
	end("skipped", 0, event.Skipped, time.Second, time.Hour)
	end("replayed", 0, event.Dead, time.Second, 3*time.Hour)
	end("replayed", 1, event.Delivered, 2*time.Second, time.Hour)
	end("replayed in vain", 0, event.Dead, time.Second, 3*time.Hour)
	end("replayed in vain", 1, event.Dead, time.Second, time.Hour)
	end("late", 0, event.Delivered, 5*time.Second+time.Microsecond, 2*time.Hour) // known twice, after a crash
	end("at now", 0, event.Dead, time.Second, 0)                                 // not before now
	r := run(t, store, log, quick())
	r.reaches(t, 10, time.Minute)
	report, err := store.SLO(t.Context(), analytics.SLOQuery{By: analytics.ByVendor, Now: now})
	if err != nil || len(report.Rows) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	row := report.Rows[0]
	if row.Key != "slack" || row.Total != 5 || row.Delivered != 3 || row.Dead != 2 || row.Skipped != 1 || row.InTime != 2 {
		t.Errorf("row %+v", row)
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("success rate", row.Success.Rate, 0.6)
	near("success budget", row.Success.BudgetLeft, 1-2/(0.005*5))
	near("latency rate", row.Latency.Rate, 0.4)
	near("latency budget", row.Latency.BudgetLeft, 1-3/(0.01*5))
	near("burn in 5m", row.Burn[0].Rate, 200)
	near("burn in 6h", row.Burn[3].Rate, 0.4/0.005)
	if row.Success.Met || row.Latency.Met {
		t.Error("the objectives are met")
	}
}

func TestNewSLI(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		good, total uint64
		met         bool
		left        float64
	}{{0, 0, true, 1}, {1000, 1000, true, 1}, {995, 1000, true, 0}, {990, 1000, false, -1}, {9975, 10_000, true, 0.5}} {
		s := analytics.NewSLI(c.good, c.total, 0.995)
		if s.Met != c.met || math.Abs(s.BudgetLeft-c.left) > 1e-9 {
			t.Errorf("%d of %d: %+v, want met %v and %v left", c.good, c.total, s, c.met, c.left)
		}
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
	} {
		if _, err := store.SLO(t.Context(), q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"":                                   "",
		"clickhouse://u:hunter2@:99999999/x": "",
		"clickhouse://u:hunter2@h:9000/two words":  "two words",
		"clickhouse://u:hunter2@h:9000/a;DROP":     "a;DROP",
		"://u:hunter2@h":                           "",
		"clickhouse://u:hunter2@h?dial_timeout=no": "",
	} {
		store, err := analytics.Open(t.Context(), dsn)
		if err == nil {
			_ = store.Close()
			if strings.Contains(dsn, "99999999") || dsn == "" {
				continue // left to the connection
			}
			t.Errorf("%q is accepted", dsn)
			continue
		}
		var bad *analytics.DSNError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	var all sync.WaitGroup
	for range 4 {
		store := openStore(t, dsn)
		all.Go(func() {
			if err := store.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	store, conn := openStore(t, dsn), connect(t, dsn)
	if err := store.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if c, err := store.Counts(t.Context()); err != nil || c != (analytics.Counts{}) {
		t.Errorf("counts %+v, %v", c, err)
	}
	if v, err := store.Version(t.Context()); err != nil || !strings.HasPrefix(v, "2") {
		t.Errorf("version %q, %v", v, err)
	}
	execute(t, conn, "INSERT INTO schema_versions (version, name) VALUES (4711, 'later')")
	if err := store.Migrate(t.Context()); !errors.Is(err, analytics.ErrNewerSchema) || !strings.Contains(err.Error(), "4711") {
		t.Errorf("on newer tables: %v", err)
	}
}

// Without a server, or without the tables, every question is answered by an error that says so.
func TestErrors(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	connect(t, strings.Replace(dsn, dsn[strings.LastIndex(dsn, "/"):], "/default", 1))
	for name, store := range map[string]*analytics.Store{
		"no server": openStore(t, "clickhouse://127.0.0.1:1/x"), "no database": openStore(t, dsn),
	} {
		for what, ask := range map[string]func(context.Context) error{
			"Version":  func(ctx context.Context) error { _, err := store.Version(ctx); return err },
			"Counts":   func(ctx context.Context) error { _, err := store.Counts(ctx); return err },
			"Summary":  func(ctx context.Context) error { _, err := store.Summary(ctx, time.Time{}); return err },
			"Attempts": func(ctx context.Context) error { _, err := store.Attempts(ctx, "dlv_1"); return err },
			"Receipts": func(ctx context.Context) error { _, err := store.Receipts(ctx, "dlv_1"); return err },
			"SLO": func(ctx context.Context) error {
				_, err := store.SLO(ctx, analytics.SLOQuery{Now: time.Now()})
				return err
			},
		} {
			if err := ask(t.Context()); err == nil {
				t.Errorf("%s with %s: no error", what, name)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := ask(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("%s with %s and a context that has ended: %v", what, name, err)
			}
		}
	}
	if err := openStore(t, "clickhouse://127.0.0.1:1/x").Migrate(t.Context()); err == nil {
		t.Error("Migrate without a server: no error")
	}
}
