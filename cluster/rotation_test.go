package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/cluster"
)

// rotations are nodes that reach each other, but for those that are deaf.
type rotations struct {
	nodes    map[string]*cluster.Rotation
	resealed []string // the ring of the first node, at each call

	mu   sync.Mutex
	deaf string
}

type fixed []cluster.Member

func (f fixed) View() *cluster.View { return cluster.NewView(f...) }

func rotating(t *testing.T, key cluster.Key, names ...string) *rotations {
	t.Helper()
	r := &rotations{nodes: map[string]*cluster.Rotation{}}
	var members fixed
	for _, name := range names {
		members = append(members, core(name))
	}
	for _, name := range names {
		r.nodes[name] = &cluster.Rotation{
			Node: name, Ring: ring(t, key), Members: members,
			Ask: func(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				if _, bounded := ctx.Deadline(); !bounded || kind != cluster.KeysKind || node == r.deaf {
					return nil, errors.New("no answer")
				}
				return r.nodes[node].Serve(ctx, name, body)
			},
			Reseal: func(context.Context) error {
				r.resealed = append(r.resealed, r.nodes["a"].Ring.List()[0].ID)
				return nil
			},
		}
	}
	return r
}

func (r *rotations) hush(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf = node
}

// rings is each node with its keys, the primary one first.
func (r *rotations) rings() string {
	var all []string
	for name, n := range r.nodes {
		s := name
		for _, k := range n.Ring.List() {
			s += " " + k.ID
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestRotationOverAllNodes(t *testing.T) {
	t.Parallel()
	one, two := cluster.GenerateKey(), cluster.GenerateKey()
	r := rotating(t, one, "a", "b", "c")
	a, b := r.nodes["a"], r.nodes["b"]
	all := func(keys ...cluster.Key) string {
		s := ""
		for _, k := range keys {
			s += " " + k.ID()
		}
		return fmt.Sprintf("a%[1]s, b%[1]s, c%[1]s", s)
	}
	step := func(what string, want string, err, wanted error, says string) {
		t.Helper()
		if got := r.rings(); got != want {
			t.Errorf("%s: the rings are %s, want %s", what, got, want)
		}
		var uneven *cluster.UnevenError
		switch {
		case wanted == nil && says == "" && err != nil, wanted != nil && !errors.Is(err, wanted):
			t.Errorf("%s: %v, want %v", what, err, wanted)
		case says != "" && (!errors.As(err, &uneven) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), two.Reveal())):
			t.Errorf("%s: %v, want an UnevenError that says %s", what, err, says)
		}
	}
	ctx := t.Context()
	_, err := a.Use(ctx, two.ID())
	step("use what nobody has", all(one), err, cluster.ErrNoKey, "")
	r.hush("c")
	nodes, err := a.Add(ctx, two)
	step("add, and one is deaf", strings.TrimSuffix(all(one, two), " "+two.ID()), err, nil, "have not added the key "+two.ID()+": c: no answer")
	if len(nodes) != 3 || len(nodes[0].Keys) != 2 || len(nodes[2].Keys) != 0 {
		t.Errorf("told of %+v", nodes)
	}
	_, err = b.Use(ctx, two.ID())
	step("use, and one is deaf", strings.TrimSuffix(all(one, two), " "+two.ID()), err, nil, "do not say which keys they have: c: no answer")
	r.hush("")
	_, err = b.Use(ctx, two.ID())
	step("use, and one lacks it", strings.TrimSuffix(all(one, two), " "+two.ID()), err, nil, "do not have the key "+two.ID()+": c")
	_, err = b.Add(ctx, two)
	step("add again", all(one, two), err, nil, "")
	_, err = a.Add(ctx, cluster.GenerateKey())
	step("add a third", all(one, two), err, nil, "keyring is full")
	_, err = a.Remove(ctx, one.ID())
	step("remove what all use", all(one, two), err, nil, "use the key "+one.ID()+": a; b; c")
	_, err = b.Use(ctx, two.ID())
	step("use", all(two, one), err, nil, "")
	if len(r.resealed) != 0 {
		t.Errorf("sealed anew with %v before a key goes", r.resealed)
	}
	nodes, err = a.Remove(ctx, one.ID())
	step("remove", all(two), err, nil, "")
	if len(nodes) != 3 || nodes[1].Node != "b" || len(nodes[1].Keys) != 1 || nodes[1].Keys[0] != (cluster.KeyInfo{ID: two.ID(), Primary: true}) {
		t.Errorf("told of %+v", nodes)
	}
	if !slices.Equal(r.resealed, []string{two.ID()}) {
		t.Errorf("sealed anew with %v, want once, with %s", r.resealed, two.ID())
	}
	_, err = a.Remove(ctx, one.ID())
	step("remove again", all(two), err, cluster.ErrNoKey, "")
}

// What a node is asked to do and cannot is refused, without a word of what may be a key.
func TestRotationRefuses(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	r := rotating(t, key, "a")
	for _, body := range []string{`{"add":"c2VjcmV0`, `{"add":"c2VjcmV0"}`, `{"use":"c2VjcmV0"}`, `{"remove":"` + key.ID() + `"}`, `[]`} {
		if answer, err := r.nodes["a"].Serve(t.Context(), "b", []byte(body)); err == nil || strings.Contains(body, "add") && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %s, %v", body, answer, err)
		}
	}
	if got := r.rings(); got != "a "+key.ID() {
		t.Errorf("the keys are %s", got)
	}
}

func TestKeyStaysWhileItSealsWhatIsKept(t *testing.T) {
	t.Parallel()
	one, two := cluster.GenerateKey(), cluster.GenerateKey()
	r := rotating(t, one, "a", "b")
	a, away := r.nodes["a"], errors.New("the log is away")
	a.Reseal = func(context.Context) error { return away }
	if _, err := a.Add(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Use(t.Context(), two.ID()); err != nil {
		t.Fatal(err)
	}
	before := r.rings()
	if _, err := a.Remove(t.Context(), one.ID()); !errors.Is(err, away) || r.rings() != before {
		t.Errorf("%v; the rings are %s, before they were %s", err, r.rings(), before)
	}
}

func FuzzKeyChange(f *testing.F) {
	f.Add([]byte(`{"add":"` + cluster.GenerateKey().Reveal() + `"}`))
	f.Add([]byte(`{"use":"0123456789"}`))
	f.Add([]byte(`{"remove":"0123456789"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := &cluster.Rotation{Node: "a", Ring: ring(t, cluster.GenerateKey())}
		first := r.Ring.List()[0]
		if _, err := r.Serve(t.Context(), "b", body); err != nil && len(r.Ring.List()) != 1 {
			t.Errorf("%q fails with %v and leaves %v", body, err, r.Ring.List())
		}
		if !slices.Contains(r.Ring.List(), first) {
			t.Errorf("%q leaves %v, without the primary key", body, r.Ring.List())
		}
	})
}
