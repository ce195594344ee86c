package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

func TestSealer(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	secrets := event.Secrets{"signing": {event.SecretOf(secretB), event.SecretOf(secretA)}, "token": {event.SecretOf("tökén\n\"\x00")}}
	sealed, err := s.Seal("a", secrets)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("whsec")) || bytes.Contains(sealed, []byte("signing")) {
		t.Error("what is sealed can be read")
	}
	got, err := s.Open("a", sealed)
	same := func(a, b []event.Secret) bool { return slices.EqualFunc(a, b, event.Secret.Equal) }
	if err != nil || !maps.EqualFunc(got, secrets, same) {
		t.Errorf("opened: %v", err)
	}
	if again, _ := s.Seal("a", secrets); bytes.Equal(again, sealed) {
		t.Error("sealed twice it is the same: the nonce repeats")
	}
	if got, err := s.Open("a", nil); err != nil || got != nil {
		t.Errorf("nothing: %v", err)
	}
	tampered := bytes.Clone(sealed)
	tampered[len(tampered)-1] ^= 1
	newer := bytes.Clone(sealed)
	newer[0]++
	for name, c := range map[string]struct {
		sealer *registry.Sealer
		id     string
		sealed []byte
		want   string
	}{
		"moved":     {s, "b", sealed, "integration b: the sealed secrets do not open"},
		"wrong key": {newSealer(t), "a", sealed, "integration a: the sealed secrets do not open"},
		"tampered":  {s, "a", tampered, "integration a: the sealed secrets do not open"},
		"cut":       {s, "a", sealed[:9], "integration a: the sealed secrets do not open"},
		"newer":     {s, "a", newer, "integration a: sealed secrets: written by a newer release"},
		"version 0": {s, "a", []byte{0, 1}, "integration a: sealed secrets: version 0"},
	} {
		_, err := c.sealer.Open(c.id, c.sealed)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		if strings.Contains(c.want, "do not open") != errors.Is(err, registry.ErrSeal) {
			t.Errorf("%s: error %v is ErrSeal: %t", name, err, errors.Is(err, registry.ErrSeal))
		}
	}
}

func TestMasterKey(t *testing.T) {
	t.Parallel()
	a, err := registry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := registry.GenerateKey()
	if err != nil || bytes.Equal(a, b) || !json.Valid(a) {
		t.Fatalf("two keys are the same, or no JSON: %v", err)
	}
	var secret struct {
		Key []struct{ KeyData struct{ Value string } }
	}
	if err := json.Unmarshal(a, &secret); err != nil {
		t.Fatal(err)
	}
	value := secret.Key[0].KeyData.Value
	if len(value) < 40 {
		t.Fatalf("the key has %d bytes", len(value))
	}
	wrongKind, err := keyset.NewHandle(mac.HMACSHA256Tag256KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	var wrongJSON bytes.Buffer
	if err := insecurecleartextkeyset.Write(wrongKind, keyset.NewJSONWriter(&wrongJSON)); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"empty": nil, "text": []byte("hunter2"), "cut": a[:len(a)-9], "no keys": []byte(`{"primaryKeyId":1,"key":[]}`),
		"damaged": bytes.Replace(a, []byte(value), []byte(value[:20]), 1), "another kind": wrongJSON.Bytes(),
	} {
		_, err := registry.NewSealer(key)
		if err == nil || !strings.HasPrefix(err.Error(), "master key: ") || strings.Contains(err.Error(), value[:20]) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestMasterKeyRotation replaces the master key as tinkey does: a new primary beside the old key.
func TestMasterKeyRotation(t *testing.T) {
	t.Parallel()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	sealer := func(h *keyset.Handle) *registry.Sealer {
		var b bytes.Buffer
		if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
			t.Fatal(err)
		}
		s, err := registry.NewSealer(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := sealer(handle)
	sealed, err := old.Seal("a", event.Secrets{"x": {event.SecretOf("1")}})
	if err != nil {
		t.Fatal(err)
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.SetPrimary(id); err != nil {
		t.Fatal(err)
	}
	if handle, err = manager.Handle(); err != nil {
		t.Fatal(err)
	}
	both := sealer(handle)
	if got, err := both.Open("a", sealed); err != nil || got.Current("x").Reveal() != "1" {
		t.Errorf("sealed with the old key: %v", err)
	}
	if sealed, err = both.Seal("a", event.Secrets{"x": {event.SecretOf("2")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Open("a", sealed); !errors.Is(err, registry.ErrSeal) {
		t.Errorf("sealed with the new key, opened with the old one: %v", err)
	}
}

func FuzzSealerOpen(f *testing.F) {
	s := newSealer(f)
	sealed, err := s.Seal("a", event.Secrets{"x": {event.SecretOf("1")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a", sealed)
	f.Add("b", sealed)
	f.Add("a", []byte{})
	f.Add("a", []byte{1})
	f.Fuzz(func(t *testing.T, id string, b []byte) {
		got, err := s.Open(id, b)
		if err == nil && len(got) > 0 && (id != "a" || !bytes.Equal(b, sealed)) {
			t.Fatalf("%q: opened what was not sealed for it", id)
		}
	})
}
