package journal_test

import (
	"context"
	"errors"
	"testing"
)

// One node of several runs what all would run; another one does when it is cut off or has done.
func TestHold(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	type turn struct {
		node string
		ctx  context.Context
		end  chan error
	}
	turns := make(chan turn, 10)
	ended := make(chan error, 2)
	ctx, cancel := context.WithCancel(t.Context())
	hold := func(ctx context.Context, node string) func(bool) {
		j, way := comrade(t, n, node)
		go func() {
			ended <- j.Leases().Hold(ctx, "recorder", func(ctx context.Context) error {
				mine := turn{node, ctx, make(chan error, 1)}
				turns <- mine
				select {
				case err := <-mine.end:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}()
		return func(on bool) { way.Hold(on, on) }
	}
	stopA := hold(ctx, "a")
	a := receive(t, turns)
	stopB := hold(ctx, "b")
	stopA(true)
	receive(t, a.ctx.Done())
	b := receive(t, turns)
	if a.node != "a" || b.node != "b" {
		t.Errorf("first runs %s, then %s", a.node, b.node)
	}
	stopA(false)
	stopB(true) // for less than a needs to have it
	receive(t, b.ctx.Done())
	if len(turns) > 0 {
		t.Error("both run")
	}
	stopB(false)
	next := receive(t, turns)
	broken := errors.New("broken")
	next.end <- broken
	if err := receive(t, ended); !errors.Is(err, broken) {
		t.Errorf("Hold of the one that is broken: %v", err)
	}
	last := receive(t, turns)
	if last.node == next.node {
		t.Errorf("%s runs it again", last.node)
	}
	cancel()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Hold: %v, want context.Canceled", err)
	}
}
