package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
)

// Leases is this node's part in who works on what. No clock of another node counts, and no wall's:
//
//   - A node renews one key, its session, for all that it holds. Its leases are valid until the moment before
//     it sent the last renewal that the log took, and the TTL. Then it does nothing; if a renewal is taken
//     again, nobody has claimed anything of it in between, and it goes on.
//   - Another node may claim what it holds when its session did not change for the TTL and a tenth, by the
//     other's own clock since that saw the last change. First that ends the session, by replacing exactly
//     what it saw: whatever it failed to see makes this fail. A session that was ended is over for good.
//   - What was released, what is of a session that is over, and what this very node had before it was started
//     again (names of nodes are unique) can be claimed at once.
//
// What is known comes from a watch that runs all the time, so that the time counts from the last renewal and
// not from the first look. A replica that lags may answer with what was before: the comparison at writing
// decides. A node alone has its store to itself, by the lock on its directory: what it claims stays valid
// without renewals, and what others have claimed is over.
type Leases struct {
	j      *Journal
	bucket *Bucket
	log    zerolog.Logger
	node   string
	ttl    time.Duration
	alone  bool
	begun  time.Time // when the clock stood at zero

	until   atomic.Int64  // until when leases are valid, on that clock
	changed signal        // something may be free, valid, not valid or lost now
	wake    chan struct{} // the keeper's
	stop    context.CancelFunc
	tasks   sync.WaitGroup
	ending  sync.Mutex // held to end another node's session

	mu       sync.Mutex
	view     leaseView
	session  uint64            // this node's; 0: none
	revision uint64            // of its key
	held     map[string]*Lease // by name
	claiming map[string]int    // calls of Claim under way, by name
}

// Lease is the right to work on something while it is valid. Its methods may be called concurrently.
type Lease struct {
	Name  string
	Epoch uint64 // rises with every claim, so that what an earlier owner did can be told apart

	of       *Leases
	revision uint64
	lost     atomic.Bool
}

// ShardLease is the name of a shard's lease.
func ShardLease(shard int) string { return strconv.Itoa(shard) }

// Leases returns this node's leases, and begins to watch those of all nodes with the first call.
func (j *Journal) Leases() *Leases {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.leases != nil {
		return j.leases
	}
	l := &Leases{
		j: j, bucket: j.buckets[bucketShards], log: j.log.With().Str("component", "leases").Logger(),
		node: j.cfg.Node, ttl: j.cfg.LeaseTTL, alone: j.mode == modeStandalone, begun: time.Now(),
		wake: make(chan struct{}, 1), view: newLeaseView(), held: map[string]*Lease{}, claiming: map[string]int{},
	}
	ctx, stop := context.WithCancel(context.Background())
	j.leases, l.stop = l, stop
	if j.alive() == nil { // else nobody waits for these
		l.tasks.Go(func() { l.watch(ctx) })
		l.tasks.Go(func() { l.keep(ctx) })
	}
	return l
}

// close ends all leases and waits for what Leases began.
func (l *Leases) close() {
	l.stop()
	l.tasks.Wait()
	l.until.Store(0)
	l.changed.notify()
}

// now is the leases' clock, which nobody sets.
func (l *Leases) now() time.Duration { return time.Since(l.begun) }

// left is how long leases are valid from now on; they are not when it is not above zero.
func (l *Leases) left() time.Duration { return time.Duration(l.until.Load()) - l.now() }

// Claim waits until this node can have the lease of that name, such as ShardLease, and takes it. It fails with
// the context's error or ErrClosed only. One that this node has already is lost to whoever had it here.
func (l *Leases) Claim(ctx context.Context, name string) (*Lease, error) {
	if err := event.CheckID(name); err != nil {
		return nil, fmt.Errorf("claiming the lease %q: %w", name, err)
	}
	l.claims(name, 1)
	defer l.claims(name, -1)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := cmp.Or(ctx.Err(), l.j.alive()); err != nil {
			return nil, fmt.Errorf("claiming the lease %s: %w", name, err)
		}
		changed := l.changed.wait()
		lease, again := l.try(ctx, name)
		if lease != nil {
			return lease, nil
		}
		timer.Reset(again)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		case <-l.j.closed:
		}
	}
}

// claims counts the calls of Claim that are under way.
func (l *Leases) claims(name string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claiming[name] += n; l.claiming[name] == 0 {
		delete(l.claiming, name)
	}
	l.wakeKeeper()
}

