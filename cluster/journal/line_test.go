package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/natstest"
)

// gauge reads one of the log's metrics.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// patientLog is a log in a server of its own that the test stops and starts again.
func patientLog(t *testing.T, patience time.Duration) (*natsServer, *journal.Journal, *prometheus.Registry) {
	t.Helper()
	n, reg := startNATS(t), prometheus.NewRegistry()
	j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5), Patience: patience, Metrics: reg})
	return n, j, reg
}

type appended struct {
	at  journal.Appended
	err error
}

// begin appends an event and returns once it waits in line.
func begin(ctx context.Context, t *testing.T, j *journal.Journal, reg *prometheus.Registry, ev *event.Event) <-chan appended {
	t.Helper()
	before := gauge(t, reg, "wedsync_log_waiting")
	done := make(chan appended, 1)
	go func() {
		at, err := j.Append(ctx, ev)
		done <- appended{at, err}
	}()
	waitFor(t, func() bool { return gauge(t, reg, "wedsync_log_waiting") > before })
	return done
}

// Calls that belong together wait no longer than one of them alone.
func TestPatienceOfSeveralCalls(t *testing.T) {
	t.Parallel()
	const patience = 24 * time.Hour
	n, j, reg := patientLog(t, patience)
	seen, err := j.KV(t.Context(), "seen")
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	fresh, cancel := context.WithCancel(journal.Patient(t.Context()))
	defer cancel()
	waits := begin(fresh, t, j, reg, newEvent("a:b"))
	ctx := journal.PatientSince(t.Context(), time.Now().Add(-patience))
	if _, err := j.Append(ctx, newEvent("a:b")); !errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "as long as is allowed") {
		t.Errorf("appending: %v", err)
	}
	if _, err := seen.Patient().Get(ctx, "a"); !errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "as long as is allowed") {
		t.Errorf("reading: %v", err)
	}
	cancel()
	if got := receive(t, waits); !errors.Is(got.err, context.Canceled) {
		t.Errorf("who has just begun to wait: %v", got.err)
	}
}

// Publishers that wait for each answer notice nothing of a log that is away for a while but the time.
func TestAppendRidesThroughARestart(t *testing.T) {
	t.Parallel()
	n, j, reg := patientLog(t, within)
	const publishers = 8
	ids := make([][]string, publishers)
	var wg sync.WaitGroup
	var over atomic.Bool
	busy := make(chan struct{}, publishers)
	for p := range publishers {
		wg.Go(func() {
			for i := 0; !over.Load(); i++ {
				ev := newEvent(fmt.Sprint("c:", p))
				ev.ID = fmt.Sprintf("%d-%d", p, i)
				if at, err := j.Append(t.Context(), ev); err != nil || at.Duplicate {
					t.Errorf("publisher %d, event %d: %+v, %v", p, i, at, err)
					return
				}
				ids[p] = append(ids[p], ev.ID)
				if i == 20 {
					busy <- struct{}{}
				}
			}
		})
	}
	for range publishers {
		receive(t, busy)
	}
	n.stop()
	waitFor(t, func() bool { return gauge(t, reg, "wedsync_log_waiting") == publishers })
	n.start()
	waitFor(t, func() bool { return gauge(t, reg, "wedsync_log_waiting") == 0 })
	over.Store(true)
	wg.Wait()
	for p := range publishers {
		var got []string
		waitFor(t, func() bool {
			h, err := j.History(t.Context(), fmt.Sprint("c:", p), 0, 1<<20)
			got = nil
			for _, e := range h {
				_, id, _ := strings.Cut(string(e.Data), `"id":"`)
				id, _, _ = strings.Cut(id, `"`)
				got = append(got, id)
			}
			return err == nil
		})
		if !slices.Equal(got, ids[p]) {
			t.Errorf("publisher %d: the log has %v, want %v", p, got, ids[p])
		}
	}
	if gauge(t, reg, "wedsync_log_waiting") != 0 || gauge(t, reg, "wedsync_log_waiting_bytes") != 0 {
		t.Error("something waits still")
	}
	if got := gauge(t, reg, "wedsync_log_waited_total"); got < publishers {
		t.Errorf("%v have waited and were taken, want %d or more", got, publishers)
	}
}

