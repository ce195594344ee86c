package registry_test

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// A master key is replaced in three steps, and secrets open throughout.
func TestMasterKeyIsReplaced(t *testing.T) {
	t.Parallel()
	old, err := registry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer := func(key []byte) *registry.Sealer {
		t.Helper()
		s, err := registry.NewSealer(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sealed, err := sealer(old).Seal("a", event.Secrets{"signing": {event.SecretOf("one"), event.SecretOf("two")}})
	if err != nil {
		t.Fatal(err)
	}
	both, err := registry.RotateKey(old)
	if err != nil {
		t.Fatal(err)
	}
	was, err1 := registry.PrimaryKey(old)
	is, err2 := registry.PrimaryKey(both)
	if err1 != nil || err2 != nil || was == is {
		t.Errorf("the primary key was %d and is %d, %v %v", was, is, err1, err2)
	}
	if got, err := sealer(both).Open("a", sealed); err != nil || got.Current("signing").Reveal() != "one" {
		t.Errorf("with both keys: %v", err)
	}
	alone, gone, err := registry.RetireKeys(both)
	if err != nil || gone != 1 {
		t.Fatalf("%d keys are gone, %v", gone, err)
	}
	if _, err := sealer(alone).Open("a", sealed); err == nil {
		t.Error("the old key still opens after it was retired")
	}
	if again, gone, err := registry.RetireKeys(alone); err != nil || gone != 0 || len(again) == 0 {
		t.Errorf("once more: %d, %v", gone, err)
	}
	for _, bad := range []string{"", "{}", "planted-key"} {
		_, err1 := registry.RotateKey([]byte(bad))
		_, _, err2 := registry.RetireKeys([]byte(bad))
		_, err3 := registry.PrimaryKey([]byte(bad))
		if err1 == nil || err2 == nil || err3 == nil || strings.Contains(err1.Error(), "planted") {
			t.Errorf("%q: %v, %v, %v", bad, err1, err2, err3)
		}
	}
}
