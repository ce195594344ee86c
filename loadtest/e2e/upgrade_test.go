package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// buildPrevious builds the program of the commit before the one that is checked out.
func buildPrevious(ctx context.Context, t *testing.T) (path string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	output := func(dir string, in []byte, name string, args ...string) []byte {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("the program of the commit before this one cannot be built: %s %s: %v\n%s", name, strings.Join(args, " "), err, &said)
		}
		return out.Bytes()
	}
	const before = "HEAD^{commit}^"
	if err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--verify", "--quiet", before).Run(); err != nil {
		t.Fatalf("this clone has no commit before the one that is checked out, to upgrade from: %v; run: git fetch --deepen=1", err)
	}
	commit := strings.TrimSpace(string(output(root, nil, "git", "rev-parse", "--verify", before)))
	source, path := t.TempDir(), filepath.Join(t.TempDir(), "wedsync-before")
	output(source, output(root, nil, "git", "archive", "--format=tar", commit), "tar", "-x")
	// Without the folder in it, what the compiler made of it before is used again.
	output(source, nil, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/wedsync")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRollingUpgrade has two nodes of the commit before this one and one of this one work together, and then
// replaces the old ones under load.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	ctx := within(t, 5*time.Minute)
	old := buildPrevious(ctx, t)
	all := newTrio(ctx, t, func(node int, c *nodeproc.Config) {
		if node < 2 {
			c.Binary = old
		}
	})
	agreed(ctx, t, "n1 n2 n3", all...)
	f := newTraffic(ctx, t, all...)
	f.more(ctx)
	for _, s := range all[:2] {
		s.stop(ctx)
		s.cfg.Binary = binary(t)
		s.start(ctx)
		agreed(ctx, t, "n1 n2 n3", all...)
		f.more(ctx)
	}
	f.end(ctx)
	checkNoneDead(ctx, t, all[0])
}
