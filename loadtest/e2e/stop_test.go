package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// stopSlack is what a node may take beyond its deadline: for closing, on a busy machine.
const stopSlack = 20 * time.Second

// busy waits until calls to the vendor are under way.
func busy(ctx context.Context, t *testing.T, st *station, s *sink, calls int) {
	t.Helper()
	until(ctx, t, "calls are under way", func(ctx context.Context) (bool, string) {
		h, err := st.api.Health(ctx, s.id)
		return err == nil && h.InFlight >= calls, fmt.Sprintf("%+v, %v", h, err)
	})
}

// TestStoppedUnderLoad tells the node to stop while calls are under way: those are finished and not
// made again, and everything else is made by the next node.
func TestStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := within(t, 4*time.Minute)
	st := newStation(t, "--clickhouse", "off", "--set", "shutdown=15s")
	steady, slow := newSink(t, "steady"), newSink(t, "slow")
	slow.Faults().Add(vendors.Fault{Latency: event.Duration(200 * time.Millisecond), Jitter: event.Duration(200 * time.Millisecond)})
	st.start(ctx)
	connect(ctx, t, st.api, steady, slow)
	const lanes, stops = 16, 3
	w := watch(ctx, t, st.node.WebSocketURL(), "watcher", lanes)
	l := newLoad(t, st.api, lanes)
	l.hold = func(ctx context.Context, channel, n int) { slow.keepUp(ctx, l.stop, channel, n-laneAhead) }
	l.begin(ctx, 0, 30*time.Millisecond)
	defer l.end()
	for range stops {
		if err := l.more(ctx, l.total()+50); err != nil {
			t.Fatal(err)
		}
		busy(ctx, t, st, slow, 4)
		begun := time.Now()
		st.stop(ctx) // exit code 0
		if took := time.Since(begun); took > 15*time.Second+stopSlack {
			t.Errorf("the node took %v to stop", took)
		}
		st.start(ctx)
	}
	l.end()
	accepted, total := l.byChannel(), l.total()
	for _, s := range []*sink{steady, slow} {
		if err := s.Wait(ctx, total); err != nil {
			t.Errorf("%s: %v", s.id, err)
		}
		if repeats := s.verify(t, accepted); repeats > 0 {
			t.Errorf("%s: %d calls were finished before the node ended and made again by the next", s.id, repeats)
		}
	}
	if err := w.wait(ctx, total); err != nil {
		t.Error(err)
	}
	w.verify(t, accepted)
	checkNoneDead(ctx, t, st)
	st.stop(ctx)
	t.Logf("%d stops, %d events, %d requests repeated", stops, total, l.again.Load())
}

// TestStoppedBesideAHangingVendor tells a node to stop whose calls will not end: it gives them back at
// its deadline, and the next node makes them.
func TestStoppedBesideAHangingVendor(t *testing.T) {
	t.Parallel()
	ctx := within(t, 4*time.Minute)
	const deadline = 2 * time.Second
	st := newStation(t, "--clickhouse", "off", "--set", "shutdown="+deadline.String(), "--set", "delivery.timeout=5m")
	hanging, steady := newSink(t, "hanging"), newSink(t, "steady")
	hanging.Faults().Add(vendors.Fault{Hang: true})
	st.start(ctx)
	connect(ctx, t, st.api, hanging, steady)
	l := newLoad(t, st.api, 8)
	l.begin(ctx, 5, 0)
	l.wait()
	busy(ctx, t, st, hanging, 8)
	begun := time.Now()
	st.stop(ctx) // exit code 0
	if took := time.Since(begun); took > deadline+stopSlack {
		t.Errorf("the node took %v to stop, its deadline was %v", took, deadline)
	}
	hanging.Faults().Clear()
	st.start(ctx)
	for _, s := range []*sink{hanging, steady} {
		if err := s.Wait(ctx, l.total()); err != nil {
			t.Errorf("%s: %v", s.id, err)
		}
		if repeats := s.verify(t, l.byChannel()); repeats > 0 {
			t.Errorf("%s: %d deliveries were made twice", s.id, repeats)
		}
	}
	checkNoneDead(ctx, t, st)
	st.stop(ctx)
}
