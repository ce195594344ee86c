package analytics_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

func name() string { return strings.ToLower(rand.Text()) }

func withDatabase(t testing.TB, dsn, database string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}

// memoryLog is a record log. It keeps the rules that analytics.Source states.
type memoryLog struct {
	mu      sync.Mutex
	epoch   string
	entries []event.RecordEntry // from first
	last    uint64
	grown   chan struct{}
	purged  []uint64
	fail    error
}

var _ analytics.Source = (*memoryLog)(nil)

func newLog() *memoryLog { return &memoryLog{epoch: "epoch-" + name(), grown: make(chan struct{})} }

func (l *memoryLog) append(records ...*event.Record) {
	for _, r := range records {
		data, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		l.appendRaw(data)
	}
}

func (l *memoryLog) appendRaw(data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	l.entries = append(l.entries, event.RecordEntry{Seq: l.last, Data: data})
	close(l.grown)
	l.grown = make(chan struct{})
}

// skip leaves a gap in the sequences.
func (l *memoryLog) skip() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
}

// erase takes records out of the log for good.
func (l *memoryLog) erase(seqs ...uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = slices.DeleteFunc(l.entries, func(e event.RecordEntry) bool { return slices.Contains(seqs, e.Seq) })
}

// setBack forgets the records after seq, as a restore does.
func (l *memoryLog) setBack(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.entries) > 0 && l.entries[len(l.entries)-1].Seq > seq {
		l.entries = l.entries[:len(l.entries)-1]
	}
	l.last = seq
}

func (l *memoryLog) failWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *memoryLog) Epoch() string { return l.epoch }

func (l *memoryLog) after(after uint64, limit int) ([]event.RecordEntry, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, nil, l.fail
	}
	var found []event.RecordEntry
	for i := range l.entries {
		if l.entries[i].Seq > after {
			found = append(found, l.entries[i:min(i+limit, len(l.entries))]...)
			break
		}
	}
	return found, l.grown, nil
}

func (l *memoryLog) Records(ctx context.Context, after uint64, limit int, wait time.Duration) ([]event.RecordEntry, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		found, grown, err := l.after(after, limit)
		if err != nil || len(found) > 0 {
			return found, err
		}
		select {
		case <-grown:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *memoryLog) RecordBounds(context.Context) (first, last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return l.last + 1, l.last, l.fail
	}
	return l.entries[0].Seq, l.last, l.fail
}

func (l *memoryLog) SettleRecords(context.Context) error { return nil }

func (l *memoryLog) PurgeRecords(_ context.Context, upTo uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.purged = append(l.purged, upTo)
	for len(l.entries) > 0 && l.entries[0].Seq <= upTo {
		l.entries = l.entries[1:]
	}
	return nil
}

func (l *memoryLog) purges() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]uint64(nil), l.purged...)
}

// season is a made-up run of the system: what its records say, in order, the same for the same seed.
type season struct {
	base    time.Time // when it ends, about
	days    int       // over how many it is spread, so that batches have several partitions
	rate    int       // records a second, each later than the one before; 0: each is at any time
	calm    bool      // nine of ten deliveries are made at the first call
	vendors []string
}

// seasonEnd is one for all of a run, also of one during which the hour turns.
var seasonEnd = time.Now().UTC().Truncate(time.Hour)

func newSeason() season {
	return season{
		base: seasonEnd, days: 3,
		vendors: []string{"studiocloud", "venuemaster", "whatsapp", "slack", "email"},
	}
}

var categories = map[string]event.Category{
	"studiocloud": event.PhotographyCRM, "venuemaster": event.VenueManagement, "whatsapp": event.WhatsAppBusiness,
	"slack": event.SlackNotifications, "email": event.EmailService,
}

