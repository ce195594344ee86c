// Package e2e drives the real binary as a child process, in the way of an operator, through bad days:
// it is killed, told to stop, left without ClickHouse, given vendors that hang and logs that fill up.
// What must have arrived is counted at the far side: at the vendors' simulators, at WebSocket
// subscribers and in ClickHouse.
//
// The binary is built once per run, with the race detector and coverage counters, unless
// WEDSYNC_BINARY names one; GOCOVERDIR says where its counters go. WEDSYNC_E2E_SEED repeats a run's
// random moments, WEDSYNC_E2E_KILLS asks for more of them.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/analytics/embedded"
)

// scratch is where a run's binary and counters are.
var scratch string

func TestMain(m *testing.M) {
	embedded.MaybeRunChild() // the ClickHouse of these tests is this program again
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wedsync-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	scratch = dir
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build makes the binary.
var build = sync.OnceValues(func() (string, error) {
	if named := os.Getenv("WEDSYNC_BINARY"); named != "" {
		path, err := filepath.Abs(named)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return "", fmt.Errorf("WEDSYNC_BINARY: %w; build it with: make build", err)
		}
		return path, nil
	}
	path := filepath.Join(scratch, "wedsync")
	cmd := exec.Command("go", "build", "-race", "-cover", "-covermode=atomic", "-coverpkg=./...", "-o", path, "./cmd/wedsync")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building wedsync: %w\n%sif modules are missing, run: make deps", err, out)
	}
	return path, nil
})

func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// counters is where the binary leaves its coverage counters.
func counters(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		return dir
	}
	dir := filepath.Join(scratch, "counters")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	return dir
}

// number returns what an environment variable says, or otherwise.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is no whole number", variable, text)
	}
	return n
}

// within returns a context that ends with the test or after the limit, which is only ever reached by
// a failure.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// until asks again and again until done reports true, and fails with what it said last.
func until(ctx context.Context, t *testing.T, what string, done func(ctx context.Context) (bool, string)) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	said := "nothing yet"
	for {
		ok, now := done(ctx)
		if ok {
			return
		}
		if ctx.Err() == nil {
			said = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v; last seen: %s", what, ctx.Err(), said)
		}
	}
}
