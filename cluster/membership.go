package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Membership tells who is there. Its methods are safe for concurrent use.
type Membership interface {
	// View returns the members as they are now. It never blocks.
	View() *View
	// Subscribe has changed called after each change of the view, by whoever changed it; changed must
	// not block. After stop no further call begins.
	Subscribe(changed func()) (stop func())
}

// board holds the view and tells of its changes. The zero board has an empty view.
type board struct {
	view atomic.Pointer[View]

	mu          sync.Mutex
	subscribers []*subscriber
}

type subscriber struct {
	changed func()
	stopped atomic.Bool
}

// View returns the members as they are now.
func (b *board) View() *View {
	if v := b.view.Load(); v != nil {
		return v
	}
	return &View{}
}

// Owner returns the name of the member that should own a shard now; "" when nobody can.
func (b *board) Owner(shard int) string { return b.View().Owner(shard) }

// Subscribe has changed called after each change.
func (b *board) Subscribe(changed func()) (stop func()) {
	s := &subscriber{changed: changed}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = append(b.subscribers, s)
	return func() {
		s.stopped.Store(true)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.subscribers = slices.DeleteFunc(b.subscribers, func(other *subscriber) bool { return other == s })
	}
}

// show makes v the view and tells everybody.
func (b *board) show(v *View) {
	b.view.Store(v)
	b.mu.Lock()
	subscribers := slices.Clone(b.subscribers)
	b.mu.Unlock()
	for _, s := range subscribers {
		if !s.stopped.Load() {
			s.changed()
		}
	}
}