// record makes the n-th record: mostly a delivery with its attempts and result; some that go on, some
// skipped, some replayed from the dead; and audit.
func (s season) record(n int) *event.Record {
	r := mathrand.New(mathrand.NewPCG(uint64(n), 7))
	record := &event.Record{V: event.Version, Node: fmt.Sprintf("node-%d", r.IntN(3))}
	at := s.base.Add(-time.Duration(r.Int64N(int64(s.days)*24*int64(time.Hour)/1000)) * 1000)
	if s.rate > 0 {
		at = s.base.Add(time.Duration(n) * time.Second / time.Duration(s.rate))
	}
	if n%17 == 3 {
		record.Audit = &event.Audit{
			At: at, Actor: "admin:key", Action: "integration.put", Target: fmt.Sprintf("i%d", n), Outcome: "ok",
			Detail: "text", From: "127.0.0.1",
		}
		return record
	}
	if n%23 == 9 { // of the delivery two records before, if there is one
		if of := s.record(n - 2).Delivery; of != nil {
			record.Receipt = &event.Receipt{
				DeliveryID: of.ID, Integration: of.Integration, Vendor: of.Vendor, EventID: fmt.Sprintf("whk_%d", n),
				Status: []event.ReceiptStatus{event.ReceiptSent, event.ReceiptDelivered, event.ReceiptRead, event.ReceiptFailed}[r.IntN(4)], At: at,
			}
			return record
		}
	}
	vendor := s.vendors[r.IntN(len(s.vendors))]
	integration := fmt.Sprintf("%s-%d", vendor, r.IntN(3))
	of, replay := n, 0
	routed := at.Add(time.Millisecond)
	if n%11 == 5 { // the delivery of the record before, again, later
		if first := s.record(n - 1).Delivery; first != nil {
			of, replay = n-1, 1
			vendor, integration, at = first.Vendor, first.Integration, first.AcceptedAt
			routed = at.Add(time.Minute + time.Duration(r.Int64N(int64(time.Hour)/1000))*1000)
		}
	}
	eventID := fmt.Sprintf("event-%d", of)
	d := &event.DeliveryRecord{
		ID: event.DeliveryID("supplier:dashboard:1", eventID, integration), Replay: replay, EventID: eventID,
		EventType: []string{"timeline.updated", "guest_count.changed", "wedding.date_changed"}[r.IntN(3)],
		Channel:   fmt.Sprintf("supplier:dashboard:%d", r.IntN(50)), Integration: integration, Vendor: vendor,
		Category: categories[vendor], WeddingID: fmt.Sprintf("couple-%d", r.IntN(20)),
		TraceParent: fmt.Sprintf("00-%032x-%016x-01", of+1, n+1), AcceptedAt: at, RoutedAt: routed,
	}
	if replay > 0 {
		if first := s.record(of).Delivery; first.Result != nil && first.Result.Outcome == event.Dead {
			d.Died, d.EventType, d.Channel, d.WeddingID = first.Result.FinishedAt, first.EventType, first.Channel, first.WeddingID
		}
	}
	record.Delivery = d
	outcome := event.Delivered
	switch {
	case n%29 == 7:
		outcome = event.Skipped
	case n%13 == 4:
		outcome = event.Dead
	}
	t := d.RoutedAt
	if outcome != event.Skipped {
		calls := 1 + r.IntN(4)
		if s.calm && n%10 > 0 {
			calls = 1
		}
		for i := range calls {
			a := event.Attempt{
				Number: replay*10 + i + 1, StartedAt: t, Duration: event.Duration(r.Int64N(int64(2 * time.Second))),
				Status: 503, Verdict: "retry", Reason: "unavailable", Detail: "try again", Probe: i == 2,
			}
			t = t.Add(time.Duration(a.Duration) + time.Second)
			d.Attempts = append(d.Attempts, a)
		}
		last := &d.Attempts[len(d.Attempts)-1]
		t = t.Add(-time.Second)
		last.Status, last.Verdict, last.Reason, last.Detail = 200, "delivered", "", ""
		if outcome == event.Dead {
			last.Status, last.Verdict, last.Reason = 422, "dead", "rejected"
		}
	}
	if n%19 == 6 { // goes on
		return record
	}
	d.Result = &event.Result{Outcome: outcome, FinishedAt: t, Attempts: len(d.Attempts)}
	if outcome != event.Delivered {
		d.Result.Reason = "because"
	}
	return record
}

func (s season) records(from, n int) []*event.Record {
	all := make([]*event.Record, n)
	for i := range all {
		all[i] = s.record(from + i)
	}
	return all
}

// wanted counts the rows that records make.
func wanted(records []*event.Record) analytics.Counts {
	var c analytics.Counts
	for _, r := range records {
		if d := r.Delivery; d != nil {
			c.Attempts += uint64(len(d.Attempts))
			if d.Result != nil {
				c.Deliveries++
			}
		}
		if r.Receipt != nil {
			c.Receipts++
		}
		if r.Audit != nil {
			c.Audit++
		}
	}
	return c
}

// running is a recorder at work.
type running struct {
	*analytics.Recorder
	stop func()
}

func run(t testing.TB, store *analytics.Store, source analytics.Source, cfg analytics.RecorderConfig) running {
	t.Helper()
	r, err := analytics.NewRecorder(store, source, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return running{r, stop}
}

// eventually waits until what holds.
func eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for: %s", limit, what)
		}
	}
}

func (r running) reaches(t testing.TB, position uint64, limit time.Duration) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("position %d", position), func() bool {
		return r.Status().Position >= position
	})
}

// exactly checks that each table has the rows wanted, each place in the log once.
func exactly(t testing.TB, conn driver.Conn, c analytics.Counts) {
	t.Helper()
	for table, want := range map[string]uint64{"attempts": c.Attempts, "deliveries": c.Deliveries, "receipts": c.Receipts, "audit": c.Audit} {
		var count, unique uint64
		err := conn.QueryRow(context.Background(), "SELECT count(), uniqExact(log_epoch, log_generation, log_seq, log_pos) FROM "+table).
			Scan(&count, &unique)
		if err != nil {
			t.Fatal(err)
		}
		if count != want || unique != want {
			t.Errorf("%s has %d rows, %d unique; want %d", table, count, unique, want)
		}
	}
}

var errTest = errors.New("test failure")
