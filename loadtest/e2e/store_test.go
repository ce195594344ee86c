package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// outcome is how a command ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// wedsync runs a command to its end.
func wedsync(ctx context.Context, t *testing.T, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "GOCOVERDIR="+counters(t))
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("wedsync %v: %v", args, err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// complaint returns the one line in which a command says what is wrong; log lines are left out.
func (o outcome) complaint() string {
	var said []string
	for line := range strings.Lines(o.stderr) {
		if strings.HasPrefix(line, "wedsync: ") {
			said = append(said, strings.TrimSpace(line))
		}
	}
	return strings.Join(said, "\n")
}

// TestStoreRefused starts nodes on data folders that they must not touch: each ends at once, with exit
// code 1 and one line that says why and what to do.
func TestStoreRefused(t *testing.T) {
	t.Parallel()
	serve := func(ctx context.Context, t *testing.T, dir string, flags ...string) outcome {
		t.Helper()
		addr, err := nodeproc.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		return wedsync(ctx, t, append([]string{"serve", "--addr", addr, "--data", dir, "--clickhouse", "off", "--log-format", "json"}, flags...)...)
	}
	refused := func(t *testing.T, o outcome, words ...string) {
		t.Helper()
		if o.code != 1 || strings.Count(o.complaint(), "\n") > 0 {
			t.Errorf("exit code %d, want 1 and one line: %s", o.code, o.stderr)
		}
		for _, w := range words {
			if !strings.Contains(o.complaint(), w) {
				t.Errorf("it says %q, without %q", o.complaint(), w)
			}
		}
	}
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		ctx := within(t, 2*time.Minute)
		st := newStation(t, "--clickhouse", "off")
		st.start(ctx)
		refused(t, serve(ctx, t, st.cfg.Dir), "in use by another process", "pid "+strconv.Itoa(st.node.PID()), filepath.Join(st.cfg.Dir, "log"), "stop that process")
		if _, err := st.readiness(ctx); err != nil {
			t.Errorf("the node that has the folder: %v", err)
		}
		st.stop(ctx)
		// What the lock's holder left does not keep the next one out.
		st.start(ctx)
		st.stop(ctx)
	})
	t.Run("foreign", func(t *testing.T) {
		t.Parallel()
		ctx := within(t, 2*time.Minute)
		dir := t.TempDir()
		write(t, filepath.Join(dir, "log", "holiday.jpg"), "not a log")
		refused(t, serve(ctx, t, dir), "holiday.jpg", "was not made for this", "use an empty directory")
		if entries, err := os.ReadDir(filepath.Join(dir, "log")); err != nil || len(entries) != 1 {
			t.Errorf("the foreign folder was touched: %v, %v", entries, err)
		}
	})
	t.Run("newer", func(t *testing.T) {
		t.Parallel()
		ctx := within(t, 2*time.Minute)
		dir := t.TempDir()
		marker := filepath.Join(dir, "log", "wedsync.json")
		write(t, marker, `{"format":2,"mode":"standalone","shards":8,"epoch":"6f2b"}`)
		refused(t, serve(ctx, t, dir), "written by a newer release", "format 2", "start the newer release")
		if text, err := os.ReadFile(marker); err != nil || !strings.Contains(string(text), `"format":2`) {
			t.Errorf("the newer store was touched: %s, %v", text, err)
		}
	})
	t.Run("other mode", func(t *testing.T) {
		t.Parallel()
		ctx := within(t, 2*time.Minute)
		dir := t.TempDir()
		write(t, filepath.Join(dir, "log", "wedsync.json"), `{"format":1,"mode":"cluster","shards":8,"epoch":"6f2b"}`)
		refused(t, serve(ctx, t, dir), `"cluster"`, `"standalone"`)
	})
	t.Run("other shard count", func(t *testing.T) {
		t.Parallel()
		ctx := within(t, 2*time.Minute)
		st := newStation(t, "--clickhouse", "off")
		st.start(ctx)
		st.stop(ctx)
		refused(t, serve(ctx, t, st.cfg.Dir, "--set", "log.shards=4"), "8 shards", "says 4")
	})
	t.Run("not writable", func(t *testing.T) {
		t.Parallel()
		ctx := within(t, 2*time.Minute)
		dir := t.TempDir()
		write(t, filepath.Join(dir, "log"), "a file where the folder should be")
		refused(t, serve(ctx, t, dir), filepath.Join(dir, "log"))
	})
}
