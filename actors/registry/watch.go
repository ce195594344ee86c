package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

// How long a watch that broke waits before it starts again.
const (
	firstRewatch = 100 * time.Millisecond
	lastRewatch  = 5 * time.Second
)

// watcher follows one bucket.
type watcher struct {
	registry *Registry
	bucket   Bucket
	name     string
	started  bool // the initial values came once
}

// run follows the bucket until ctx ends, and sends once to loaded: nil when the initial values are
// there, or why they cannot be had.
func (w *watcher) run(ctx context.Context, loaded chan<- error) {
	wait := firstRewatch
	for {
		began := time.Now()
		err := w.follow(ctx, loaded)
		switch {
		case ctx.Err() != nil:
			if !w.started {
				loaded <- ErrClosed
			}
			return
		case !w.started:
			loaded <- fmt.Errorf("load bucket %s: %w", w.name, err)
			return
		}
		if time.Since(began) > lastRewatch {
			wait = firstRewatch
		}
		w.registry.log.Warn().Err(err).Str("bucket", w.name).Dur("retry_in", wait).
			Msg("the watch of the configuration ended; what is known stays in force")
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRewatch)
	}
}

// follow runs one watch. One that starts anew is not told of every key that went meanwhile, so what
// it does not bring is dropped.
func (w *watcher) follow(ctx context.Context, loaded chan<- error) error {
	var seen map[string]bool
	if w.started {
		seen = map[string]bool{}
	}
	change := func(c journal.Change) {
		if seen != nil && !c.Deleted {
			seen[c.Key] = true
		}
		w.registry.take(w.name, c)
	}
	ready := func() {
		if seen != nil {
			for _, key := range w.registry.keys(w.name) {
				if !seen[key] {
					w.registry.take(w.name, journal.Change{Value: journal.Value{Key: key}, Deleted: true})
				}
			}
			seen = nil
		}
		if !w.started {
			w.started = true
			loaded <- nil
		}
	}
	return w.bucket.Watch(ctx, change, ready)
}

// take brings one change into the index, wakes who waits for it, and tells the subscribers.
func (r *Registry) take(bucket string, c journal.Change) {
	apply, id := r.read(bucket, c)
	if apply == nil {
		return
	}
	r.changing.Lock()
	defer r.changing.Unlock()

	key := recordKey{bucket, c.Key}
	r.mu.Lock()
	changed := apply()
	r.applied[bucket] = max(r.applied[bucket], c.Revision)
	for _, waiting := range r.waiters[key] {
		close(waiting)
	}
	delete(r.waiters, key)
	r.mu.Unlock()

	if changed && id != "" {
		r.subscribers.tell(id)
	}
}
