package analytics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/analytics"
)

// quick records at once, in batches of a few.
func quick() analytics.RecorderConfig {
	return analytics.RecorderConfig{BatchRecords: 500, BatchWait: time.Millisecond}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store := openStore(t, dsn)
	log := newLog()
	registry := prometheus.NewPedanticRegistry()
	cfg := quick()
	cfg.Registerer = registry
	r := run(t, store, log, cfg)
	records := newSeason().records(0, 3000)
	log.append(records[:1000]...)
	r.reaches(t, 1000, 30*time.Second)
	log.skip()
	log.append(records[1000:]...)
	r.reaches(t, 3001, 30*time.Second)
	exactly(t, connect(t, dsn), wanted(records))
	counts, err := store.Counts(t.Context())
	if err != nil || counts != wanted(records) {
		t.Errorf("Counts: %+v, %v; want %+v", counts, err, wanted(records))
	}
	s := r.Status()
	if !s.Connected || s.Position != 3001 || s.Lag != 0 || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
	r.stop()
	for name, want := range map[string]float64{
		"wedsync_recorder_records_total": 3000, "wedsync_recorder_lag_records": 0, "wedsync_recorder_connected": 1,
		"wedsync_recorder_errors_total": 0, "wedsync_recorder_unreadable_total": 0,
	} {
		if err := testutil.GatherAndCompare(registry, strings.NewReader(metric(name, want)), name); err != nil {
			t.Error(err)
		}
	}
	if n, err := testutil.GatherAndCount(registry, "wedsync_recorder_insert_seconds", "wedsync_recorder_batch_records"); err != nil || n != 6 {
		t.Errorf("%d histograms, %v; want one a table, one of the rollups and one of batches", n, err)
	}
	if _, err := analytics.NewRecorder(store, log, cfg); err == nil {
		t.Error("metrics can be registered twice")
	}
}

func metric(name string, value float64) string {
	kind := "gauge"
	if strings.HasSuffix(name, "_total") {
		kind = "counter"
	}
	help := map[string]string{
		"wedsync_recorder_records_total":    "Records committed to ClickHouse.",
		"wedsync_recorder_lag_records":      "Records in the log that are not in ClickHouse yet.",
		"wedsync_recorder_connected":        "1 while records go to ClickHouse.",
		"wedsync_recorder_errors_total":     "Times that recording failed and is tried again.",
		"wedsync_recorder_unreadable_total": "Records that could not be decoded.",
	}[name]
	return fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n%s %v\n", name, help, name, kind, name, value)
}

// With the defaults, a record can be queried within two seconds of being logged.
func TestFreshness(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	log := newLog()
	r := run(t, openStore(t, dsn), log, analytics.RecorderConfig{})
	eventually(t, 30*time.Second, "the recorder to work", func() bool { return r.Status().Connected })
	best := time.Hour
	for n := range 5 {
		began := time.Now()
		log.append(newSeason().record(n))
		r.reaches(t, uint64(n+1), 30*time.Second)
		best = min(best, time.Since(began))
	}
	if best > 2*time.Second {
		t.Errorf("it took %v at best", best)
	}
}