// try claims a lease, or returns when to try again unless something changes before.
func (l *Leases) try(ctx context.Context, name string) (lease *Lease, again time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/2) // as of a renewal: an answer may be lost with a leader
	defer cancel()
	l.mu.Lock()
	old, session, ready := l.view.claims[name], l.session, l.view.ready
	free, ends := l.alone || l.view.free(old, l.node), l.view.ends(old, l.ttl)
	l.mu.Unlock()
	if !ready || l.left() <= 0 {
		return nil, l.ttl
	}
	if !free {
		if wait := ends - l.now(); wait > 0 {
			return nil, wait
		}
		return nil, l.end(ctx, name, old)
	}
	next := claim{V: event.Version, Holder: l.node, Session: session, Epoch: old.Epoch + 1}
	revision, err := l.write(ctx, name, next, old.revision)
	if err != nil {
		return nil, l.failed(ctx, name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != session || l.view.claims[name].revision != revision {
		return nil, 0 // it is over already
	}
	lease = &Lease{Name: name, Epoch: next.Epoch, of: l, revision: revision}
	l.held[name] = lease
	return lease, 0
}

// end ends the session under which a lease is claimed, and returns when to try again.
func (l *Leases) end(ctx context.Context, name string, c claim) (again time.Duration) {
	l.ending.Lock() // whoever waits here finds it ended
	defer l.ending.Unlock()
	l.mu.Lock()
	over, ends := l.view.free(c, l.node), l.view.ends(c, l.ttl)
	s := l.view.sessions[c.Holder]
	l.mu.Unlock()
	if over || ends > l.now() {
		return 0
	}
	key := sessionPrefix + c.Holder
	next := session{V: event.Version, Number: max(s.Number, c.Session) + 1, TTL: event.Duration(l.ttl)}
	if _, err := l.write(ctx, key, next, s.revision); err != nil {
		again = l.failed(ctx, key, err)
		l.mu.Lock()
		over = l.view.free(c, l.node)
		l.mu.Unlock()
		if !over { // it was renewed, and the watch is cut off: the lease may have been given back
			l.look(ctx, name)
		}
		return again
	}
	l.log.Info().Str("holder", c.Holder).Dur("unchanged", l.now()-s.seen).Msg("a node does not renew its leases: they are free")
	return 0
}

// write replaces exactly what has that revision; 0 is nothing.
func (l *Leases) write(ctx context.Context, key string, value any, revision uint64) (uint64, error) {
	data, err := encode(value)
	if err != nil {
		return 0, err
	}
	if revision, err = l.bucket.Update(ctx, key, data, revision); err == nil {
		l.saw(Change{Value: Value{Key: key, Data: data, Revision: revision}})
	}
	return revision, err
}

// failed looks who was faster, and returns when to try again what failed.
func (l *Leases) failed(ctx context.Context, key string, err error) (again time.Duration) {
	switch {
	case errors.Is(err, ErrConflict):
		l.look(ctx, key)
	case ctx.Err() == nil && l.j.alive() == nil:
		l.log.Warn().Err(err).Str("key", key).Msg("the log refused it; trying again")
	}
	return l.ttl / 16
}

// look reads what a key has now. What it fails to see is seen later: whichever node is asked may be stopped, and
// nobody is to wait for it.
func (l *Leases) look(ctx context.Context, key string) {
	_ = bounded(ctx, l.ttl/8, func(ctx context.Context) error {
		v, err := l.bucket.Get(ctx, key)
		if err == nil {
			l.saw(Change{Value: v})
		}
		return err
	})
}

// saw takes note of what a key has.
func (l *Leases) saw(c Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news, err := l.view.see(c, l.now())
	if err != nil {
		l.j.bad("KV_"+bucketShards, c.Revision, c.Key, err)
	}
	if c.Key == sessionPrefix+l.node {
		l.sawOwn()
	}
	if !news {
		return
	}
	if lease := l.held[c.Key]; lease != nil && l.view.claims[c.Key].revision > lease.revision {
		lease.lose()
	}
	l.changed.notify()
}

// watch sees what becomes of all leases.
func (l *Leases) watch(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.bucket.Watch(ctx, l.saw, func() {
			l.mu.Lock()
			l.view.ready = true
			l.mu.Unlock()
			l.wakeKeeper()
		})
		if ctx.Err() != nil || l.j.alive() != nil {
			return
		}
		l.log.Warn().Err(err).Msg("watching the leases failed; trying again")
		select {
		case <-time.After(l.ttl / 4):
		case <-ctx.Done():
		}
	}
}

// lose has the lease be over. The caller holds mu.
func (le *Lease) lose() {
	le.lost.Store(true)
	if le.of.held[le.Name] == le {
		delete(le.of.held, le.Name)
	}
}

// Lost reports whether the lease is over for good: somebody else may have it.
func (le *Lease) Lost() bool { return le.lost.Load() }

// Valid reports whether the holder may act on the lease.
func (le *Lease) Valid() bool { return !le.lost.Load() && le.of.left() > 0 }

// Changed returns a channel that is closed when the lease may have become valid, not valid or lost.
func (le *Lease) Changed() <-chan struct{} { return le.of.changed.wait() }

// Wait waits until the lease is valid. It fails with ErrLost when it will not be, or the context's error.
func (le *Lease) Wait(ctx context.Context) error {
	for {
		changed := le.Changed()
		switch {
		case le.Valid():
			return nil
		case le.Lost():
			return fmt.Errorf("lease %s: %w", le.Name, ErrLost)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-le.of.j.closed:
			return ErrClosed
		}
	}
}

// Context returns a context that ends with ctx, or once the lease is not valid, even if it will be again. The
// caller has to call end.
func (le *Lease) Context(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			changed := le.Changed()
			if !le.Valid() {
				cancel()
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}()
	return ctx, func() { cancel(); <-ended }
}

// Release gives the lease back, so that others can claim it at once; it is lost. If the log does not answer,
// the lease is given back as soon as it does, or with this node's end.
func (le *Lease) Release(ctx context.Context) error {
	l := le.of
	l.mu.Lock()
	if le.Lost() {
		l.mu.Unlock()
		return nil
	}
	le.lose()
	l.mu.Unlock()
	l.changed.notify()
	return l.giveBack(ctx, le.Name, claim{Epoch: le.Epoch, revision: le.revision})
}

func (l *Leases) giveBack(ctx context.Context, name string, c claim) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl)
	defer cancel()
	_, err := l.write(ctx, name, claim{V: event.Version, Epoch: c.Epoch}, c.revision)
	if errors.Is(err, ErrConflict) {
		return nil // somebody else has it
	}
	return err
}
