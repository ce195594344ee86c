package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is a set of keys and values. Keys are made of A-Za-z0-9 and -_/=. without a "." at either
// end. It is safe for concurrent use.
type Bucket struct {
	j       *Journal
	kv      jetstream.KeyValue
	patient bool
}

// Patient returns the bucket with calls that wait for a log that does not answer, as Append does. One that
// was repeated meets what it wrote itself: Create and Update then fail with ErrConflict.
func (b *Bucket) Patient() *Bucket { return &Bucket{b.j, b.kv, true} }

func (b *Bucket) call(ctx context.Context, do func(context.Context) error) error {
	if !b.patient {
		return do(ctx)
	}
	return b.j.line.ride(ctx, do)
}

// Value is what a key has.
type Value struct {
	Key      string
	Data     []byte
	Revision uint64 // grows with every change in the bucket
}

// Change is what Watch tells of.
type Change struct {
	Value
	Deleted bool // Data is empty then
}

// KV returns a bucket: "config" (keeps the last ten values of a key), "secrets" (keeps one), "seen"
// (values vanish after eight days), or "answers" (after one); ErrNotFound for any other name. "clients" and
// "syncs" are there too, and have methods of their own: see Client and Synced.
func (j *Journal) KV(_ context.Context, bucket string) (*Bucket, error) {
	if b := j.buckets[bucket]; b != nil {
		return b, j.alive()
	}
	return nil, fmt.Errorf("bucket %q: %w", bucket, ErrNotFound)
}

func (b *Bucket) fail(doing, key string, err error) error {
	return b.j.fail(fmt.Sprintf("%s %s/%s", doing, b.kv.Bucket(), key), err)
}

// Get returns the key's value, or ErrNotFound.
func (b *Bucket) Get(ctx context.Context, key string) (Value, error) {
	var e jetstream.KeyValueEntry
	err := b.call(ctx, func(ctx context.Context) (err error) {
		e, err = b.kv.Get(ctx, key)
		return err
	})
	if err != nil {
		return Value{}, b.fail("reading", key, err)
	}
	return Value{Key: key, Data: e.Value(), Revision: e.Revision()}, nil
}

// Put sets the key's value whatever it was.
func (b *Bucket) Put(ctx context.Context, key string, data []byte) (revision uint64, err error) {
	err = b.call(ctx, func(ctx context.Context) (err error) {
		revision, err = b.kv.Put(ctx, key, data)
		return err
	})
	return revision, b.fail("writing", key, err)
}

// Create sets the key's value if it has none; else it fails with ErrConflict.
func (b *Bucket) Create(ctx context.Context, key string, data []byte) (revision uint64, err error) {
	err = b.call(ctx, func(ctx context.Context) (err error) {
		revision, err = b.kv.Create(ctx, key, data)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyExists) {
		return 0, fmt.Errorf("creating %s/%s: %w: it exists", b.kv.Bucket(), key, ErrConflict)
	}
	return revision, b.fail("creating", key, err)
}

// Update sets the key's value if it still has that revision; else it fails with ErrConflict.
func (b *Bucket) Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	before := revision
	err := b.call(ctx, func(ctx context.Context) (err error) {
		revision, err = b.kv.Update(ctx, key, data, before)
		return err
	})
	return revision, b.fail("updating", key, err)
}

// Delete removes the key. It is no error that there is none.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return b.fail("deleting", key, b.call(ctx, func(ctx context.Context) error { return b.kv.Delete(ctx, key) }))
}

// Watch calls fn for every key's present value, then ready once, then fn for every change, all in
// order from the calling goroutine, until the context ends; it returns the context's error then, or
// ErrClosed.
func (b *Bucket) Watch(ctx context.Context, fn func(Change), ready func()) error {
	return b.WatchKeys(ctx, ">", fn, ready)
}

// WatchKeys is Watch for the keys that the filter selects: "*" in it stands for one part between
// dots, a final ">" for all that remain.
func (b *Bucket) WatchKeys(ctx context.Context, filter string, fn func(Change), ready func()) error {
	w, err := b.kv.Watch(ctx, filter)
	if err != nil {
		return b.fail("watching", "", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return b.fail("watching", "", cmp.Or(ctx.Err(), ErrUnavailable))
			case e == nil:
				ready()
			default:
				fn(Change{
					Value:   Value{Key: e.Key(), Data: e.Value(), Revision: e.Revision()},
					Deleted: e.Operation() != jetstream.KeyValuePut,
				})
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-b.j.closed:
			return ErrClosed
		}
	}
}
