package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/registry"
)

// The key is replaced in three steps, each of which waits for what it needs.
func TestMasterKeyIsReplacedByCommand(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	start := func() *node {
		t.Helper()
		n := newNode(c, zerolog.New(zerolog.NewTestWriter(t)))
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := start()
	on := func(args ...string) result {
		t.Helper()
		return wedsync(t, append(args, "--data", c.Data, "--addr", n.URL())...)
	}
	says := func(code int, text string, args ...string) {
		t.Helper()
		if got := on(append([]string{"master-key"}, args...)...); got.code != code || !strings.Contains(got.out+got.errors, text) {
			t.Errorf("%q: %+v, want %q", args, got, text)
		}
	}
	restart := func() {
		t.Helper()
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
		n = start()
	}
	defer func() { _ = n.Stop() }()
	season := filepath.Join(t.TempDir(), "season.yaml")
	text := "integrations:\n  - id: crm\n    vendor: studiocloud\n    settings: {url: https://crm.example.com/x}\n    secrets: {signing: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}\n"
	if err := os.WriteFile(season, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := on("apply", "-y", "-f", season); got.code != exitOK {
		t.Fatalf("apply: %+v", got)
	}
	says(exitOK, "has no old key", "retire")
	says(exitOK, "has no new key", "promote")
	add := func() {
		t.Helper()
		if got := wedsync(t, "master-key", "add", "--data", c.Data); got.code != exitOK || !strings.Contains(got.out, "then: wedsync master-key promote") {
			t.Fatalf("add: %+v", got)
		}
	}
	add()
	if got := wedsync(t, "master-key", "add", "--data", c.Data); got.code != exitFailed || !strings.Contains(got.errors, "next: wedsync master-key promote") {
		t.Errorf("add twice: %+v", got)
	}
	says(exitFailed, "does not seal yet", "retire")
	says(exitFailed, "do not have the new key", "promote")
	restart()
	says(exitOK, "then: wedsync master-key retire", "promote")
	says(exitFailed, "do not seal with the new key", "retire")
	restart()
	file, err := os.ReadFile(filepath.Join(c.Data, masterKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := registry.NewestKey(file)
	if err != nil {
		t.Fatal(err)
	}
	lost := sealWithAnother(t, n, "lost")
	says(exitFailed, "of 1 integrations in the log are not sealed with the new key", "retire")
	lost()
	says(exitOK, `"retired": 1`, "retire", "--json")
	restart()
	if got := on("integrations", "show", "crm"); got.code != exitOK || strings.Contains(got.out, "problems") {
		t.Errorf("with the new key alone: %+v", got)
	}
	all, err := n.registry.MasterKeys(t.Context())
	if err != nil || all.SealedByOthers(key) != 0 || len(all.Nodes) != 1 || len(all.Nodes[0].Keys) != 1 {
		t.Errorf("in the end %+v, %v", all, err)
	}
	if info, err := os.Stat(filepath.Join(c.Data, masterKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file is %v, %v", info.Mode(), err)
	}
}

// sealWithAnother puts a secret into the log that a key which nobody has sealed; what it returns removes it.
func sealWithAnother(t *testing.T, n *node, id string) (remove func()) {
	t.Helper()
	key, err := registry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := registry.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer.Seal(id, nil)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := n.journal.KV(t.Context(), "secrets")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "integration."+id, sealed); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := bucket.Delete(t.Context(), "integration."+id); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMasterKeyCommandsRefuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad, file := filepath.Join(dir, "bad"), filepath.Join(dir, "master.key")
	key, err := registry.GenerateKey()
	if err == nil {
		key, err = registry.AddKey(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{bad: []byte("planted"), file: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nobody, err := json.Marshal(registry.MasterKeys{})
	if err != nil {
		t.Fatal(err)
	}
	node := newStandIn(t, map[string]answer{"GET /api/master-key": {200, string(nobody)}})
	for says, args := range map[string][]string{
		"not a tink keyset":         {"add", "--file", bad},
		"no such file":              {"promote", "--file", filepath.Join(dir, "none")},
		"says which keys it has":    {"promote", "--file", file, "--addr", node.URL},
		"no node answers at":        {"promote", "--file", file, "--addr", "127.0.0.1:1"},
		"master-key promote":        {"retire", "--file", file, "--addr", node.URL},
		"not a tink keyset in JSON": {"retire", "--file", bad},
	} {
		if got := wedsync(t, append([]string{"master-key"}, args...)...); got.code != exitFailed || !strings.Contains(got.errors, says) || strings.Contains(got.errors, "planted") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, key) {
		t.Errorf("the file was changed by what was refused: %v", err)
	}
}