// What waits goes into the log in the order in which it came.
func TestLineKeepsItsOrder(t *testing.T) {
	t.Parallel()
	n, j, reg := patientLog(t, within)
	n.stop()
	var waiting []<-chan appended
	for i := range 30 {
		waiting = append(waiting, begin(t.Context(), t, j, reg, newEvent(fmt.Sprint("c:", i%3))))
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := begin(ctx, t, j, reg, newEvent("c:0"))
	waiting = append(waiting, begin(t.Context(), t, j, reg, newEvent("c:0")))
	cancel()
	if a := receive(t, gone); !errors.Is(a.err, context.Canceled) {
		t.Errorf("who has gone is told %v", a.err)
	}
	n.start()
	for i, w := range waiting {
		if a := receive(t, w); a.err != nil || a.at.Seq != uint64(i+1) {
			t.Errorf("number %d: %+v, %v", i+1, a.at, a.err)
		}
	}
}

func TestLineIsPatientForSoLong(t *testing.T) {
	t.Parallel()
	n, j, reg := patientLog(t, 300*time.Millisecond)
	seen, err := j.KV(t.Context(), "seen")
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	begun := time.Now()
	for name, write := range map[string]func() error{
		"event":  func() error { _, err := j.Append(t.Context(), newEvent("a:b")); return err },
		"bucket": func() error { _, err := seen.Patient().Create(t.Context(), "k", nil); return err },
	} {
		if err := write(); !errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "300ms") {
			t.Errorf("%s: %v, want ErrUnavailable and how long was waited", name, err)
		}
	}
	if took := time.Since(begun); took < 600*time.Millisecond || took > 10*time.Second {
		t.Errorf("it took %v, want twice 300ms", took)
	}
	if gauge(t, reg, "wedsync_log_waiting") != 0 {
		t.Error("something waits still")
	}
	n.start()
	waitFor(t, func() bool { _, err := j.Append(t.Context(), newEvent("a:b")); return err == nil })
}

// No more wait than there is room for, in number and in bytes.
func TestLineIsBounded(t *testing.T) {
	t.Parallel()
	const beyond = 20
	for name, c := range map[string]struct{ size, room int }{
		"number": {1, journal.MaxWaiting},
		"bytes":  {200 << 10, journal.MaxWaitingBytes / (200<<10 + 500)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, j, reg := patientLog(t, within)
			n.stop()
			ev := newEvent("a:b")
			ev.Payload = []byte(`{"x":"` + strings.Repeat("x", c.size) + `"}`)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			refused := make(chan error, beyond)
			var wg sync.WaitGroup
			for range c.room + beyond {
				wg.Go(func() {
					if _, err := j.Append(ctx, ev); !errors.Is(err, context.Canceled) {
						refused <- err
					}
				})
			}
			waitFor(t, func() bool { return int(gauge(t, reg, "wedsync_log_waiting"))+len(refused) == c.room+beyond })
			if got := len(refused); got < beyond-1 || got > beyond {
				t.Errorf("%d are refused, want %d or one less", got, beyond)
			}
			if bytes := gauge(t, reg, "wedsync_log_waiting_bytes"); bytes < float64(c.size*c.room) || bytes > journal.MaxWaitingBytes {
				t.Errorf("%v bytes wait", bytes)
			}
			if err := receive(t, refused); !errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "wait for it already") {
				t.Errorf("one too many: %v, want ErrUnavailable", err)
			}
			cancel()
			wg.Wait()
		})
	}
}

