package registry_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

func sealerOf(tb testing.TB, key []byte) *registry.Sealer {
	tb.Helper()
	s, err := registry.NewSealer(key)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func must[T any](tb testing.TB) func(T, error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// newest returns the id of the key that was added last.
func newest(tb testing.TB, key []byte) uint32 {
	tb.Helper()
	id, _, err := registry.NewestKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// A master key is replaced in three steps, and secrets open throughout.
func TestMasterKeyIsReplaced(t *testing.T) {
	t.Parallel()
	made := must[[]byte](t)
	old := made(registry.GenerateKey())
	sealed := made(sealerOf(t, old).Seal("a", event.Secrets{"signing": {event.SecretOf("one"), event.SecretOf("two")}}))
	opens := func(key []byte) bool {
		got, err := sealerOf(t, key).Open("a", sealed)
		return err == nil && got.Current("signing").Reveal() == "one"
	}
	added := made(registry.AddKey(old))
	if id, seals, err := registry.NewestKey(added); err != nil || seals || id == newest(t, old) || !opens(added) {
		t.Errorf("added %d, which seals: %t, %v", id, seals, err)
	}
	if _, err := sealerOf(t, old).Open("b", made(sealerOf(t, added).Seal("b", nil))); err != nil {
		t.Errorf("a key that was only added seals: %v", err)
	}
	promoted := made(registry.PromoteKey(added))
	if id, seals, err := registry.NewestKey(promoted); err != nil || !seals || id != newest(t, added) || !opens(promoted) {
		t.Errorf("promoted %d, which seals: %t, %v", id, seals, err)
	}
	if _, err := sealerOf(t, old).Open("b", made(sealerOf(t, promoted).Seal("b", nil))); !errors.Is(err, registry.ErrSeal) {
		t.Errorf("the promoted key did not seal: %v", err)
	}
	alone, gone, err := registry.RetireKeys(promoted)
	if err != nil || gone != 1 || opens(alone) {
		t.Errorf("%d keys are gone, %v", gone, err)
	}
	if again, gone, err := registry.RetireKeys(alone); err != nil || gone != 0 || len(again) == 0 {
		t.Errorf("once more: %d, %v", gone, err)
	}
	for _, bad := range []string{"", "{}", "planted-key"} {
		_, err1 := registry.AddKey([]byte(bad))
		_, err2 := registry.PromoteKey([]byte(bad))
		_, _, err3 := registry.RetireKeys([]byte(bad))
		_, _, err4 := registry.NewestKey([]byte(bad))
		for _, err := range []error{err1, err2, err3, err4} {
			if err == nil || strings.Contains(err.Error(), "planted") {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	raw := bytes.ReplaceAll(old, []byte(`"outputPrefixType":"TINK"`), []byte(`"outputPrefixType":"RAW"`))
	if _, err := registry.NewSealer(raw); err == nil || !strings.Contains(err.Error(), "output prefix") {
		t.Errorf("a key whose work does not name it: %v", err)
	}
}

// cluster is one log with several nodes on it.
type cluster struct {
	t     *testing.T
	store registry.Store
	ahead time.Duration // of the clocks of nodes that start
	nodes map[string]*registry.Registry
}

func (c *cluster) start(name string, key []byte) *registry.Registry {
	c.t.Helper()
	ahead := c.ahead
	r, err := registry.Open(c.t.Context(), registry.Config{
		Store: c.store, Sealer: sealerOf(c.t, key), Node: name, Logger: zerolog.New(zerolog.NewTestWriter(c.t)), Now: func() time.Time { return clock().Add(ahead) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(r.Close)
	c.nodes[name] = r
	return r
}

func (c *cluster) restart(name string, key []byte) {
	c.t.Helper()
	c.nodes[name].Close()
	c.start(name, key)
}

// open fails unless every node opens the integration's secrets.
func (c *cluster) open(when, secret string) {
	c.t.Helper()
	for name, r := range c.nodes {
		eventually(c.t, r, when+" "+name+" opens it", func() bool {
			e, ok := r.Lookup("s")
			if !ok {
				return false // this node does not know of it yet
			}
			shown, err := e.Mask(secret)
			return err == nil && shown == "[secret]"
		})
	}
}

func (c *cluster) keys(name string) registry.MasterKeys {
	c.t.Helper()
	return must[registry.MasterKeys](c.t)(c.nodes[name].MasterKeys(c.t.Context()))
}

// Nodes on one log get a new master key one after the other, and none is ever without its secrets.
func TestMasterKeyIsReplacedOnSeveralNodes(t *testing.T) {
	t.Parallel()
	made := must[[]byte](t)
	old := made(registry.GenerateKey())
	added := made(registry.AddKey(old))
	promoted := made(registry.PromoteKey(added))
	first, second := newest(t, old), newest(t, added)
	c := &cluster{t: t, store: storeOf(t, openJournal(t, t.TempDir())), nodes: map[string]*registry.Registry{}}
	a := c.start("a", old)
	c.start("b", old)
	put(t, a, studio("s", "1"))
	setSecrets(t, a, "s", values{"signing": event.SecretOf(secretA)})
	c.open("at first", secretA)
	if got := c.keys("b"); !slices.Equal(got.Sealed, []registry.SealedBy{{Key: first, Integrations: 1}}) || len(got.Nodes) != 2 || got.Nodes[0].Node != "a" ||
		got.Nodes[0].Primary != first || !slices.Equal(got.Nodes[1].Keys, []uint32{first}) || !got.Nodes[1].SaidAt.Equal(now) {
		t.Errorf("at first %+v", got)
	}

	// A node that has the promoted key too early seals nothing that b could not open.
	c.restart("a", promoted)
	if got := c.keys("b"); !slices.Equal(got.Without(second), []string{"b"}) || got.SealedByOthers(first) != 0 {
		t.Errorf("too early %+v", got)
	}
	if n, err := c.nodes["a"].Reseal(t.Context()); n != 0 || err == nil || !strings.Contains(err.Error(), "nodes b do not have the key") {
		t.Errorf("sealed %d anew, %v", n, err)
	}
	c.open("after a key that was promoted too early", secretA)

	c.restart("a", added)
	if got := c.keys("a"); !slices.Equal(got.Without(second), []string{"b"}) {
		t.Errorf("b has no new key yet: %+v", got)
	}
	c.restart("b", added)
	if got := c.keys("a"); len(got.Without(second)) != 0 || !slices.Equal(got.NotSealing(second), []string{"a", "b"}) {
		t.Errorf("all have the new key: %+v", got)
	}
	setSecrets(t, c.nodes["b"], "s", values{"signing": event.SecretOf(secretB)})
	c.open("with both keys", secretB)

	c.restart("a", promoted)
	if got := c.keys("b"); got.SealedByOthers(second) != 0 || !slices.Equal(got.NotSealing(second), []string{"b"}) {
		t.Errorf("a seals with the new key: %+v", got)
	}
	c.open("sealed anew", secretB)
	// What b seals with the old key until it is restarted is seen in the log, whoever is asked.
	setSecrets(t, c.nodes["b"], "s", values{"signing": event.SecretOf(secretC)})
	if got := c.keys("a"); got.SealedByOthers(second) != 1 {
		t.Errorf("sealed with the old key: %+v", got)
	}
	c.restart("b", promoted)
	if got := c.keys("a"); got.SealedByOthers(second) != 0 || len(got.NotSealing(second)) != 0 {
		t.Errorf("all seal with the new key: %+v", got)
	}
	alone, _, err := registry.RetireKeys(promoted)
	if err != nil {
		t.Fatal(err)
	}
	c.restart("a", alone)
	setSecrets(t, c.nodes["a"], "s", values{"signing": event.SecretOf(secretA)})
	c.open("with the old key on b alone", secretA)
}

// A node that could not seal anew does it when the others are ready, without another restart.
func TestSealedAnewLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made := must[[]byte](t)
		old := made(registry.GenerateKey())
		promoted := made(registry.PromoteKey(made(registry.AddKey(old))))
		store := registry.Store{Config: newMemory(), Secrets: newMemory()}
		start := func(name string, key []byte) *registry.Registry {
			r, err := registry.Open(t.Context(), registry.Config{Store: store, Sealer: sealerOf(t, key), Node: name, Logger: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		b := start("b", old)
		put(t, b, studio("s", "1"))
		setSecrets(t, b, "s", values{"signing": event.SecretOf(secretA)})
		a := start("a", promoted)
		defer a.Close()
		sealed := func() int {
			return must[registry.MasterKeys](t)(a.MasterKeys(t.Context())).SealedByOthers(newest(t, promoted))
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if sealed() != 1 {
			t.Error("sealed anew while b could not open it")
		}
		b.Close()
		<-time.After(time.Minute)
		synctest.Wait()
		if sealed() != 0 {
			t.Error("not sealed anew when b was gone")
		}
	})
}

// What cannot be opened is told of, and does not keep the rest from being sealed anew.
func TestSealedWithALostKey(t *testing.T) {
	t.Parallel()
	made := must[[]byte](t)
	old := made(registry.GenerateKey())
	c := &cluster{t: t, store: storeOf(t, openJournal(t, t.TempDir())), nodes: map[string]*registry.Registry{}}
	a := c.start("a", old)
	for _, id := range []string{"s", "lost"} {
		put(t, a, studio(id, "1"))
		setSecrets(t, a, id, values{"signing": event.SecretOf(secretA)})
	}
	if _, err := c.store.Secrets.Put(t.Context(), "integration.lost", made(newSealer(t).Seal("lost", event.Secrets{"signing": {event.SecretOf(secretB)}}))); err != nil {
		t.Fatal(err)
	}
	promoted := made(registry.PromoteKey(made(registry.AddKey(old))))
	c.restart("a", promoted)
	if got := c.keys("a"); got.SealedByOthers(newest(t, promoted)) != 1 || len(got.Sealed) != 2 {
		t.Errorf("sealed %+v", got)
	}
	if n, err := c.nodes["a"].Reseal(t.Context()); n != 0 || !errors.Is(err, registry.ErrSeal) || !strings.Contains(err.Error(), "lost") {
		t.Errorf("sealed %d, %v", n, err)
	}
	c.open("beside what is lost", secretA)
}

// A node that was killed is believed for a while; one that ended is not there any more.
func TestNodesThatAreGone(t *testing.T) {
	t.Parallel()
	key := must[[]byte](t)(registry.GenerateKey())
	c := &cluster{t: t, store: storeOf(t, openJournal(t, t.TempDir())), nodes: map[string]*registry.Registry{}}
	c.start("a", key).Close()
	c.ahead = registry.SaidFor - time.Second
	c.start("b", key)
	if _, err := c.store.Secrets.Put(t.Context(), "node.killed", []byte(`{"v":1,"node":"killed","primary":1,"keys":[1],"saidAt":"`+now.Format(time.RFC3339)+`"}`)); err != nil {
		t.Fatal(err)
	}
	if got := c.keys("b"); len(got.Nodes) != 2 || got.Nodes[1].Node != "killed" {
		t.Errorf("just before the killed one is forgotten: %+v", got.Nodes)
	}
	c.ahead += time.Second
	c.restart("b", key)
	if got := c.keys("b"); len(got.Nodes) != 1 || got.Nodes[0].Node != "b" {
		t.Errorf("after it: %+v", got.Nodes)
	}
	if _, err := c.store.Secrets.Put(t.Context(), "node.newer", []byte(`{"v":9}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.nodes["b"].MasterKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "node newer") || !strings.Contains(err.Error(), "newer release") {
		t.Errorf("of a newer release's node: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.nodes["b"].MasterKeys(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("of a log that does not answer: %v", err)
	}
}