// Every column is what the record said.
func TestRowsAsRecorded(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store, log := openStore(t, dsn), newLog()
	at := time.Date(2026, 11, 20, 10, 11, 12, 131415000, time.UTC)
	d := &event.DeliveryRecord{
		ID: "dlv_1", Replay: 2, EventID: "e1", EventType: "timeline.updated", Channel: "supplier:dashboard:42",
		Integration: "crm", Vendor: "studiocloud", Category: event.PhotographyCRM, WeddingID: "couple-1",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		AcceptedAt:  at.Add(-9 * time.Hour), NotBefore: at, RoutedAt: at.Add(time.Second), // held over night
		Attempts: []event.Attempt{
			{Number: 3, StartedAt: at.Add(2 * time.Second), Duration: event.Duration(1500 * time.Millisecond), Status: 503, Verdict: "retry", Reason: "busy", Detail: "später"},
			{Number: 4, StartedAt: at.Add(5 * time.Second), Duration: event.Duration(time.Microsecond), Status: 200, Verdict: "delivered", Probe: true},
		},
		Result: &event.Result{Outcome: event.Delivered, FinishedAt: at.Add(6 * time.Second), Attempts: 4},
	}
	log.append(&event.Record{V: 1, Node: "n1", Delivery: d},
		&event.Record{V: 1, Node: "n2", Audit: &event.Audit{At: at, Actor: "admin:k", Action: "dead.replay", Target: "dlv_1", Outcome: "ok", Detail: "d", From: "10.0.0.1", Owner: map[string]string{"supplierId": "42"}}})
	unwanted := *d
	unwanted.ID, unwanted.TraceParent, unwanted.Attempts, unwanted.Result = "dlv_2", strings.TrimSuffix(d.TraceParent, "1")+"0", d.Attempts[:1], nil
	log.append(&event.Record{V: 1, Node: "n1", Delivery: &unwanted},
		&event.Record{V: 1, Node: "n3", Health: &event.HealthChange{Integration: "crm", Vendor: "studiocloud", Before: event.Healthy, State: event.Open, Reason: "it is down", At: at}})
	spans, cfg := tracetest.NewSpanRecorder(), quick()
	cfg.Tracer = tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	r := run(t, store, log, cfg)
	r.reaches(t, 4, 30*time.Second)
	r.stop()
	if ended := spans.Ended(); len(ended) != 1 || ended[0].Name() != "record" || ended[0].Parent().SpanID().String() != "00f067aa0ba902b7" {
		t.Errorf("spans %+v", tracetest.SpanStubsFromReadOnlySpans(ended))
	}

	got, err := store.Attempts(t.Context(), "dlv_1")
	if err != nil {
		t.Fatal(err)
	}
	var want []analytics.AttemptRow
	for _, a := range d.Attempts {
		want = append(want, analytics.AttemptRow{
			DeliveryID: d.ID, Replay: 2, Number: a.Number, Node: "n1", EventID: "e1", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", EventType: d.EventType, Channel: d.Channel,
			Integration: "crm", Vendor: d.Vendor, StartedAt: a.StartedAt, Duration: a.Duration, Status: a.Status,
			Verdict: a.Verdict, Reason: a.Reason, Detail: a.Detail, Probe: a.Probe,
		})
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("attempts\n%+v\nwant\n%+v", got, want)
	}
	if none, err := store.Attempts(t.Context(), "dlv_'2"); err != nil || len(none) != 0 {
		t.Errorf("attempts of an unknown delivery: %v, %v", none, err)
	}
	conn := connect(t, dsn)
	for query, want := range map[string]string{
		"SELECT toString((wedding_id, category, accepted_at, routed_at, log_epoch, log_generation, log_seq, log_pos)) FROM attempts WHERE number = 4":              "('couple-1','photography-crm','2026-11-20 10:11:12.131415','2026-11-20 10:11:13.131415','" + log.epoch + "',0,1,1)",
		"SELECT toString((finished_at, accepted_at, routed_at, delivery_id, replay, outcome, reason, attempts, event_id, event_type, latency_us)) FROM deliveries": "('2026-11-20 10:11:18.131415','2026-11-20 10:11:12.131415','2026-11-20 10:11:13.131415','dlv_1',2,'delivered','',4,'e1','timeline.updated',6000000)",
		"SELECT toString((channel, integration, vendor, category, wedding_id, node, log_seq, log_pos)) FROM deliveries":                                            "('supplier:dashboard:42','crm','studiocloud','photography-crm','couple-1','n1',1,0)",
		"SELECT toString((at, actor, action, target, outcome, detail, remote, node, owner, log_seq, log_pos)) FROM audit":                                          "('2026-11-20 10:11:12.131415','admin:k','dead.replay','dlv_1','ok','d','10.0.0.1','n2',{'supplierId':'42'},2,0)",
		"SELECT toString((at, integration, vendor, before, state, reason, node, log_seq, log_pos)) FROM health_changes":                                            "('2026-11-20 10:11:12.131415','crm','studiocloud','healthy','open','it is down','n3',4,0)",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s:\n%s, %v\nwant\n%s", query, got, err, want)
		}
	}
}

