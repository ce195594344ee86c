package journal

import (
	"context"
	"time"
)

// batcher does something now and then: what it is roused for is gathered for a while and done together, and what is
// left in the end.
type batcher struct {
	every time.Duration
	do    func(ctx context.Context, last bool) // in one goroutine

	wake   chan struct{}
	stop   chan struct{}
	over   chan struct{}
	cancel context.CancelFunc
}

func newBatcher(every time.Duration, do func(ctx context.Context, last bool)) *batcher {
	b := &batcher{
		every: every, do: do,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), over: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go b.run(ctx)
	return b
}

// rouse says that there is something to do.
func (b *batcher) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *batcher) run(ctx context.Context) {
	defer close(b.over)
	gather := time.NewTimer(b.every)
	defer gather.Stop()
	for {
		select {
		case <-b.wake:
			gather.Reset(b.every)
			select {
			case <-gather.C:
			case <-b.stop:
			}
			b.do(ctx, false)
		case <-b.stop:
			b.do(ctx, true)
			return
		}
	}
}

// close does what is left, for a while, and ends. It is called once.
func (b *batcher) close(limit time.Duration) {
	close(b.stop)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-b.over:
	case <-t.C:
	}
	b.cancel()
	<-b.over
}
