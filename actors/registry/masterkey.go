package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// nodePrefix begins the keys of the secrets bucket under which nodes say which master keys they have.
const nodePrefix = "node."

// sayEvery is how often a node says which master keys it has.
const sayEvery = time.Minute

// SaidFor is how long it is believed: a node that went without a word may be one that comes back.
const SaidFor = 5 * time.Minute

// closeTimeout is for taking back what the node said.
const closeTimeout = 5 * time.Second

// KeyHolder is what a node on the log says of its master key, by the ids of the keys in it.
type KeyHolder struct {
	Node    string    `json:"node"`
	Primary uint32    `json:"primary" doc:"Seals."`
	Keys    []uint32  `json:"keys" doc:"Open, the newest last."`
	SaidAt  time.Time `json:"saidAt" doc:"A node says it every minute. One that has not for five is taken to be gone."`
}

// keyRecord is a KeyHolder as it is stored.
type keyRecord struct {
	V int `json:"v"`
	KeyHolder
}

// SealedBy counts the integrations whose secrets a key sealed.
type SealedBy struct {
	Key          uint32 `json:"key" doc:"Id of a key; 0: what is sealed does not tell."`
	Integrations int    `json:"integrations"`
}

// MasterKeys is how the log and the nodes on it stand to the master key.
type MasterKeys struct {
	Sealed []SealedBy  `json:"sealed" nullable:"false" doc:"What the log holds, by key."`
	Nodes  []KeyHolder `json:"nodes" nullable:"false" doc:"The nodes on the log, by name."`
}

// MasterKeys reads the log: what it answers does not depend on what this node knows.
func (r *Registry) MasterKeys(ctx context.Context) (MasterKeys, error) {
	sealed, nodes, bad, complete := map[uint32]int{}, []KeyHolder{}, error(nil), false
	ctx, done := context.WithCancel(ctx)
	defer done()
	err := r.config.Store.Secrets.Watch(ctx, func(c journal.Change) {
		name, isNode := strings.CutPrefix(c.Key, nodePrefix)
		switch {
		case complete || c.Deleted:
		case strings.HasPrefix(c.Key, integrationPrefix):
			sealed[sealedBy(c.Data)]++
		case isNode:
			var said keyRecord
			if err := decodeRecord(c.Data, &said, &said.V); err != nil {
				bad = errors.Join(bad, fmt.Errorf("what node %.64s says of its master key: %w", name, err))
			} else if r.config.Now().Sub(said.SaidAt) < SaidFor {
				nodes = append(nodes, said.KeyHolder)
			}
		}
	}, func() { complete = true; done() })
	if !complete {
		return MasterKeys{}, err
	}
	out := MasterKeys{Sealed: []SealedBy{}, Nodes: nodes}
	for _, key := range slices.Sorted(maps.Keys(sealed)) {
		out.Sealed = append(out.Sealed, SealedBy{key, sealed[key]})
	}
	slices.SortFunc(out.Nodes, func(a, b KeyHolder) int { return strings.Compare(a.Node, b.Node) })
	return out, bad
}

// Without returns the names of the nodes that do not have a key.
func (m MasterKeys) Without(key uint32) (nodes []string) {
	for _, n := range m.Nodes {
		if !slices.Contains(n.Keys, key) {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// NotSealing returns the names of the nodes that seal with another key.
func (m MasterKeys) NotSealing(key uint32) (nodes []string) {
	for _, n := range m.Nodes {
		if n.Primary != key {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// SealedByOthers returns how many integrations have secrets that another key sealed.
func (m MasterKeys) SealedByOthers(key uint32) (integrations int) {
	for _, s := range m.Sealed {
		if s.Key != key {
			integrations += s.Integrations
		}
	}
	return integrations
}

// keepSealed says which keys this node has, and seals anew what another key than the primary one sealed, now
// and again until ctx ends: other nodes may get the key later.
func (r *Registry) keepSealed(ctx context.Context) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.sayAndSeal(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Registry) sayAndSeal(ctx context.Context) {
	if err := r.say(ctx); err != nil {
		r.log.Warn().Err(err).Msg("the other nodes do not know which master key this one has")
	}
	sealed, err := r.Reseal(ctx)
	if sealed > 0 {
		r.log.Info().Int("integrations", sealed).Uint32("key", r.config.Sealer.primary).Msg("secrets are sealed with the new master key")
	}
	if err != nil {
		r.log.Error().Err(err).Msg("secrets are not sealed with the new master key; the old one is still needed")
	}
}

func (r *Registry) say(ctx context.Context) error {
	s := r.config.Sealer
	data, err := json.Marshal(keyRecord{event.Version, KeyHolder{r.config.Node, s.primary, s.keys, r.config.Now().UTC()}})
	if err != nil {
		return err
	}
	_, err = r.config.Store.Secrets.Put(ctx, nodePrefix+r.config.Node, data)
	return err
}

// unsay takes back what the node said: it is about to end.
func (r *Registry) unsay() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := r.config.Store.Secrets.Delete(ctx, nodePrefix+r.config.Node); err != nil {
		r.log.Warn().Err(err).Dur("for", SaidFor).Msg("the other nodes take this one to be there for a while")
	}
}

// Reseal seals anew what was sealed with another key than the primary one, and returns how much that
// was. It may be cut short anywhere: both keys open until the old one is retired. It fails, and seals
// nothing, while a node is there that could not open it then.
func (r *Registry) Reseal(ctx context.Context) (int, error) {
	ids := r.stale()
	if len(ids) == 0 {
		return 0, nil
	}
	all, err := r.MasterKeys(ctx)
	if err != nil {
		return 0, err
	}
	if nodes := all.Without(r.config.Sealer.primary); len(nodes) > 0 {
		return 0, fmt.Errorf("nodes %s do not have the key %d; give them the file and restart them", strings.Join(nodes, ", "), r.config.Sealer.primary)
	}
	done := 0
	for _, id := range ids {
		did, failed := r.resealOne(ctx, id)
		if did {
			done++
		}
		if ctx.Err() != nil {
			return done, failed
		}
		err = errors.Join(err, failed)
	}
	return done, err
}

func (r *Registry) resealOne(ctx context.Context, id string) (bool, error) {
	was := r.secretsOf(id)
	secrets, err := r.config.Sealer.Open(id, was.sealed)
	if err != nil {
		return false, err
	}
	sealed, err := r.config.Sealer.Seal(id, secrets)
	if err != nil {
		return false, err
	}
	key := recordKey{secretsBucket, integrationPrefix + id}
	revision, err := r.config.Store.Secrets.Update(ctx, key.key, sealed, was.revision)
	switch {
	case errors.Is(err, journal.ErrConflict):
		return false, nil // somebody stored it meanwhile, sealed with the primary key or to be found the next time
	case err != nil:
		return false, storeError(key.key, err)
	}
	return true, r.awaitRevision(ctx, key, revision)
}

func (r *Registry) stale() (ids []string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for id, s := range r.index.integrations {
		if len(s.sealed) > 0 && checkSealed(s.sealed) == nil && sealedBy(s.sealed) != r.config.Sealer.primary {
			ids = append(ids, id)
		}
	}
	return ids
}