// What a vendor said of a message is told once, however often it was recorded, and not for deliveries
// that are another integration's.
func TestReceiptsOfADelivery(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store, log := openStore(t, dsn), newLog()
	at := time.Date(2026, 11, 20, 10, 11, 12, 131415000, time.UTC)
	d := &event.DeliveryRecord{
		ID: "dlv_1", Integration: "wa", Vendor: "whatsapp", AcceptedAt: at, RoutedAt: at,
		Attempts: []event.Attempt{{Number: 1, StartedAt: at, Status: 200, Verdict: "delivered"}},
	}
	said := func(id, integration string, status event.ReceiptStatus, after time.Duration) *event.Record {
		return &event.Record{V: 1, Node: "n1", Receipt: &event.Receipt{
			DeliveryID: "dlv_1", Integration: integration, Vendor: "whatsapp", EventID: id, Status: status, At: at.Add(after), Reason: "131026", Detail: "später",
		}}
	}
	log.append(
		said("whk_2", "wa", event.ReceiptRead, 2*time.Second), // before the attempt, which a slow log can do
		&event.Record{V: 1, Node: "n1", Delivery: d},
		said("whk_1", "wa", event.ReceiptSent, time.Second), said("whk_1", "wa", event.ReceiptSent, time.Second),
		said("whk_3", "forger", event.ReceiptFailed, 3*time.Second),
	)
	r := run(t, store, log, quick())
	r.reaches(t, 5, 30*time.Second)
	got, err := store.Receipts(t.Context(), "dlv_1")
	if err != nil {
		t.Fatal(err)
	}
	want := []analytics.ReceiptRow{
		{DeliveryID: "dlv_1", Integration: "wa", Vendor: "whatsapp", Status: event.ReceiptSent, At: at.Add(time.Second), Reason: "131026", Detail: "später"},
		{DeliveryID: "dlv_1", Integration: "wa", Vendor: "whatsapp", Status: event.ReceiptRead, At: at.Add(2 * time.Second), Reason: "131026", Detail: "später"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("receipts\n%+v\nwant\n%+v", got, want)
	}
	if none, err := store.Receipts(t.Context(), "dlv_'\\\t2"); err != nil || len(none) != 0 {
		t.Errorf("receipts of an unknown delivery: %v, %v", none, err)
	}
	var place string
	if err := connect(t, dsn).QueryRow(t.Context(), "SELECT toString((event_id, node, log_epoch, log_generation, log_seq, log_pos)) FROM receipts WHERE integration = 'forger'").
		Scan(&place); err != nil || place != "('whk_3','n1','"+log.epoch+"',0,5,0)" {
		t.Errorf("%s, %v", place, err)
	}
}

// Whatever is in the log, recording goes on, and each record leaves a row.
func TestStrangeRecords(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	log := newLog()
	cfg := quick()
	registry := prometheus.NewPedanticRegistry()
	cfg.Registerer = registry
	for _, data := range []string{"", "no JSON", "{}", `{"v":1,"delivery":{"attempts":[{"duration":"soon"}]}}`, "[]", "\xff"} {
		log.appendRaw([]byte(data))
	}
	far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	log.append(
		&event.Record{Delivery: &event.DeliveryRecord{
			ID: "strange", AcceptedAt: far, RoutedAt: time.Date(1066, 10, 14, 0, 0, 0, 0, time.UTC),
			Attempts: []event.Attempt{{Number: -1, Status: 1 << 20}, {Number: 1 << 20, StartedAt: far, Status: -5}},
			Result:   &event.Result{Outcome: "unheard-of"},
		}},
		&event.Record{Audit: &event.Audit{Action: strings.Repeat("long ", 10_000)}},
	)
	log.appendRaw([]byte(`{"v":9,"node":"n","audit":{"at":"2026-01-01T00:00:00Z","action":"new","unknown":{"a":[1]}}}`))
	r := run(t, openStore(t, dsn), log, cfg)
	r.reaches(t, 9, 30*time.Second)
	exactly(t, connect(t, dsn), analytics.Counts{Attempts: 2, Deliveries: 1, Audit: 8})
	var unreadable uint64
	err := connect(t, dsn).QueryRow(t.Context(), "SELECT count() FROM audit WHERE action = 'recorder.unreadable' AND detail != ''").Scan(&unreadable)
	if err != nil || unreadable != 6 {
		t.Errorf("%d unreadable records in the audit, %v; want 6", unreadable, err)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(metric("wedsync_recorder_unreadable_total", 6)), "wedsync_recorder_unreadable_total"); err != nil {
		t.Error(err)
	}
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) count(t *testing.T, message string) (n int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range bytes.Lines(b.b.Bytes()) {
		var entry struct{ Message string }
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(entry.Message, message) {
			n++
		}
	}
	return n
}

// ClickHouse is not there in the beginning, and goes away later: the status says so, the log says so
// once each time, and nothing is lost.
func TestClickHouseAway(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	proxy, through := newProxy(t, dsn)
	proxy.setCut(true)
	log, text := newLog(), &lockedBuffer{}
	cfg := quick()
	cfg.Logger = zerolog.New(text)
	r := run(t, openStore(t, through), log, cfg)
	season := newSeason()
	for round := range 2 {
		log.append(season.records(round*300, 300)...)
		eventually(t, 30*time.Second, "the status to say that it is away", func() bool {
			s := r.Status()
			return !s.Connected && s.LastError != "" && s.Lag == 300
		})
		away := r.Status()
		proxy.setCut(false)
		r.reaches(t, uint64(round+1)*300, time.Minute)
		if s := r.Status(); !s.Connected || s.Lag != 0 || s.Since.Before(away.Since) {
			t.Errorf("status %+v after it came back", s)
		}
		if a, b := text.count(t, "has stopped"), text.count(t, "works"); a != round+1 || b != round+1 {
			t.Errorf("after round %d the log says %d times that recording stopped and %d times that it works", round, a, b)
		}
		proxy.setCut(true)
	}
	r.stop()
	exactly(t, connect(t, dsn), wanted(season.records(0, 600)))
}

// The connection is cut at random moments while the engine goes on: what became of an insert is not
// known then, and it may still be under way.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	proxy, through := newProxy(t, dsn)
	log := madeUpLog{Name: name(), Base: newSeason().base, Size: 20_000, Few: 200}
	cfg := killConfig()
	cfg.BatchRecords = 200
	r := run(t, openStore(t, through), log, cfg)
	for range kills / 2 {
		r.reaches(t, r.Status().Position+1, time.Minute)
		soon()
		proxy.setCut(true)
		proxy.setCut(false)
	}
	finish(t, dsn, log, r.stop)
}

