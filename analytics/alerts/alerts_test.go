package alerts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/alerts"
	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/cluster/journal"
)

// world is a log with evaluators on it, before a book of deliveries and a clock that the test moves.
type world struct {
	t       *testing.T
	now     time.Time
	book    *live.Book
	bucket  *journal.Bucket
	pairs   []analytics.BurnPair
	broken  error  // what asking for the burn fails with
	refused error  // what publishing fails with
	closed  string // a channel on which nothing can be published
	told    []alerts.Notice
	metrics *prometheus.Registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log, err := journal.Open(t.Context(), journal.Config{Dir: t.TempDir(), Shards: 1, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close(context.Background()) })
	w := &world{t: t, now: time.Date(2027, 6, 12, 14, 0, 0, 0, time.UTC), pairs: append(analytics.BurnPairs(), live.SuddenPair())}
	if w.bucket, err = log.KV(t.Context(), "config"); err != nil {
		t.Fatal(err)
	}
	w.book = live.NewBook(live.Config{Now: func() time.Time { return w.now }})
	return w
}

// Burn is by the book.
func (w *world) Burn(context.Context) ([]analytics.BurnRow, time.Time, error) {
	r := w.book.Report(live.Query{By: analytics.ByVendor, Last: 60, Series: true})
	return r.Burn(w.now, w.pairs...), r.Young(w.now), w.broken
}

const stateKey = "alert.slo"

func (w *world) Load(ctx context.Context) ([]byte, uint64, error) {
	v, err := w.bucket.Get(ctx, stateKey)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, 0, nil
	}
	return v.Data, v.Revision, err
}

func (w *world) Save(ctx context.Context, data []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		return w.bucket.Create(ctx, stateKey, data)
	}
	return w.bucket.Update(ctx, stateKey, data, revision)
}

// Publish takes a notice, as the log does: one of an id that was there already changes nothing.
func (w *world) Publish(_ context.Context, n alerts.Notice) error {
	if n.Channel == w.closed {
		return errors.New("refused for good")
	}
	for _, told := range w.told {
		if told.ID == n.ID {
			return w.refused
		}
	}
	w.told = append(w.told, n)
	return w.refused
}

