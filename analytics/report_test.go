package analytics_test

import (
	"context"
	"errors"
	"maps"
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

// One at a time changes the tables; a lock that was left behind is broken after a while.
func TestMigrationsAreLocked(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store := openStore(t, dsn)
	status := func() analytics.SchemaStatus {
		t.Helper()
		s, err := store.SchemaStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := status(); s.Version != 0 || len(s.Pending) != s.Latest || len(s.Tables) != 0 {
		t.Errorf("of no database: %+v", s)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, dsn)
	if s := status(); s.Version != s.Latest || len(s.Pending) != 0 || !slices.ContainsFunc(s.Tables, func(t analytics.TableStatus) bool {
		return t.Name == "schema_versions" && t.Rows == uint64(s.Latest) && t.Bytes > 0 && t.Parts > 0
	}) {
		t.Errorf("when all is done: %+v", s)
	}
	execute(t, conn, "CREATE TABLE schema_lock (x UInt8) ENGINE = Memory")
	if err := store.Migrate(t.Context()); err != nil {
		t.Errorf("with nothing to do it wants the lock: %v", err)
	}
	execute(t, conn, "TRUNCATE TABLE schema_versions")
	ended, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := store.Migrate(ended); err == nil || !strings.Contains(err.Error(), "lock the schema") {
		t.Errorf("while somebody else does it: %v", err)
	}
	if s := status(); s.Version != 0 {
		t.Errorf("it was done all the same: %+v", s)
	}
	store.StaleAfter(time.Second)
	if err := store.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if s := status(); s.Version != s.Latest || slices.ContainsFunc(s.Tables, func(t analytics.TableStatus) bool { return t.Name == "schema_lock" }) {
		t.Errorf("after a lock was broken: %+v", s)
	}
}

// What an older release recorded, which knew no rollups, is brought into them by the next recorder, once.
func TestRollupsOfWhatWasRecordedWithout(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store, log := openStore(t, dsn), newLog()
	records := newSeason().records(0, 1000)
	log.append(records[:600]...)
	r := run(t, store, log, quick())
	r.reaches(t, 600, time.Minute)
	r.stop()
	conn := connect(t, dsn)
	for _, statement := range []string{
		"TRUNCATE TABLE slo_minutes", "ALTER TABLE slo_hours DELETE WHERE dimension = 'vendor' SETTINGS mutations_sync = 2",
		"ALTER TABLE recorder_batches UPDATE rolled_up = false WHERE 1 SETTINGS mutations_sync = 2",
	} {
		execute(t, conn, statement)
	}
	log.append(records[600:]...)
	r = run(t, store, log, quick())
	r.reaches(t, 1000, time.Minute)
	r.stop()
	exactly(t, conn, wanted(records))
	agree(t, conn)
	var unrolled uint64
	if err := conn.QueryRow(t.Context(), "SELECT countIf(NOT rolled_up) FROM recorder_batches").Scan(&unrolled); err != nil || unrolled != 0 {
		t.Errorf("%d batches are still not in the rollups, %v", unrolled, err)
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
			"Burn": func(ctx context.Context) error {
				_, err := store.Burn(ctx, analytics.SLOQuery{Now: time.Now()})
				return err
			},
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
