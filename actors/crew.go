package actors

import (
	"context"
	"sync"
)

// crew is a group of workers with a common end: it counts them, so that somebody can wait for them,
// and can call them off.
type crew struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newCrew() *crew {
	ctx, cancel := context.WithCancel(context.Background())
	return &crew{ctx: ctx, cancel: cancel}
}

// Go runs the work in a goroutine of its own and reports whether it did: a closed crew takes none.
func (c *crew) Go(work func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(func() { work(c.ctx) })
	return true
}

// finish takes no more work, waits for what is under way until ctx ends, then calls it off and waits
// for it to return.
func (c *crew) finish(ctx context.Context) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, c.cancel)
	c.wg.Wait()
	stop()
	c.cancel()
}

// credit bounds how many items may be on their way from the log to the actor that holds them. One takes, any give.
type credit struct {
	size  int
	mu    sync.Mutex
	free  int
	given chan struct{} // roused when there is more
}

func newCredit(n int) *credit { return &credit{size: n, free: n, given: make(chan struct{}, 1)} }

// take waits for at least one and takes at most limit; 0 when ctx ended first.
func (c *credit) take(ctx context.Context, limit int) int {
	for {
		c.mu.Lock()
		n := min(c.free, limit)
		c.free -= n
		c.mu.Unlock()
		if n > 0 {
			return n
		}
		select {
		case <-c.given:
		case <-ctx.Done():
			return 0
		}
	}
}

// await returns when all is given back or ctx has ended. Nobody may take meanwhile.
func (c *credit) await(ctx context.Context) {
	for missing := c.size; missing > 0; {
		n := c.take(ctx, missing)
		if n == 0 {
			return
		}
		missing -= n
	}
}

func (c *credit) give(n int) {
	c.mu.Lock()
	c.free += n
	c.mu.Unlock()
	select {
	case c.given <- struct{}{}:
	default:
	}
}