// A node that stops keeps nobody waiting.
func TestStopWaiting(t *testing.T) {
	t.Parallel()
	n, j, reg := patientLog(t, within)
	answers, err := j.KV(t.Context(), "answers")
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	waiting := begin(t.Context(), t, j, reg, newEvent("a:b"))
	put := make(chan error, 1)
	go func() { _, err := answers.Patient().Put(t.Context(), "k", nil); put <- err }()
	waitFor(t, func() bool { return gauge(t, reg, "wedsync_log_waiting") == 2 })
	j.StopWaiting()
	j.StopWaiting()
	if a := receive(t, waiting); !errors.Is(a.err, journal.ErrClosed) {
		t.Errorf("the event that waits: %v, want ErrClosed", a.err)
	}
	if err := receive(t, put); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("the value that waits: %v, want ErrClosed", err)
	}
	if _, err := j.Append(t.Context(), newEvent("a:b")); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("later: %v, want ErrClosed", err)
	}
	n.start()
	waitFor(t, func() bool { _, err := j.Append(t.Context(), newEvent("a:b")); return err == nil })
}

// A bucket that is patient reads and writes over a restart.
func TestPatientBucket(t *testing.T) {
	t.Parallel()
	n, j, reg := patientLog(t, within)
	b, err := j.KV(t.Context(), "answers")
	if err != nil {
		t.Fatal(err)
	}
	b = b.Patient()
	revision, err := b.Create(t.Context(), "k", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if v, err := b.Get(t.Context(), "k"); err != nil || string(v.Data) != "1" {
			t.Errorf("Get: %+v, %v", v, err)
		}
	})
	wg.Go(func() {
		if _, err := b.Put(t.Context(), "other", []byte("2")); err != nil {
			t.Errorf("Put: %v", err)
		}
	})
	wg.Go(func() {
		if err := b.Delete(t.Context(), "third"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	})
	waitFor(t, func() bool { return gauge(t, reg, "wedsync_log_waiting") == 3 })
	n.start()
	wg.Wait()
	if _, err := b.Update(t.Context(), "k", []byte("3"), revision); err != nil {
		t.Errorf("Update: %v", err)
	}
	if _, err := b.Update(t.Context(), "k", nil, revision); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("Update of what has changed: %v, want ErrConflict", err)
	}
	if _, err := b.Get(t.Context(), "none"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Get of nothing: %v, want ErrNotFound", err)
	}
}

// An event whose acknowledgement is lost is stored once, and is no duplicate of itself.
func TestAcknowledgementLost(t *testing.T) {
	t.Parallel()
	n, reg := startNATS(t), prometheus.NewRegistry()
	relay := natstest.Between(t, n.Addr())
	j := openWith(t, journal.Config{URL: relay.URL(), Logger: logger(t).Level(5), Metrics: reg})
	before := newEvent("a:b")
	mustAppend(t, j, before)
	relay.Mute(true)
	lost := make(chan appended, 1)
	ev := newEvent("a:b")
	go func() {
		at, err := j.Append(t.Context(), ev)
		lost <- appended{at, err}
	}()
	js := n.jetStream()
	waitFor(t, func() bool {
		s, err := js.Stream(t.Context(), "EV")
		return err == nil && s.CachedInfo().State.LastSeq == 2
	})
	relay.Cut()
	other := *before
	other.AcceptedAt = other.AcceptedAt.Add(time.Second)
	again := begin(t.Context(), t, j, reg, &other)
	relay.Mute(false)
	relay.Cut()
	if a := receive(t, lost); a.err != nil || a.at != (journal.Appended{Seq: 2}) {
		t.Errorf("stored by a try whose answer was lost: %+v, %v; want 2 and no duplicate", a.at, a.err)
	}
	if a := receive(t, again); a.err != nil || a.at != (journal.Appended{Seq: 1, Duplicate: true}) {
		t.Errorf("another one of an id that was there: %+v, %v; want a duplicate of 1", a.at, a.err)
	}
	if at := mustAppend(t, j, newEvent("a:b")); at.Seq != 3 {
		t.Errorf("the next one is %d, want 3", at.Seq)
	}
}
