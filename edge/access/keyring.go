package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Errors that callers tell apart.
var (
	// ErrUnknown: there is no such key.
	ErrUnknown = errors.New("there is no such API key")
	// ErrExpired: the key's time is over.
	ErrExpired = errors.New("the API key has expired")
	// ErrClosed: the keyring is closed.
	ErrClosed = errors.New("the keyring is closed")
)

// Bucket is the log's "config" bucket; *journal.Bucket is one.
type Bucket interface {
	Create(ctx context.Context, key string, data []byte) (revision uint64, err error)
	Put(ctx context.Context, key string, data []byte) (revision uint64, err error)
	Delete(ctx context.Context, key string) error
	WatchKeys(ctx context.Context, filter string, change func(journal.Change), ready func()) error
}

var _ Bucket = (*journal.Bucket)(nil)

const recordPrefix = "key."

// Configured is a key that the configuration gives. It may do everything.
type Configured struct {
	hash   [sha256.Size]byte
	caller *Caller
}

// NewConfigured returns the configured key of that secret. The name stands in audit records.
func NewConfigured(name string, secret event.Secret) (Configured, error) {
	if err := checkName(name); err != nil {
		return Configured{}, fmt.Errorf("api key: %w", err)
	}
	if n := len(secret.Reveal()); n < MinKeyBytes {
		return Configured{}, fmt.Errorf("api key %s: it has %d bytes; at least %d are needed, and random ones", name, n, MinKeyBytes)
	}
	return Configured{sha256.Sum256([]byte(secret.Reveal())), Everybody(name)}, nil
}

// Config is what Open needs. Bucket must be given.
type Config struct {
	Bucket     Bucket
	Configured []Configured
	Logger     zerolog.Logger
	Now        func() time.Time      // default time.Now
	Metrics    prometheus.Registerer // nil: none
}

// Keyring has all keys. It is safe for concurrent use.
type Keyring struct {
	cfg     Config
	held    atomic.Pointer[map[string]*held] // by id; replaced, never changed
	cancel  context.CancelFunc
	watch   sync.WaitGroup
	notes   chan *held // that were used
	unnoted prometheus.Counter
	mu      sync.Mutex
	changed chan struct{} // closed when held is replaced, and replaced itself
	closed  <-chan struct{}
}

// Open loads the keys and follows them until Close; ctx bounds the loading alone.
func Open(ctx context.Context, cfg Config) (*Keyring, error) {
	if cfg.Bucket == nil {
		return nil, errors.New("access: Config.Bucket is missing")
	}
	if slices.ContainsFunc(cfg.Configured, func(c Configured) bool { return c.caller == nil }) {
		return nil, errors.New("access: a configured key is the zero one")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &Keyring{cfg: cfg, cancel: cancel, closed: watching.Done(), changed: make(chan struct{}), notes: make(chan *held, maxNotes)}
	r.held.Store(&map[string]*held{})
	r.unnoted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wedsync_api_key_uses_unnoted_total", Help: "Uses of API keys that the log was too slow or unable to take: the key's last use is known from before.",
	})
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(r.unnoted); err != nil {
			cancel()
			return nil, fmt.Errorf("access: metrics: %w", err)
		}
	}
	loaded := make(chan error, 1)
	r.watch.Go(func() { r.run(watching, loaded) })
	r.watch.Go(func() { r.note(watching) })
	select {
	case err := <-loaded:
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("load API keys: %w", err)
		}
		return r, nil
	case <-ctx.Done():
		r.Close()
		return nil, context.Cause(ctx)
	}
}

// Close stops following the log. It may be called twice.
func (r *Keyring) Close() {
	r.cancel()
	r.watch.Wait()
}

// Find returns whose key the text is, or ErrUnknown or ErrExpired. Hashes are compared in constant
// time; the id in a text, by which it is looked up, is no secret.
func (r *Keyring) Find(text string) (*Caller, error) {
	return r.find(idOf(text), sha256.Sum256([]byte(text)), func(hash [sha256.Size]byte) [sha256.Size]byte { return hash })
}

