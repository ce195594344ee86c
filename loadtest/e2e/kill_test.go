package e2e_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/embedded"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// How the node is killed: so often while it serves, at a moment up to killWithin after it has taken an
// event; and every killEarly-th time once more while it starts.
const (
	kills      = 20
	killWithin = 900 * time.Millisecond
	killEarly  = 5
	lanes      = 16                    // channels, each with a publisher
	lanePace   = 60 * time.Millisecond // at most so often an event a channel, and
	laneAhead  = 8                     // at most so many ahead of what the steady vendor has taken
)

// impatient has breakers probe soon, so that they open and close many times within one test.
var impatient = []string{"--set", "delivery.breakerWait=200ms", "--set", "delivery.breakerMaxWait=400ms"}

func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := number(t, "WEDSYNC_E2E_SEED", rand.Uint64())
	t.Logf("repeat these moments with WEDSYNC_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func pause(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

// flap has a vendor fail and recover until stop is called, which leaves it well.
func flap(s *sink, down, up time.Duration) (stop func()) {
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			well := s.Faults().Add(vendors.Fault{Status: 503})
			for _, phase := range []struct {
				length time.Duration
				over   func()
			}{{down, well}, {up, func() {}}} {
				timer := time.NewTimer(phase.length)
				select {
				case <-timer.C:
					phase.over()
				case <-end:
					timer.Stop()
					well()
					return
				}
			}
		}
	})
	return sync.OnceFunc(func() { close(end); done.Wait() })
}

// TestKilledUnderLoad kills the node again and again while it is published to, and counts at the far
// sides what became of each event.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	ctx := within(t, 5*time.Minute)
	moments := dice(t)
	db := newDatabase(t)
	st := newStation(t, append([]string{"--clickhouse", db.dsn}, impatient...)...)
	steady, slow, flapping, lossy := newSink(t, "steady"), newSink(t, "slow"), newSink(t, "flapping"), newSink(t, "lossy")
	sinks := []*sink{steady, slow, flapping, lossy}
	slow.Faults().Add(vendors.Fault{Latency: event.Duration(60 * time.Millisecond), Jitter: event.Duration(60 * time.Millisecond)})
	lossy.Faults().Add(vendors.Fault{LoseAnswer: true, Match: everyNth(40)})
	calm := flap(flapping, 500*time.Millisecond, 300*time.Millisecond)
	defer calm()

	st.start(ctx)
	connect(ctx, t, st.api, sinks...)
	watchers := []*watcher{
		watch(ctx, t, st.node.WebSocketURL(), "watcher 1", lanes), watch(ctx, t, st.node.WebSocketURL(), "watcher 2", lanes),
	}
	l := newLoad(t, st.api, lanes)
	l.hold = func(ctx context.Context, channel, n int) { steady.keepUp(ctx, l.stop, channel, n-laneAhead) }
	l.begin(ctx, 0, lanePace)
	defer l.end()
	early := 0
	wanted := int(number(t, "WEDSYNC_E2E_KILLS", kills))
	for i := range wanted {
		// Not before it has taken at least one event: it is killed at work.
		if err := l.more(ctx, l.total()+1); err != nil {
			t.Fatal(err)
		}
		pause(ctx, t, time.Duration(moments.Int64N(int64(killWithin))))
		st.node.Kill()
		if i%killEarly == 0 {
			st.begin()
			pause(ctx, t, time.Duration(moments.Int64N(int64(killWithin))))
			st.node.Kill()
			early++
		}
		st.begin()
	}
	st.ready(ctx)
	killed := time.Since(begun)
	l.end()
	calm()
	accepted, total := l.byChannel(), l.total()

	for _, s := range sinks {
		if err := s.Wait(ctx, total); err != nil {
			t.Errorf("%s: %v", s.id, err)
		}
	}
	for _, w := range watchers {
		if err := w.wait(ctx, total); err != nil {
			t.Error(err)
		}
		w.verify(t, accepted)
	}
	repeats := map[string]int{}
	for _, s := range sinks {
		repeats[s.id] = s.verify(t, accepted)
	}
	checkRecords(ctx, t, db.dsn, accepted, sinks...)
	checkNoneDead(ctx, t, st)
	st.stop(ctx)
	t.Logf("%d kills while serving and %d while starting, %d events, %d deliveries; repeated deliveries %v; %d requests repeated, %d of them were in the log already; "+
		"%d events recovered by WebSocket over %d subscriptions made again; kills took %v, all %v",
		wanted, early, total, total*len(sinks), repeats, l.again.Load(), l.duplicate.Load(), watchers[0].recovered, watchers[0].back,
		killed.Round(time.Second), time.Since(begun).Round(time.Second))
}

// everyNth matches each nth call.
func everyNth(n int) func(*vendors.Receipt) bool {
	var mu sync.Mutex
	calls := 0
	return func(*vendors.Receipt) bool {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return calls%n == 0
	}
}

// TestKilledWithItsOwnEngine does the same to a node that runs ClickHouse itself, which dies with it.
func TestKilledWithItsOwnEngine(t *testing.T) {
	t.Parallel()
	ctx := within(t, 5*time.Minute)
	moments := dice(t)
	const kills, lanes = 4, 4
	st := newStation(t, append(engineFlags(t), impatient...)...)
	steady, flapping := newSink(t, "steady"), newSink(t, "flapping")
	calm := flap(flapping, 300*time.Millisecond, 300*time.Millisecond)
	defer calm()
	st.start(ctx)
	connect(ctx, t, st.api, steady, flapping)
	l := newLoad(t, st.api, lanes)
	l.hold = func(ctx context.Context, channel, n int) { steady.keepUp(ctx, l.stop, channel, n-laneAhead) }
	l.begin(ctx, 0, 20*time.Millisecond)
	defer l.end()
	for range kills {
		// Not before there is something to interrupt: the engine runs, and rows are on their way to it.
		until(ctx, t, "recording", func(ctx context.Context) (bool, string) { return st.component(ctx, "clickhouse", "ok") })
		pause(ctx, t, time.Duration(moments.Int64N(int64(1500*time.Millisecond))))
		st.node.Kill()
		st.start(ctx)
	}
	l.end()
	calm()
	accepted, total := l.byChannel(), l.total()
	for _, s := range []*sink{steady, flapping} {
		if err := s.Wait(ctx, total); err != nil {
			t.Errorf("%s: %v", s.id, err)
		}
		s.verify(t, accepted)
	}
	until(ctx, t, "recording", func(ctx context.Context) (bool, string) { return st.component(ctx, "clickhouse", "ok") })
	dsn, err := embedded.Find(st.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	checkRecords(ctx, t, dsn, accepted, steady, flapping)
	st.stop(ctx)
	t.Logf("%d kills, %d events", kills, total)
}
