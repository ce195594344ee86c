package demo

import (
	"context"
	"fmt"
	"sync"

	"github.com/wedsync/wedsync/loadtest/vendors"
)

// seen is a list that grows while somebody waits for something in it. It is safe for concurrent use.
type seen[T any] struct {
	mu      sync.Mutex
	all     []T
	changed chan struct{} // closed, and replaced, when something is added
}

func (s *seen[T]) add(item T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, item)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// now returns the list and a channel that is closed when it grows.
func (s *seen[T]) now() ([]T, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.all[:len(s.all):len(s.all)], s.changed
}

// await returns those that match once there are count of them.
func (s *seen[T]) await(ctx context.Context, what string, count int, match func(T) bool) ([]T, error) {
	for {
		all, changed := s.now()
		var found []T
		for _, item := range all {
			if match(item) {
				found = append(found, item)
			}
		}
		if len(found) >= count {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return found, fmt.Errorf("%s: %d of %d came: %w", what, len(found), count, ctx.Err())
		}
	}
}

// Receipts are all calls that the vendors saw, in order. Its Add is the vendors' Notify.
type Receipts struct{ seen[vendors.Receipt] }

// Add takes a receipt.
func (r *Receipts) Add(receipt vendors.Receipt) { r.add(receipt) }
