package access_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/edge/access"
)

func all(scopes ...access.Scope) []access.Scope { return scopes }

var alice = map[string]string{"supplierId": "42"}

func TestBoundKeysReachTheirOwner(t *testing.T) {
	t.Parallel()
	r := open(t, openLog(t), nil)
	admin := access.Everybody("x")
	c, k := make1(t, r, admin, access.Key{
		Name: "alice", Scopes: all(access.ChannelsRead), Owner: alice,
		Channels: []string{"supplier:dashboard:{supplierId}", "supplier:news:42:**", "couple:c1"},
	})
	for channel, want := range map[string]bool{
		"supplier:dashboard:42": true, "supplier:dashboard:43": false, "supplier:dashboard:42:x": false,
		"supplier:news:42:a:b": true, "supplier:news:42": false, "couple:c1": true, "couple:c2": false, "x": false,
	} {
		if c.Reaches(channel) != want {
			t.Errorf("it reaches %s: %t", channel, !want)
		}
	}
	for pattern, want := range map[string]bool{
		"supplier:dashboard:42": true, "supplier:dashboard:*": false, "supplier:dashboard:{supplierId}": false,
		"supplier:news:42:*": true, "supplier:news:42:**": true, "**": false, "a::b": false, "": false,
	} {
		if c.Covers(pattern, nil) != want {
			t.Errorf("it covers %s: %t", pattern, !want)
		}
	}
	if !c.Covers("supplier:dashboard:{supplierId}", alice) || c.Covers("supplier:dashboard:{supplierId}", map[string]string{"supplierId": "43"}) {
		t.Error("owner variables are not put in their places")
	}
	for _, o := range []struct {
		owner map[string]string
		want  bool
	}{
		{alice, true},
		{map[string]string{"supplierId": "42", "coupleId": "c1"}, true},
		{map[string]string{"supplierId": "43"}, false},
		{map[string]string{"coupleId": "42"}, false},
		{nil, false},
	} {
		if c.Owns(o.owner) != o.want {
			t.Errorf("it owns what is %v's: %t", o.owner, !o.want)
		}
	}
	if none, _ := make1(t, r, admin, access.Key{Name: "b", Scopes: all(access.ChannelsRead), Owner: alice}); none.Reaches("supplier:dashboard:42") || none.Covers("a", nil) {
		t.Error("a bound key without channels reaches one")
	}
	if some, _ := make1(t, r, admin, access.Key{Name: "c", Scopes: all(access.ChannelsRead), Channels: []string{"a:*"}}); !some.Reaches("a:b") || some.Reaches("b") || !some.Owns(alice) {
		t.Error("a key with channels and without owner reaches others")
	}
	if !admin.Reaches("anything") || !admin.Covers("**", nil) || !admin.Owns(nil) || access.Nobody().Reaches("a") || access.Nobody().Owns(alice) {
		t.Error("everybody does not reach everything, or nobody does")
	}
	// What belongs to others does not exist.
	bob, other := make1(t, r, admin, access.Key{Name: "bob", Scopes: all(access.KeysWrite, access.KeysRead), Owner: map[string]string{"supplierId": "43"}})
	if got := r.Keys(bob); len(got) != 1 || got[0].ID != other.ID {
		t.Errorf("bob sees %+v", got)
	}
	if _, err := r.Key(bob, k.ID); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("bob sees alice's key: %v", err)
	}
	if _, err := r.Revoke(t.Context(), bob, k.ID); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("bob revokes alice's key: %v", err)
	}
	if _, err := r.Key(admin, k.ID); err != nil {
		t.Errorf("alice's key is gone: %v", err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	r := open(t, openLog(t), nil)
	good := access.Key{Name: "a", Scopes: all(access.ChannelsRead), Owner: alice, Channels: []string{"a:{supplierId}"}}
	many := map[string]string{}
	for i := range 9 {
		many[fmt.Sprintf("v%d", i)] = "x"
	}
	for says, change := range map[string]func(*access.Key){
		"name":                      func(k *access.Key) { k.Name = "a b" },
		"scopes: name at least one": func(k *access.Key) { k.Scopes = nil },
		`"fly" is none; there are admin, channels:publish`: func(k *access.Key) { k.Scopes = all("fly") },
		"is there twice":          func(k *access.Key) { k.Scopes = all(access.AuditRead, access.AuditRead) },
		"cannot have admin":       func(k *access.Key) { k.Scopes = all(access.Admin) },
		"cannot have status:read": func(k *access.Key) { k.Scopes = all(access.StatusRead) },
		"9 variables":             func(k *access.Key) { k.Owner = many },
		"is no variable name":     func(k *access.Key) { k.Owner = map[string]string{"a-b": "x"} },
		"cannot be a segment":     func(k *access.Key) { k.Owner = map[string]string{"a": "x:y"} },
		"33 patterns":             func(k *access.Key) { k.Channels = make([]string, 33) },
		"a segment is empty":      func(k *access.Key) { k.Channels = []string{"a::b"} },
		"of other owners":         func(k *access.Key) { k.Channels = []string{"a:*"} },
		`"a:**" selects`:          func(k *access.Key) { k.Channels = []string{"a:42", "a:**"} },
		"is not in the future":    func(k *access.Key) { k.ExpiresAt = time.Now().Add(-time.Hour) },
	} {
		k := good
		change(&k)
		_, _, err := r.Create(t.Context(), access.Everybody("x"), k)
		var invalid *access.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), says) || errors.Unwrap(err) == nil {
			t.Errorf("%s: %v", says, err)
		}
	}
	if len(r.Keys(access.Everybody("x"))) != 0 {
		t.Error("a key was made all the same")
	}
}