// find returns who holds the key of that id, or a configured one, whose hash makes the proof.
func (r *Keyring) find(id string, proof [sha256.Size]byte, of func(hash [sha256.Size]byte) [sha256.Size]byte) (*Caller, error) {
	proves := func(hash [sha256.Size]byte) bool {
		made := of(hash)
		return subtle.ConstantTimeCompare(proof[:], made[:]) == 1
	}
	for i := range r.cfg.Configured {
		if c := &r.cfg.Configured[i]; proves(c.hash) {
			return c.caller, nil
		}
	}
	k := (*r.held.Load())[id]
	if k == nil || !proves(k.hash) {
		return nil, ErrUnknown
	}
	now := r.cfg.Now()
	if !k.key.ExpiresAt.IsZero() && !now.Before(k.key.ExpiresAt) {
		return nil, ErrExpired
	}
	r.use(k, now)
	return k.caller, nil
}

// Keys returns the keys within a caller's reach, by id.
func (r *Keyring) Keys(by *Caller) []Key {
	var all []Key
	for _, k := range *r.held.Load() {
		if by.Owns(k.key.Owner) {
			all = append(all, k.shown())
		}
	}
	slices.SortFunc(all, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Key returns a key within a caller's reach, or ErrUnknown.
func (r *Keyring) Key(by *Caller, id string) (Key, error) {
	if k := (*r.held.Load())[id]; k != nil && by.Owns(k.key.Owner) {
		return k.shown(), nil
	}
	return Key{}, ErrUnknown
}

// shown is the key for a caller to keep.
func (k *held) shown() Key {
	out := k.key.clone()
	out.LastUsedAt = k.used.at()
	return out
}

func (k Key) clone() Key {
	k.Scopes, k.Channels, k.Owner = slices.Clone(k.Scopes), slices.Clone(k.Channels), maps.Clone(k.Owner)
	return k
}

// Create makes a key for a caller, who cannot give what they do not have, and returns it with its
// text, which cannot be had again. Owner variables that the caller is bound to are added. It fails
// with an *InvalidError or an *ExceedsError, and returns when this node knows the key.
func (r *Keyring) Create(ctx context.Context, by *Caller, k Key) (Key, event.Secret, error) {
	k = k.clone()
	for name, v := range by.owner {
		if k.Owner == nil {
			k.Owner = map[string]string{}
		}
		if _, given := k.Owner[name]; !given {
			k.Owner[name] = v
		}
	}
	now := r.cfg.Now().UTC().Truncate(time.Second)
	if err := k.check(now); err != nil {
		return Key{}, event.Secret{}, &InvalidError{err}
	}
	if err := k.within(by); err != nil {
		return Key{}, event.Secret{}, err
	}
	var text event.Secret
	k.ID, text = newText()
	k.CreatedBy, k.CreatedAt, k.LastUsedAt = by.actor, now, time.Time{}
	data, err := encode(k, text)
	if err != nil {
		return Key{}, event.Secret{}, err
	}
	if _, err := r.cfg.Bucket.Create(ctx, recordPrefix+k.ID, data); err != nil {
		return Key{}, event.Secret{}, err
	}
	return k, text, r.await(ctx, func(all map[string]*held) bool { return all[k.ID] != nil })
}

// Revoke ends a key within a caller's reach, and returns it when this node knows; ErrUnknown if there
// is none.
func (r *Keyring) Revoke(ctx context.Context, by *Caller, id string) (Key, error) {
	k, err := r.Key(by, id)
	if err != nil {
		return Key{}, err
	}
	if err := r.cfg.Bucket.Delete(ctx, recordPrefix+id); err != nil {
		return Key{}, err
	}
	err = r.await(ctx, func(all map[string]*held) bool { return all[id] == nil })
	_ = r.cfg.Bucket.Delete(ctx, recordPrefix+id+usedSuffix) // of a key that is gone it says nothing
	return k, err
}

// await waits until the keys that are held are as wanted.
func (r *Keyring) await(ctx context.Context, done func(map[string]*held) bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if done(*r.held.Load()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("stored, but not yet seen by this node: %w", context.Cause(ctx))
		case <-r.closed:
			return ErrClosed
		}
	}
}
