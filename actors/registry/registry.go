package registry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Bucket is one of the log's key-value buckets; *journal.Bucket is one. Its methods are safe for
// concurrent use. Revisions rise over the whole bucket.
type Bucket interface {
	Put(ctx context.Context, key string, data []byte) (revision uint64, err error)
	// Create fails with journal.ErrConflict if the key has a value.
	Create(ctx context.Context, key string, data []byte) (revision uint64, err error)
	// Update fails with journal.ErrConflict unless the key's value has that revision.
	Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string) error
	// Watch calls change for each value there is, then ready, then change for each change, in order
	// and one at a time, until ctx ends.
	Watch(ctx context.Context, change func(journal.Change), ready func()) error
}

var _ Bucket = (*journal.Bucket)(nil)

// Store is where the registry's truth is.
type Store struct {
	Config  Bucket // integrations and mappings
	Secrets Bucket // sealed secrets
}

// Config is what a Registry needs. Store and Sealer must be given.
type Config struct {
	Store  Store
	Sealer *Sealer
	Node   string // name on the log; "": nobody is told of this node's master key, and nothing is sealed anew
	Logger zerolog.Logger
	Now    func() time.Time // default time.Now
}

// WithDefaults returns the config with what was left out filled in.
func (c Config) WithDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate returns an error that names a field that must be given and was not.
func (c Config) Validate() error {
	switch {
	case c.Store.Config == nil:
		return errors.New("registry: Store.Config must be given")
	case c.Store.Secrets == nil:
		return errors.New("registry: Store.Secrets must be given")
	case c.Sealer == nil:
		return errors.New("registry: Sealer must be given")
	}
	return nil
}

// Registry is the configuration of all integrations and mappings, kept up to date from the log. It
// is safe for concurrent use; reads take a read lock for microseconds and ask nobody.
type Registry struct {
	config  Config
	log     zerolog.Logger
	cancel  context.CancelFunc
	closed  <-chan struct{}
	watches sync.WaitGroup

	mu       sync.RWMutex // guards what follows
	index    *index
	problems map[recordKey]Problem
	applied  map[string]uint64             // by bucket: the last revision that its watch brought
	waiters  map[recordKey][]chan struct{} // closed at the key's next change

	changing    sync.Mutex // one change at a time is taken in and told of
	subscribers subscribers
}

// Open loads the configuration and keeps it up to date until Close. It returns when all that was
// stored is loaded; ctx bounds that alone. Records that cannot be read do not fail it: see Problems.
func Open(ctx context.Context, config Config) (*Registry, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &Registry{
		config: config, log: config.Logger, cancel: cancel, closed: watching.Done(),
		index:    newIndex(config.Sealer),
		problems: map[recordKey]Problem{},
		applied:  map[string]uint64{},
		waiters:  map[recordKey][]chan struct{}{},
	}
	loaded := make(chan error, 2)
	for _, w := range []*watcher{
		{registry: r, bucket: config.Store.Config, name: configBucket},
		{registry: r, bucket: config.Store.Secrets, name: secretsBucket},
	} {
		r.watches.Go(func() { w.run(watching, loaded) })
	}
	for range 2 {
		var err error
		select {
		case err = <-loaded:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			r.Close()
			return nil, err
		}
	}
	if config.Node != "" {
		r.sayAndSeal(ctx)
		r.watches.Go(func() { r.keepSealed(watching) })
	}
	return r, nil
}

// Close stops following the log and waits until that has ended. Reads go on to answer with what was
// known; writes fail with ErrClosed. It may be called twice.
func (r *Registry) Close() {
	r.cancel()
	r.watches.Wait()
	if r.config.Node != "" {
		r.unsay()
	}
}

// Resolve returns the integrations that an event goes to, by id, each once, or once for each recipient that
// the mapping's target names: those that a mapping of its channel and type names, and those of the categories that it names whose owner variables all
// have the values that the mapping's pattern captured. Disabled and misconfigured ones are among
// them, for the caller to skip and record. Where several mappings lead to an integration and recipient, the
// first by id whose condition is not false chooses it, and its fields apply.
func (r *Registry) Resolve(ev *event.Event) []Match {
	chosen, _ := r.Explain(ev)
	return chosen
}

// Explain is Resolve that tells too, as passed, which integrations the event does not go to since the
// conditions of all mappings that lead there are false, each with the first of these mappings.
func (r *Registry) Explain(ev *event.Event) (chosen, passed []Match) { return r.explain(ev, nil) }

func (r *Registry) explain(ev *event.Event, trial *Trial) (chosen, passed []Match) {
	r.mu.RLock()
	found, open := r.index.resolve(ev.Channel, ev.Type, trial)
	r.mu.RUnlock()
	if !open {
		return found, nil
	}
	return choose(ev, found) // without the lock: expressions may take a while
}

// Lookup returns an integration as it stands.
func (r *Registry) Lookup(id string) (*Entry, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.index.entry(id)
	return e, e != nil
}

// Integrations returns all integrations by id, for the caller to keep and change.
func (r *Registry) Integrations() []event.Integration {
	type stored struct {
		id       string
		data     []byte
		revision uint64
	}
	r.mu.RLock()
	records := make([]stored, 0, len(r.index.integrations))
	for _, s := range r.index.integrations {
		if s.data != nil {
			records = append(records, stored{s.id, s.data, s.revision})
		}
	}
	r.mu.RUnlock()
	// Decoded anew and without the lock: a listing of 100,000 takes a while, and should neither hold
	// up events nor leave all of them in memory.
	slices.SortFunc(records, func(a, b stored) int { return strings.Compare(a.id, b.id) })
	all := make([]event.Integration, 0, len(records))
	for _, s := range records {
		if in, err := decodeIntegration(s.id, s.data, s.revision); err == nil {
			all = append(all, in)
		}
	}
	return all
}

// Mappings returns all mappings by id, for the caller to keep and change.
func (r *Registry) Mappings() []event.Mapping {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]event.Mapping, 0, len(r.index.mappings))
	for _, route := range r.index.mappings {
		m := route.mapping
		m.Types, m.Targets, m.Fields = slices.Clone(m.Types), cloneTargets(m.Targets), maps.Clone(m.Fields)
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b event.Mapping) int { return strings.Compare(a.ID, b.ID) })
	return all
}
