package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/memberlist"
)

// maxKeys is how many keys a ring has at most: one in force, and the one that comes or goes. (That
// memberlist removes the last key of a list alone without changing what readers hold is the other reason.)
const maxKeys = 2

// ErrNoKey says that the ring has no key of that id.
var ErrNoKey = errors.New("no such cluster key")

// ErrKeyInUse says that a key cannot be removed because it is the primary one.
var ErrKeyInUse = errors.New("this cluster key is in use")

// ErrKeyringFull says that a ring has as many keys as it may have.
var ErrKeyringFull = errors.New("the keyring is full")

// KeyInfo tells of a key in a ring.
type KeyInfo struct {
	ID      string `json:"id"`
	Primary bool   `json:"primary"` // encrypts and signs; the others are only accepted
}

// Keyring holds the keys that this node takes others' messages and certificates by. The primary one
// is its own. It is safe for concurrent use; what is changed counts from the next message and the next
// handshake on.
//
// A key is replaced in three steps, each done on all nodes before the next: Add, Use, Remove.
type Keyring struct {
	save   func(text string) error
	gossip *memberlist.Keyring
	trust  atomic.Pointer[trust]

	mu   sync.Mutex
	keys []Key // the first is the primary one
}

// NewKeyring returns a ring of one or two keys, of which the first is the primary one. Before each
// change save is given the ring's text, as ParseKeys reads it, to keep for the next start; nil keeps
// nothing.
func NewKeyring(save func(text string) error, keys ...Key) (*Keyring, error) {
	if len(keys) == 0 || slices.ContainsFunc(keys, func(k Key) bool { return k.ID() == "" }) {
		return nil, errors.New("a keyring needs a cluster key")
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("%w: it was given %d keys and has %d at most", ErrKeyringFull, len(keys), maxKeys)
	}
	if len(keys) == 2 && keys[0].ID() == keys[1].ID() {
		return nil, fmt.Errorf("the keyring was given the key %s twice", keys[0].ID())
	}
	if save == nil {
		save = func(string) error { return nil }
	}
	var others [][]byte
	for _, k := range keys[1:] {
		others = append(others, gossipKey(k))
	}
	gossip, err := memberlist.NewKeyring(others, gossipKey(keys[0]))
	if err != nil {
		return nil, err
	}
	r := &Keyring{save: save, gossip: gossip, keys: slices.Clone(keys)}
	t, err := newTrust(r.keys)
	r.trust.Store(t)
	return r, err
}

// gossipKey returns the AES-256 key that memberlist encrypts with.
func gossipKey(k Key) []byte { return k.derive("gossip", KeyBytes) }

// ParseKeys reads a ring's text: a key a line, the primary one first. Empty lines and lines that begin
// with # are skipped.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		k, err := ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// List returns the keys, the primary one first.
func (r *Keyring) List() []KeyInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]KeyInfo, len(r.keys))
	for i, k := range r.keys {
		list[i] = KeyInfo{k.ID(), i == 0}
	}
	return list
}

// Add puts a key beside the primary one. A key that is there already is no error. It returns
// ErrKeyringFull when there is another one beside the primary.
func (r *Keyring) Add(k Key) error {
	if k.ID() == "" {
		return errors.New("there is no key to add")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index(k.ID()) >= 0 {
		return nil
	}
	if len(r.keys) == maxKeys {
		return fmt.Errorf("%w: it has %s and %s; remove the one that is not in use first", ErrKeyringFull, r.keys[0].ID(), r.keys[1].ID())
	}
	return r.change(append(slices.Clone(r.keys), k), func() error { return r.gossip.AddKey(gossipKey(k)) })
}

// Use makes the key of that id the primary one.
func (r *Keyring) Use(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.index(id)
	if i < 0 {
		return fmt.Errorf("%w: %q; add it first", ErrNoKey, id)
	}
	if i == 0 {
		return nil
	}
	k := r.keys[i]
	return r.change([]Key{k, r.keys[0]}, func() error { return r.gossip.UseKey(gossipKey(k)) })
}

// Remove removes the key of that id. One that is not there is no error; for the primary one it
// returns ErrKeyInUse.
func (r *Keyring) Remove(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.index(id)
	if i < 0 {
		return nil
	}
	if i == 0 {
		return fmt.Errorf("%w: %s; use another one first", ErrKeyInUse, id)
	}
	k := r.keys[i]
	return r.change(r.keys[:1:1], func() error { return r.gossip.RemoveKey(gossipKey(k)) })
}

func (r *Keyring) index(id string) int {
	return slices.IndexFunc(r.keys, func(k Key) bool { return k.ID() == id })
}

// change makes keys the ring's, if they can be kept.
func (r *Keyring) change(keys []Key, gossip func() error) error {
	t, err := newTrust(keys)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, k := range keys {
		text.WriteString(k.Reveal() + "\n")
	}
	if err := r.save(text.String()); err != nil {
		return fmt.Errorf("keeping the keyring: %w", err)
	}
	r.keys = keys
	r.trust.Store(t)
	return gossip()
}
