package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// The node seals everything anew with a new master key, and the old one is removed only then.
func TestMasterKeyIsReplacedByCommand(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	first := newNode(c, zerolog.New(zerolog.NewTestWriter(t)))
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	on := func(n *node, args ...string) result {
		return wedsync(t, append(args, "--data", c.Data, "--addr", n.URL())...)
	}
	season := filepath.Join(t.TempDir(), "season.yaml")
	text := "integrations:\n  - id: crm\n    vendor: studiocloud\n    settings: {url: https://crm.example.com/x}\n    secrets: {signing: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}\n"
	if err := os.WriteFile(season, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := on(first, "apply", "-y", "-f", season); got.code != exitOK {
		t.Fatalf("apply: %+v", got)
	}
	if got := on(first, "master-key", "retire"); got.code != exitOK || !strings.Contains(got.out, "no old key") {
		t.Errorf("nothing to retire: %+v", got)
	}
	if got := wedsync(t, "master-key", "rotate", "--data", c.Data); got.code != exitOK || !strings.Contains(got.out, "restart the node") {
		t.Fatalf("rotate: %+v", got)
	}
	if got := on(first, "master-key", "retire"); got.code != exitFailed || !strings.Contains(got.errors, "restart it first") {
		t.Errorf("before the restart: %+v", got)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := startNode(t, c)
	if _, stale := second.registry.MasterKey(); stale != 0 {
		t.Errorf("%d are sealed with the old key", stale)
	}
	if got := on(second, "master-key", "retire", "--json"); got.code != exitOK || !strings.Contains(got.out, `"retired": 1`) {
		t.Errorf("retire: %+v", got)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	third := startNode(t, c)
	if got := on(third, "integrations", "show", "crm"); got.code != exitOK || strings.Contains(got.out, "problems") {
		t.Errorf("with the new key alone: %+v", got)
	}
	if info, err := os.Stat(filepath.Join(c.Data, masterKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file is %v, %v", info.Mode(), err)
	}
	if got := wedsync(t, "master-key", "rotate", "--file", season); got.code != exitFailed || !strings.Contains(got.errors, "not a tink keyset") {
		t.Errorf("a file that is no key: %+v", got)
	}
}