func (w *world) evaluator() *alerts.Evaluator {
	w.t.Helper()
	w.metrics = prometheus.NewRegistry()
	e, err := alerts.New(alerts.Config{
		Source: w, Ledger: w, Publisher: w, Now: func() time.Time { return w.now }, Metrics: w.metrics, Logger: zerolog.Nop(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// deliver has a vendor end so many deliveries, of which some die and others are late.
func (w *world) deliver(vendor string, good, dead, late int) {
	for i := range good + dead + late {
		r := &event.DeliveryRecord{Vendor: vendor, Integration: vendor + "-1", AcceptedAt: w.now, Result: &event.Result{Outcome: event.Delivered, FinishedAt: w.now}}
		switch {
		case i < dead:
			r.Result.Outcome = event.Dead
		case i < dead+late:
			r.AcceptedAt = w.now.Add(-time.Minute)
		}
		w.book.Ended(r)
	}
}

// pass lets time pass in which each of the vendors ends a delivery a second, of which so many in a hundred fail, and
// has e look every 15 s, until it says something or the time is over. It returns how long that took.
func (w *world) pass(e *alerts.Evaluator, span time.Duration, percent map[string]int) (took time.Duration) {
	w.t.Helper()
	before := len(w.told)
	for took < span && len(w.told) == before {
		w.now = w.now.Add(time.Second)
		took += time.Second
		for vendor, p := range percent {
			dead := 0
			if second := int(w.now.Unix()); (second+1)*p/100 > second*p/100 {
				dead = 1
			}
			w.deliver(vendor, 1-dead, dead, 0)
		}
		if took%(15*time.Second) == 0 {
			w.evaluate(e)
		}
	}
	return took
}

func (w *world) evaluate(e *alerts.Evaluator) {
	w.t.Helper()
	if err := e.Evaluate(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) last() string {
	if len(w.told) == 0 {
		return ""
	}
	n := w.told[len(w.told)-1]
	return n.Channel + " " + n.Type + " " + string(n.Payload)
}

func (w *world) open() (sum float64) {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "wedsync_burn_alerts" {
				sum += m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// After a good hour, a tenth of a vendor's deliveries begin to fail: that is told within two minutes, once, of that
// vendor alone; and when it is over, that is told, once.
func TestATenthFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.evaluator()
	w.pass(e, time.Hour, map[string]int{"slack": 0, "email": 0})
	if len(w.told) > 0 || w.open() != 0 {
		t.Fatalf("in a good hour: %s", w.last())
	}
	took := w.pass(e, 10*time.Minute, map[string]int{"slack": 10, "email": 0})
	t.Logf("told after %v: %s", took, w.last())
	if took > 2*time.Minute || len(w.told) != 1 || !strings.HasPrefix(w.last(), "slo:burn:slack slo.burn_started {") || w.open() != 1 {
		t.Fatalf("after %v: %s", took, w.last())
	}
	var told struct{ Vendor, Severity, Objective, Goal, Lately, Before string }
	if err := json.Unmarshal(w.told[0].Payload, &told); err != nil {
		t.Fatal(err)
	}
	if told.Vendor != "slack" || told.Severity != "page" || told.Objective != "success" || told.Goal != "99.5 % are delivered" ||
		!strings.Contains(told.Lately, "were not delivered in 1 min") || !strings.Contains(told.Before, "in 2 min") {
		t.Errorf("it says %+v", told)
	}
	if w.pass(e, 20*time.Minute, map[string]int{"slack": 10, "email": 0}); len(w.told) != 1 {
		t.Fatalf("while it goes on: %s", w.last())
	}
	took = w.pass(e, time.Hour, map[string]int{"slack": 0, "email": 0})
	t.Logf("over after %v: %s", took, w.last())
	if took > 10*time.Minute || !strings.HasPrefix(w.last(), "slo:burn:slack slo.burn_ended {") || w.open() != 0 {
		t.Fatalf("after %v: %s", took, w.last())
	}
	if w.pass(e, time.Hour, map[string]int{"slack": 0, "email": 0}); len(w.told) != 2 {
		t.Errorf("later: %s", w.last())
	}
}

// What cannot be told of one vendor does not keep others from being told of, and is told in order when it can be.
func TestOneNoticeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.evaluator()
	w.pass(e, time.Hour, map[string]int{"email": 0, "slack": 0})
	w.closed = "slo:burn:email"
	for _, vendor := range []string{"email", "slack"} {
		w.deliver(vendor, 0, 100, 0)
	}
	if err := e.Evaluate(t.Context()); err == nil || !strings.Contains(err.Error(), "on slo:burn:email: refused for good") {
		t.Fatalf("evaluating: %v", err)
	}
	if len(w.told) == 0 || !strings.HasPrefix(w.last(), "slo:burn:slack slo.burn_started {") {
		t.Fatalf("told: %+v", w.told)
	}
	w.told, w.closed = nil, ""
	w.evaluate(e)
	if len(w.told) == 0 || !strings.HasPrefix(w.last(), "slo:burn:email slo.burn_started {") {
		t.Errorf("later: %+v", w.told)
	}
}

// A tenth that fails in the first minutes of a node is told as soon, and what began again before it was over is the
// same alert.
func TestWhatComesAgainIsTheSameAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.evaluator()
	if took := w.pass(e, 10*time.Minute, map[string]int{"slack": 10}); took > 2*time.Minute {
		t.Fatalf("told after %v", took)
	}
	w.now = w.now.Add(30 * time.Minute) // nothing is delivered
	w.evaluate(e)
	w.now = w.now.Add(time.Minute)
	w.deliver("slack", 90, 10, 0)
	w.evaluate(e)
	w.now = w.now.Add(90 * time.Second)
	w.evaluate(e)
	if len(w.told) != 1 {
		t.Fatalf("it is told %d times: %s", len(w.told), w.last())
	}
	w.now = w.now.Add(30 * time.Minute)
	w.evaluate(e)
	w.now = w.now.Add(2 * time.Minute)
	w.evaluate(e)
	if len(w.told) != 2 || !strings.Contains(w.last(), event.BurnEnded) {
		t.Fatalf("%d times: %s", len(w.told), w.last())
	}
	w.deliver("slack", 90, 10, 0)
	w.evaluate(e)
	if len(w.told) != 3 || w.told[0].ID == w.told[2].ID {
		t.Errorf("another one is told as %+v", w.told)
	}
}

// A node that was started just now knows of no deliveries, or of a few that went well, and not of those that failed
// before: that is no reason to say that all is well until it has gone on for an hour.
func TestNoNewsIsNotGoodNews(t *testing.T) {
	t.Parallel()
	for name, news := range map[string]bool{"deliveries": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.deliver("slack", 90, 10, 0)
			w.evaluate(w.evaluator())
			w.now = w.now.Add(time.Minute)
			w.book = live.NewBook(live.Config{Now: func() time.Time { return w.now }})
			e := w.evaluator()
			for range 14 {
				if news {
					w.deliver("slack", 1, 0, 0)
				}
				w.evaluate(e)
				w.now = w.now.Add(4 * time.Minute)
			}
			if len(w.told) != 1 || w.open() != 1 {
				t.Fatalf("it is told: %s", w.last())
			}
			w.now = w.now.Add(4 * time.Minute)
			w.evaluate(e)
			if len(w.told) != 2 || !strings.Contains(w.last(), event.BurnEnded) {
				t.Errorf("then: %s", w.last())
			}
		})
	}
}

// A ticket that becomes a page is told again, a page that becomes a ticket is not. What is lost is not told as late
// too; what is late alone is told.
func TestSeverities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pairs = []analytics.BurnPair{
		{Short: 5 * time.Minute, Long: time.Hour, Threshold: 14.4, Severity: analytics.SeverityPage},
		{Short: 10 * time.Minute, Long: time.Hour, Threshold: 1, Severity: analytics.SeverityTicket},
	}
	e := w.evaluator()
	w.deliver("slack", 980, 20, 0) // rate 4
	w.evaluate(e)
	if len(w.told) != 1 || !strings.Contains(w.last(), `"severity":"ticket"`) || !strings.Contains(w.last(), `"before":"20 of 1000 were not delivered in 1 h"`) {
		t.Fatalf("%s", w.last())
	}
	w.deliver("slack", 0, 100, 0)
	w.evaluate(e)
	if len(w.told) != 2 || !strings.Contains(w.last(), `"severity":"page"`) || !strings.Contains(w.last(), `"objective":"success"`) || w.told[0].ID == w.told[1].ID {
		t.Fatalf("%d: %s", len(w.told), w.last())
	}
	w.now = w.now.Add(6 * time.Minute)
	w.deliver("slack", 9, 0, 0)
	w.evaluate(e)
	if len(w.told) != 2 || w.open() != 1 {
		t.Fatalf("what is better is told: %s", w.last())
	}
	w.deliver("email", 0, 0, 4)
	w.evaluate(e)
	if len(w.told) != 2 {
		t.Fatalf("four are few, and told: %s", w.last())
	}
	w.deliver("email", 0, 0, 1)
	w.evaluate(e)
	if len(w.told) != 3 || !strings.Contains(w.last(), `"lately":"5 of 5 were late or not delivered in 5 min"`) || !strings.Contains(w.last(), `"goal":"99 % are delivered within 5s"`) {
		t.Fatalf("%s", w.last())
	}
}

// crash is a publisher or ledger that gives up at the nth call.
type crash struct {
	*world
	calls int // that are left
}

var errCrash = errors.New("the node is gone")

func (c *crash) step() error {
	if c.calls--; c.calls < 0 {
		return errCrash
	}
	return nil
}

func (c *crash) Save(ctx context.Context, data []byte, revision uint64) (uint64, error) {
	if err := c.step(); err != nil {
		return 0, err
	}
	return c.world.Save(ctx, data, revision)
}

func (c *crash) Publish(ctx context.Context, n alerts.Notice) error {
	if err := c.step(); err != nil {
		return err
	}
	return c.world.Publish(ctx, n)
}

// Wherever an evaluator stops, the next one goes on: each alert is told once, and its end too.
func TestToldOnceOverCrashes(t *testing.T) {
	t.Parallel()
	for at := range 6 { // a save, a publish and a save of each
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.deliver("slack", 90, 10, 0)
			c := &crash{w, at}
			first, err := alerts.New(alerts.Config{Source: w, Ledger: c, Publisher: c, Now: func() time.Time { return w.now }, Logger: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			failed := 0
			look := func(e *alerts.Evaluator) {
				if err := e.Evaluate(t.Context()); err != nil {
					if failed++; !errors.Is(err, errCrash) {
						t.Fatal(err)
					}
					w.evaluate(w.evaluator()) // another node
				}
			}
			look(first)
			w.now = w.now.Add(10 * time.Minute)
			look(first)
			w.now = w.now.Add(2 * time.Minute)
			look(first)
			look(first)
			var types []string
			for _, n := range w.told {
				types = append(types, n.Type)
			}
			if got := fmt.Sprint(types); got != "[slo.burn_started slo.burn_ended]" {
				t.Errorf("told %s", got)
			}
			if failed == 0 {
				t.Error("nothing has failed")
			}
		})
	}
}

// Of two evaluators that look at the same time one writes, and the other looks again.
func TestTwoEvaluators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deliver("slack", 90, 10, 0)
	other := &overtaken{world: w}
	e, err := alerts.New(alerts.Config{Source: w, Ledger: other, Publisher: w, Now: func() time.Time { return w.now }, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Evaluate(t.Context()); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("overtaken: %v", err)
	}
	w.evaluate(e)
	if len(w.told) != 1 {
		t.Errorf("told %d", len(w.told))
	}
}

// overtaken has another node evaluate between a look at the state and its change.
type overtaken struct {
	*world
	done bool
}

func (o *overtaken) Save(ctx context.Context, data []byte, revision uint64) (uint64, error) {
	if !o.done {
		o.done = true
		o.evaluate(o.evaluator())
	}
	return o.world.Save(ctx, data, revision)
}

func TestWhatCannotBeEvaluated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.evaluator()
	w.broken = errors.New("clickhouse is away")
	if err := e.Evaluate(t.Context()); !errors.Is(err, w.broken) {
		t.Errorf("without numbers: %v", err)
	}
	w.broken = nil
	for _, bad := range []string{`{"v":2}`, `{"v":1,"alerts":{"a/b":null}}`, `[]`} {
		if _, err := w.bucket.Put(t.Context(), stateKey, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		if err := e.Evaluate(t.Context()); err == nil || !strings.Contains(err.Error(), "the state of the burn alerts") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, c := range []alerts.Config{{}, {Source: w, Ledger: w, Publisher: w, Every: -1}, {Source: w, Ledger: w, Publisher: w, ResolveAfter: -1}} {
		if _, err := alerts.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if _, err := alerts.New(alerts.Config{Source: w, Ledger: w, Publisher: w, Metrics: w.metrics}); err == nil {
		t.Error("two evaluators are told of by one registry")
	}
}

// Run looks at once, again after a failure, and ends with its context.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deliver("slack", 90, 10, 0)
	looks := &counted{world: w, third: make(chan struct{})}
	e, err := alerts.New(alerts.Config{Source: looks, Ledger: w, Publisher: w, Every: time.Millisecond, Now: func() time.Time { return w.now }, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	<-looks.third
	stop()
	if err := <-ended; err != nil || len(w.told) != 1 {
		t.Errorf("%v, told %d", err, len(w.told))
	}
}

// counted fails at the first look.
type counted struct {
	*world
	n     int
	third chan struct{}
}

func (c *counted) Burn(ctx context.Context) ([]analytics.BurnRow, time.Time, error) {
	switch c.n++; c.n {
	case 1:
		return nil, time.Time{}, errors.New("not yet")
	case 3:
		close(c.third)
	}
	return c.world.Burn(ctx)
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"v":1,"alerts":{"slack/success":{"vendor":"slack","objective":"success","severity":"page","since":"2027-06-12T14:00:00Z"}}}`))
	f.Add([]byte(`{"v":1,"alerts":{"a":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := alerts.New(alerts.Config{Source: none{}, Ledger: &value{data: data}, Publisher: none{}, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		_ = e.Evaluate(t.Context()) // it may fail, and must not panic
	})
}

type none struct{}

func (none) Burn(context.Context) ([]analytics.BurnRow, time.Time, error) {
	return nil, time.Time{}, nil
}
func (none) Publish(context.Context, alerts.Notice) error { return nil }

type value struct{ data []byte }

func (v *value) Load(context.Context) ([]byte, uint64, error) { return v.data, 1, nil }
func (v *value) Save(_ context.Context, data []byte, _ uint64) (uint64, error) {
	v.data = data
	return 2, nil
}
