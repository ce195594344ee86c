package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// KeysKind is the kind of the requests by which nodes change each other's keyrings.
const KeysKind = "cluster.keys"

// askTimeout is how long a node has for a change of its keyring.
const askTimeout = 5 * time.Second

// NodeKeys tells of a node's keyring.
type NodeKeys struct {
	Node string    `json:"node"`
	Keys []KeyInfo `json:"keys" nullable:"false"`
}

// UnevenError says which nodes have not made a change, or stand in its way. What others have made
// stays, and it can be asked for again.
type UnevenError struct {
	What  string           // such as "does not have the key 12ab", of each
	Nodes map[string]error // why, where there is more to say
}

func (e *UnevenError) Error() string {
	all := make([]string, 0, len(e.Nodes))
	for node, why := range e.Nodes {
		if why != nil {
			node += ": " + why.Error()
		}
		all = append(all, node)
	}
	slices.Sort(all)
	return e.What + ": " + strings.Join(all, "; ")
}

// Rotation changes the keyrings of all nodes. Its fields are set before it is used; it is safe for
// concurrent use.
type Rotation struct {
	Node    string // this one
	Ring    *Keyring
	Members interface{ View() *View }
	// Ask has another node do what its Serve does. It is called with a deadline.
	Ask func(ctx context.Context, node, kind string, body []byte) ([]byte, error)
	// Reseal seals with the primary key what is kept sealed for all nodes. It is called before a key goes.
	Reseal func(ctx context.Context) error
}

// keyChange is what a node is asked to do to its ring; nothing: to tell of it.
type keyChange struct {
	Add    string `json:"add,omitempty"` // a key's text
	Use    string `json:"use,omitempty"` // ids
	Remove string `json:"remove,omitempty"`
}

// Serve does to this node's ring what another node asks for, and returns how it stands then.
func (r *Rotation) Serve(_ context.Context, _ string, body []byte) ([]byte, error) {
	var c keyChange
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, errors.New("what is to be done to the keyring cannot be read") // it may hold a key
	}
	if err := c.apply(r.Ring); err != nil {
		return nil, err
	}
	return json.Marshal(r.Ring.List())
}

func (c keyChange) apply(r *Keyring) error {
	switch {
	case c.Add != "":
		k, err := ParseKey(c.Add)
		if err != nil {
			return err
		}
		return r.Add(k)
	case c.Use != "":
		return r.Use(c.Use)
	case c.Remove != "":
		return r.Remove(c.Remove)
	}
	return nil
}

// List returns the keys of every node. Those that do not answer are in an *UnevenError.
func (r *Rotation) List(ctx context.Context) ([]NodeKeys, error) {
	return r.all(ctx, keyChange{}, "these nodes do not say which keys they have")
}

// Add puts a key into every node's ring: they take it from others, and do not use it.
func (r *Rotation) Add(ctx context.Context, k Key) ([]NodeKeys, error) {
	return r.all(ctx, keyChange{Add: k.Reveal()}, "these nodes have not added the key "+k.ID())
}

// Use makes the key of that id every node's primary one. All must have it.
func (r *Rotation) Use(ctx context.Context, id string) ([]NodeKeys, error) {
	err := r.check(ctx, id, "these nodes do not have the key "+id, func(_ []KeyInfo, at int) bool { return at >= 0 })
	if err != nil {
		return nil, err
	}
	return r.all(ctx, keyChange{Use: id}, "these nodes do not use the key "+id)
}

// Remove takes the key of that id out of every node's ring. None may use it.
func (r *Rotation) Remove(ctx context.Context, id string) ([]NodeKeys, error) {
	err := r.check(ctx, id, "these nodes use the key "+id, func(keys []KeyInfo, at int) bool { return at < 0 || !keys[at].Primary })
	if err != nil {
		return nil, err
	}
	if err := r.Reseal(ctx); err != nil {
		return nil, err
	}
	return r.all(ctx, keyChange{Remove: id}, "these nodes have not removed the key "+id)
}

// check fails unless every node answers, one of them has the key, and all are ready for what is to come.
// at is where a node has the key, -1 for nowhere.
func (r *Rotation) check(ctx context.Context, id, otherwise string, ready func(keys []KeyInfo, at int) bool) error {
	nodes, err := r.List(ctx)
	if err != nil {
		return err
	}
	known, unready := false, map[string]error{}
	for _, n := range nodes {
		at := slices.IndexFunc(n.Keys, func(k KeyInfo) bool { return k.ID == id })
		known = known || at >= 0
		if !ready(n.Keys, at) {
			unready[n.Node] = nil
		}
	}
	switch {
	case !known:
		return fmt.Errorf("%w: no node has %q", ErrNoKey, id)
	case len(unready) > 0:
		return &UnevenError{otherwise, unready}
	}
	return nil
}

// all has every node do it, this one too, and returns how the rings stand then.
func (r *Rotation) all(ctx context.Context, c keyChange, otherwise string) ([]NodeKeys, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	members := r.Members.View().Members()
	nodes, errs := make([]NodeKeys, len(members)), make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			nodes[i].Node, nodes[i].Keys = m.Name, []KeyInfo{}
			var text []byte
			if m.Name == r.Node {
				text, errs[i] = r.Serve(ctx, r.Node, body)
			} else {
				text, errs[i] = r.Ask(ctx, m.Name, KeysKind, body)
			}
			if errs[i] == nil {
				errs[i] = json.Unmarshal(text, &nodes[i].Keys)
			}
		})
	}
	wg.Wait()
	failed := map[string]error{}
	for i, err := range errs {
		if err != nil {
			failed[nodes[i].Node] = err
		}
	}
	if len(failed) > 0 {
		return nodes, &UnevenError{otherwise, failed}
	}
	return nodes, nil
}