// Several recorders on one log, which placement should prevent.
func TestTwoRecorders(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	log := newLog()
	records := newSeason().records(0, 1000)
	log.append(records...)
	var all []running
	for n := range 3 {
		cfg := quick()
		cfg.Name = fmt.Sprintf("recorder-%d", n)
		cfg.BatchRecords = 50 + 30*n // they disagree about where a batch ends
		all = append(all, run(t, openStore(t, dsn), log, cfg))
	}
	for _, r := range all {
		r.reaches(t, 1000, 2*time.Minute)
	}
	for _, r := range all {
		r.stop()
	}
	exactly(t, connect(t, dsn), wanted(records))
}

// A recorder that is stopped and one that follows it take over from each other.
func TestStopAndGoOn(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	log := newLog()
	records := newSeason().records(0, 2000)
	log.append(records...)
	for n := range 8 {
		cfg := quick()
		cfg.BatchRecords = 20
		r := run(t, openStore(t, dsn), log, cfg)
		r.reaches(t, uint64(n*40+mathrand.IntN(40)+1), time.Minute)
		r.stop()
	}
	r := run(t, openStore(t, dsn), log, quick())
	r.reaches(t, 2000, time.Minute)
	exactly(t, connect(t, dsn), wanted(records))
}

func TestRecorderConfig(t *testing.T) {
	t.Parallel()
	store := openStore(t, "clickhouse://127.0.0.1:1")
	for want, cfg := range map[string]analytics.RecorderConfig{
		"BatchRecords is -1":    {BatchRecords: -1},
		"BatchRecords is 50001": {BatchRecords: 50_001},
		"BatchWait is -1ns":     {BatchWait: -1},
		"BatchWait is 1m0s":     {BatchWait: time.Minute},
		"PurgeAfter is 1m0s":    {PurgeAfter: time.Minute},
		"Timeout is 1ms":        {Timeout: time.Millisecond},
	} {
		if _, err := analytics.NewRecorder(store, newLog(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range newSeason().records(0, 40) {
		data, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"audit":{"at":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := analytics.Decode(event.RecordEntry{Seq: 1, Data: data})
		if err != nil {
			if record != nil {
				t.Error("a record with an error")
			}
			return
		}
		if record.Empty() {
			t.Error("an empty record without an error")
		}
		again, err := json.Marshal(record)
		if err != nil {
			var unsupported *json.MarshalerError // a year beyond 9999, which JSON times cannot have
			if !errors.As(err, &unsupported) {
				t.Fatal(err)
			}
			return
		}
		if _, err := analytics.Decode(event.RecordEntry{Seq: 1, Data: again}); err != nil {
			t.Errorf("what was decoded is refused: %v", err)
		}
	})
}
