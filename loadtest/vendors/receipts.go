package vendors

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// receipts keeps what a simulator received, in the order in which it was acted upon.
type receipts struct {
	cfg Config

	mu      sync.Mutex
	kept    []Receipt
	taken   map[string]int // by ID
	counts  Counts
	waiters []waiter
}

type waiter struct {
	n    int
	done chan struct{}
}

func newReceipts(cfg Config) *receipts {
	return &receipts{cfg: cfg, taken: map[string]int{}}
}

// add records a call; it fills in Repeat.
func (l *receipts) add(r *Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Calls++
	if r.Taken {
		l.count(r)
	} else {
		l.counts.Refused++
	}
	if !l.cfg.Discard {
		if len(l.kept) >= 2*l.cfg.Keep {
			l.kept = append(l.kept[:0], l.kept[len(l.kept)-l.cfg.Keep:]...)
		}
		l.kept = append(l.kept, *r)
	}
	if l.cfg.Notify != nil {
		l.cfg.Notify(*r)
	}
	reached := l.reached()
	l.waiters = slices.DeleteFunc(l.waiters, func(w waiter) bool {
		if reached >= w.n {
			close(w.done)
		}
		return reached >= w.n
	})
}

func (l *receipts) count(r *Receipt) {
	l.counts.Taken++
	if l.cfg.Discard {
		return
	}
	if r.ID != "" {
		r.Repeat = l.taken[r.ID]
		l.taken[r.ID]++
	}
	if r.Repeat > 0 {
		l.counts.Repeats++
	} else {
		l.counts.Distinct++
	}
}

func (l *receipts) reached() int {
	if l.cfg.Discard {
		return l.counts.Taken
	}
	return l.counts.Distinct
}

// Received returns the receipts kept, oldest first.
func (l *receipts) Received() []Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept[max(0, len(l.kept)-l.cfg.Keep):])
}

// Counts returns how many calls came, of all time.
func (l *receipts) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Forget drops receipts and counts.
func (l *receipts) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept, l.taken, l.counts = nil, map[string]int{}, Counts{}
}

// Wait returns when n different deliveries were taken, or with the context's error.
func (l *receipts) Wait(ctx context.Context, n int) error {
	l.mu.Lock()
	if l.reached() >= n {
		l.mu.Unlock()
		return nil
	}
	w := waiter{n, make(chan struct{})}
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiters = slices.DeleteFunc(l.waiters, func(o waiter) bool { return o.done == w.done })
	return fmt.Errorf("%d of %d deliveries were taken: %w", l.reached(), n, context.Cause(ctx))
}
