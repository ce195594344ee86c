package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// put writes a record of the config bucket and waits until it can be seen.
func (r *Registry) put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	if r.isClosed() {
		return 0, fmt.Errorf("%s: %w", key, ErrClosed)
	}
	var err error
	if revision > 0 {
		revision, err = r.config.Store.Config.Update(ctx, key, data, revision)
	} else {
		revision, err = r.config.Store.Config.Put(ctx, key, data)
	}
	if err != nil {
		return 0, storeError(key, err)
	}
	return revision, r.awaitRevision(ctx, recordKey{configBucket, key}, revision)
}

// remove deletes a record, readable or not, and waits until it is gone; ErrNotFound if there is none.
func (r *Registry) remove(ctx context.Context, key recordKey) error {
	r.mu.RLock()
	was := r.revision(key)
	r.mu.RUnlock()
	switch {
	case r.isClosed():
		return fmt.Errorf("%s: %w", key.key, ErrClosed)
	case was == 0:
		return fmt.Errorf("%s: %w", key.key, ErrNotFound)
	}
	bucket := r.config.Store.Config
	if key.bucket == secretsBucket {
		bucket = r.config.Store.Secrets
	}
	if err := bucket.Delete(ctx, key.key); err != nil {
		return storeError(key.key, err)
	}
	if err := r.await(ctx, key, func() bool { return r.revision(key) != was }); err != nil {
		return unseenError(key.key, err)
	}
	return nil
}

// await waits until done, called with the lock held, is true; it is asked again whenever the key
// has changed.
func (r *Registry) await(ctx context.Context, key recordKey, done func() bool) error {
	for {
		r.mu.Lock()
		if done() {
			r.mu.Unlock()
			return nil
		}
		changed := make(chan struct{})
		r.waiters[key] = append(r.waiters[key], changed)
		r.mu.Unlock()

		select {
		case <-changed:
		case <-ctx.Done():
			r.unwait(key, changed)
			return context.Cause(ctx)
		case <-r.closed:
			return ErrClosed
		}
	}
}

func (r *Registry) unwait(key recordKey, changed chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := slices.DeleteFunc(r.waiters[key], func(w chan struct{}) bool { return w == changed })
	if len(left) == 0 {
		delete(r.waiters, key)
	} else {
		r.waiters[key] = left
	}
}

// awaitRevision waits until the write that gave the revision has come by.
func (r *Registry) awaitRevision(ctx context.Context, key recordKey, revision uint64) error {
	if err := r.await(ctx, key, func() bool { return r.applied[key.bucket] >= revision }); err != nil {
		return unseenError(key.key, err)
	}
	return nil
}

// awaitOther waits, after a conflict, until what somebody else wrote in place of revision was has
// come by.
func (r *Registry) awaitOther(ctx context.Context, key recordKey, was uint64) error {
	if err := r.await(ctx, key, func() bool { return r.revision(key) != was }); err != nil {
		return fmt.Errorf("%s: %w: waiting for what they wrote: %w", key.key, ErrConflict, err)
	}
	return nil
}

// revision returns that of the last record seen under the key, 0 if there is none. It wants the lock.
func (r *Registry) revision(key recordKey) uint64 {
	if p, ok := r.problems[key]; ok {
		return p.Revision
	}
	if id, ok := strings.CutPrefix(key.key, mappingPrefix); ok {
		if route := r.index.mappings[id]; route != nil {
			return route.mapping.Revision
		}
		return 0
	}
	s := r.index.integrations[strings.TrimPrefix(key.key, integrationPrefix)]
	switch {
	case s == nil:
		return 0
	case key.bucket == secretsBucket:
		return s.secretsRevision
	}
	return s.revision
}

// isStored reports whether there is a record under the key, readable or not.
func (r *Registry) isStored(key recordKey) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.revision(key) != 0
}

// writable fails where the record under the key is one of Problems: what is in force instead is
// older, and must not be written over it.
func (r *Registry) writable(key recordKey) error {
	if r.isClosed() {
		return fmt.Errorf("%s: %w", key.key, ErrClosed)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p, bad := r.problems[key]; bad {
		return fmt.Errorf("%s: %s: %w", key.key, p.Reason, ErrConflict)
	}
	return nil
}

func (r *Registry) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}
