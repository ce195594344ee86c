package actors_test

import (
	"context"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
)

func TestCrewFinishWaitsForItsWorkers(t *testing.T) {
	t.Parallel()
	c := actors.NewCrew()
	release, finished := make(chan struct{}), make(chan struct{})
	done := false
	if !c.Go(func(context.Context) { <-release; done = true }) {
		t.Fatal("a new crew takes no work")
	}
	go func() { c.Finish(context.Background()); close(finished) }()
	close(release)
	<-finished
	if !done {
		t.Error("finish returned before the worker had ended")
	}
	if c.Go(func(context.Context) {}) {
		t.Error("a finished crew takes work")
	}
}

func TestCrewFinishCallsOffWhatOutlastsIt(t *testing.T) {
	t.Parallel()
	c := actors.NewCrew()
	calledOff := false
	c.Go(func(ctx context.Context) { <-ctx.Done(); calledOff = true })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c.Finish(ctx)
	if !calledOff {
		t.Error("the worker's context did not end")
	}
}

func TestCreditGivesAtMostWhatItHas(t *testing.T) {
	t.Parallel()
	c := actors.NewCredit(5)
	ctx, cancel := context.WithCancel(context.Background())
	if n := c.Take(ctx, 3); n != 3 {
		t.Fatalf("took %d of 5, want 3", n)
	}
	if n := c.Take(ctx, 3); n != 2 {
		t.Fatalf("took %d of the 2 left", n)
	}
	taken := make(chan int)
	go func() { taken <- c.Take(ctx, 3) }()
	c.Give(1)
	if n := <-taken; n != 1 {
		t.Fatalf("took %d after 1 was given back", n)
	}
	cancel()
	if n := c.Take(ctx, 3); n != 0 {
		t.Fatalf("took %d from nothing after the end", n)
	}
}

func TestRestartWaitsGrowAreCappedAndSpread(t *testing.T) {
	t.Parallel()
	p := actors.RestartPolicy{Initial: 100 * time.Millisecond, Max: time.Second}.WithDefaults()
	for _, c := range []struct {
		n    int
		rnd  float64
		want time.Duration
	}{
		{1, 0, 50 * time.Millisecond},
		{1, 0.999999999, 100 * time.Millisecond},
		{2, 0, 100 * time.Millisecond},
		{3, 0.5, 300 * time.Millisecond},
		{5, 0, 500 * time.Millisecond},
		{1000, 0.999999999, time.Second},
	} {
		if got := p.Wait(c.n, c.rnd).Round(time.Millisecond); got != c.want {
			t.Errorf("restart %d with %v: wait %v, want %v", c.n, c.rnd, got, c.want)
		}
	}
}