func TestNoKeyGivesWhatItLacks(t *testing.T) {
	t.Parallel()
	r := open(t, openLog(t), nil)
	soon := time.Now().Add(time.Hour)
	bound, _ := make1(t, r, access.Everybody("x"), access.Key{
		Name: "a", Scopes: all(access.KeysWrite, access.ChannelsRead), Owner: alice, Channels: []string{"a:{supplierId}:*"}, ExpiresAt: soon,
	})
	limited, _ := make1(t, r, access.Everybody("x"), access.Key{Name: "b", Scopes: all(access.KeysWrite, access.StatusRead), Channels: []string{"a:*"}})
	for _, c := range []struct {
		by   *access.Caller
		k    access.Key
		says string
	}{
		{bound, access.Key{Scopes: all(access.ChannelsPublish), ExpiresAt: soon}, "channels:publish is not among"},
		{bound, access.Key{Scopes: all(access.ChannelsRead), ExpiresAt: soon, Owner: map[string]string{"supplierId": "43"}}, "bound to another"},
		{bound, access.Key{Scopes: all(access.ChannelsRead), ExpiresAt: soon, Channels: []string{"b:42"}}, `not reach all of "b:42"`},
		{bound, access.Key{Scopes: all(access.ChannelsRead)}, "must not be later"},
		{bound, access.Key{Scopes: all(access.ChannelsRead), ExpiresAt: soon.Add(time.Second)}, "must not be later"},
		{limited, access.Key{Scopes: all(access.StatusRead)}, "does not reach all channels"},
		{limited, access.Key{Scopes: all(access.StatusRead), Channels: []string{"**"}}, `not reach all of "**"`},
	} {
		c.k.Name = "new"
		_, _, err := r.Create(t.Context(), c.by, c.k)
		var exceeds *access.ExceedsError
		if !errors.As(err, &exceeds) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.k, err)
		}
	}
	// What they have they can give; the owner follows by itself.
	child, k := make1(t, r, bound, access.Key{Name: "new", Scopes: all(access.ChannelsRead), Channels: []string{"a:42:x"}, ExpiresAt: soon})
	if !child.Bound() || k.Owner["supplierId"] != "42" || !child.Reaches("a:42:x") || child.Reaches("a:42:y") || k.CreatedBy != bound.Actor() {
		t.Errorf("made %+v", k)
	}
	if _, k := make1(t, r, bound, access.Key{Name: "new", Scopes: all(access.ChannelsRead), Owner: map[string]string{"coupleId": "c1"}, ExpiresAt: soon}); len(k.Owner) != 2 {
		t.Errorf("made %+v", k)
	}
	make1(t, r, limited, access.Key{Name: "new", Scopes: all(access.StatusRead), Channels: []string{"a:b"}})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	seen := map[access.Scope]bool{}
	for _, k := range access.Scopes() {
		if seen[k.Scope] || k.Allows == "" || string(k.Scope) != strings.ToLower(string(k.Scope)) {
			t.Errorf("scope %+v", k)
		}
		seen[k.Scope] = true
		if !access.Everybody("x").Has(k.Scope) || access.Nobody().Has(k.Scope) {
			t.Errorf("everybody has not %s, or nobody has", k.Scope)
		}
	}
	if len(seen) != 18 || access.Everybody("x").Scopes() != "admin" {
		t.Errorf("%d scopes; everybody has %s", len(seen), access.Everybody("x").Scopes())
	}
}
