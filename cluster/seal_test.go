package cluster_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/wedsync/wedsync/cluster"
)

// What is sealed is opened by whoever has the key, for the same purpose, as it was.
func TestSealed(t *testing.T) {
	t.Parallel()
	one, two := cluster.GenerateKey(), cluster.GenerateKey()
	mine, theirs := ring(t, one), ring(t, one)
	sealed, err := mine.Seal("keys", []byte("plain"))
	if err != nil || bytes.Contains(sealed, []byte("plain")) {
		t.Fatalf("%q, %v", sealed, err)
	}
	if again, err := mine.Seal("keys", []byte("plain")); err != nil || bytes.Equal(again, sealed) {
		t.Errorf("it is sealed the same twice: %v", err)
	}
	opens := func(step string, primary bool) {
		t.Helper()
		plain, by, err := theirs.Open("keys", sealed)
		if err != nil || string(plain) != "plain" || by != primary {
			t.Errorf("%s: %q, by the primary key %t, %v", step, plain, by, err)
		}
	}
	opens("the same key", true)
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, bool, error){
		"another purpose": func() ([]byte, bool, error) { return theirs.Open("other", sealed) },
		"changed":         func() ([]byte, bool, error) { return theirs.Open("keys", changed) },
		"cut":             func() ([]byte, bool, error) { return theirs.Open("keys", sealed[:5]) },
		"empty":           func() ([]byte, bool, error) { return theirs.Open("keys", nil) },
		"another key":     func() ([]byte, bool, error) { return ring(t, two).Open("keys", sealed) },
	} {
		if plain, _, err := open(); !errors.Is(err, cluster.ErrNotSealed) || plain != nil {
			t.Errorf("%s: %q, %v; want ErrNotSealed", name, plain, err)
		}
	}

	if err := theirs.Add(two); err != nil {
		t.Fatal(err)
	}
	opens("another key beside it", true)
	if err := theirs.Use(two.ID()); err != nil {
		t.Fatal(err)
	}
	opens("another key in use", false)
	if err := theirs.Remove(one.ID()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := theirs.Open("keys", sealed); !errors.Is(err, cluster.ErrNotSealed) {
		t.Errorf("the key is gone, and it opens: %v", err)
	}
}
