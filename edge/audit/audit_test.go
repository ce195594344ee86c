package audit_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a record log that can be full.
type recorder struct {
	mu      sync.Mutex
	full    bool
	tries   int
	ids     map[string]int
	records []event.Record
}

func (r *recorder) Record(ctx context.Context, id string, rec *event.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.ids == nil {
		r.ids = map[string]int{}
	}
	r.ids[id]++
	if r.full {
		return errors.New("the log is full")
	}
	r.records = append(r.records, *rec)
	return ctx.Err()
}

func (r *recorder) set(full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = full
}

func metric(t *testing.T, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestRecordsArrive(t *testing.T) {
	t.Parallel()
	r, reg := &recorder{}, prometheus.NewRegistry()
	l, err := audit.New(audit.Config{Log: r, Node: "n1", Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	l.Audit(event.Audit{At: at, Actor: "admin:a", Action: "integration.put", Target: "x", Outcome: "ok"})
	before := time.Now()
	l.Audit(event.Audit{Actor: "system"})
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if len(r.records) != 2 {
		t.Fatalf("%d records", len(r.records))
	}
	for _, rec := range r.records {
		if rec.V != event.Version || rec.Node != "n1" || rec.Audit.At.Location() != time.UTC {
			t.Errorf("got %+v", rec)
		}
		if rec.Audit.Actor == "admin:a" && !rec.Audit.At.Equal(at) || rec.Audit.Actor == "system" && rec.Audit.At.Before(before) {
			t.Errorf("got %+v", rec.Audit)
		}
	}
	if metric(t, reg, "wedsync_audit_records_total") != 2 || metric(t, reg, "wedsync_audit_dropped_total") != 0 {
		t.Error("not counted rightly")
	}
}

func TestFullLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, reg, out := &recorder{full: true}, prometheus.NewRegistry(), &bytes.Buffer{}
		l, err := audit.New(audit.Config{Log: r, Queue: 2, Writers: 1, Metrics: reg, Logger: zerolog.New(out)})
		if err != nil {
			t.Fatal(err)
		}
		l.Audit(event.Audit{Target: "in-hand"})
		synctest.Wait() // the writer has it
		l.Audit(event.Audit{Target: "waits-1"})
		l.Audit(event.Audit{Target: "waits-2"})
		if metric(t, reg, "wedsync_audit_waiting") != 2 {
			t.Error("two wait")
		}
		l.Audit(event.Audit{Target: "too-many"})
		if metric(t, reg, "wedsync_audit_dropped_total") != 1 || !strings.Contains(out.String(), "too-many") {
			t.Errorf("lost in silence; log: %s", out)
		}
		r.set(false)
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(r.records) != 3 || r.records[0].Audit.Target != "in-hand" || r.tries < 4 {
			t.Errorf("%d records after %d tries", len(r.records), r.tries)
		}
		if len(r.ids) != 3 {
			t.Errorf("three records went under %d ids: %v", len(r.ids), r.ids)
		}
		l.Audit(event.Audit{Target: "after-close"})
		if !strings.Contains(out.String(), "after-close") {
			t.Error("lost in silence after Close")
		}
	})
}

func TestCloseWithoutTime(t *testing.T) {
	t.Parallel()
	r, reg := &recorder{full: true}, prometheus.NewRegistry()
	l, err := audit.New(audit.Config{Log: r, Writers: 1, Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l.Audit(event.Audit{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := metric(t, reg, "wedsync_audit_dropped_total"); n != 3 {
		t.Errorf("%v are counted as lost", n)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []audit.Config{{}, {Log: &recorder{}, Queue: -1}, {Log: &recorder{}, Writers: -1}} {
		if _, err := audit.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	reg := prometheus.NewRegistry()
	l, err := audit.New(audit.Config{Log: &recorder{}, Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close(context.Background()) }()
	if _, err := audit.New(audit.Config{Log: &recorder{}, Metrics: reg}); err == nil {
		t.Error("metrics registered twice")
	}
}
