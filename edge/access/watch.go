package access

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
)

// rewatch is how long a watch that broke waits before it starts again.
const rewatch = 200 * time.Millisecond

// run follows the bucket until ctx ends, and sends to loaded when the keys are there first, or why not.
func (r *Keyring) run(ctx context.Context, loaded chan<- error) {
	keepWatch(ctx, r.cfg.Logger, "API keys", loaded, r.follow)
}

// keepWatch runs a watch, and anew when it broke, until ctx ends. It sends to loaded when the watch has told first
// what there is, or why it did not.
func keepWatch(ctx context.Context, log zerolog.Logger, what string, loaded chan<- error, follow func(context.Context, func()) error) {
	started := false
	for {
		err := follow(ctx, func() {
			if !started {
				started = true
				loaded <- nil
			}
		})
		if !started {
			loaded <- err
			return
		}
		if ctx.Err() != nil {
			return
		}
		log.Warn().Err(err).Dur("retry_in", rewatch).Msg("the watch of the " + what + " ended; what is known stays in force")
		select {
		case <-ctx.Done():
			return
		case <-time.After(rewatch):
		}
	}
}

// follow runs one watch. What it brings at first replaces all that was held: a key that went
// meanwhile is not told of.
func (r *Keyring) follow(ctx context.Context, loaded func()) error {
	first, ready := map[string]*held{}, false
	return r.cfg.Bucket.WatchKeys(ctx, recordPrefix+">", func(c journal.Change) {
		if strings.HasSuffix(c.Key, usedSuffix) {
			if ready {
				r.takeUse(*r.held.Load(), c.Key, c.Data)
			} else {
				r.takeUse(first, c.Key, c.Data)
			}
			return
		}
		all := first
		if ready {
			all = maps.Clone(*r.held.Load())
		}
		r.take(all, c)
		if ready {
			r.replace(all)
		}
	}, func() {
		ready = true
		r.replace(first)
		loaded()
	})
}

// take brings a change in. A key that cannot be read lets nobody in.
func (r *Keyring) take(all map[string]*held, c journal.Change) {
	id := strings.TrimPrefix(c.Key, recordPrefix)
	was := all[id]
	delete(all, id)
	if c.Deleted {
		return
	}
	k, err := decode(id, c.Data)
	if err != nil {
		r.cfg.Logger.Error().Err(err).Str("key", c.Key).Uint64("revision", c.Revision).Msg("a stored API key cannot be read and lets nobody in")
		return
	}
	if was != nil {
		k.used = was.used
	}
	all[id] = k
}

func (r *Keyring) replace(all map[string]*held) {
	r.held.Store(&all)
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}
