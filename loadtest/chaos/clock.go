package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

const jumpClock = "jump clock"

// clockEnv names the file from which a node that is built by jumpy reads by how many seconds its clock is wrong.
const clockEnv = "WEDSYNC_CHAOS_CLOCK"

// What jumpy adds: to the package time, by how much it is wrong, and to the program, who says so.
const (
	wrongTime = `package time

import "sync/atomic"

var Wrong atomic.Int64 // seconds
`
	rightNow  = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	wrongNow  = rightNow + "\tsec += Wrong.Load()\n"
	wrongMain = `package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

func init() {
	go func() {
		for range time.Tick(50 * time.Millisecond) {
			text, _ := os.ReadFile(os.Getenv("` + clockEnv + `"))
			if seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				time.Wrong.Store(seconds)
			}
		}
	}()
}
`
)

// jumping has the wall clock of one node jump forth, back and right again. Linux has no namespace for that clock, so
// the node is one whose package time can be told to be wrong: it takes the place of the other for a while.
func jumping(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
	i := rng.IntN(nodes)
	right := s.runs[i]
	s.runs[i] = s.jumpy
	if err := s.replace(ctx, i); err != nil {
		return nil, err
	}
	ahead := 60 * (30 + rng.IntN(90))
	for _, seconds := range []int{ahead, -ahead, 0} {
		if err := os.WriteFile(s.clock(nodeName(i)), []byte(strconv.Itoa(seconds)), 0o600); err != nil {
			return nil, err
		}
		if err := nodeproc.Sleep(ctx, time.Duration(3+rng.IntN(3))*time.Second); err != nil {
			return nil, err
		}
	}
	s.runs[i] = right
	return []int{i}, s.replace(ctx, i)
}

// clock is the file that tells a node how wrong its clock is.
func (s *stage) clock(name string) string { return filepath.Join(s.dir, name+".clock") }

// jumpy builds the module's node with a package time that can be wrong.
func jumpy(ctx context.Context, dir string) (binary string, err error) {
	env, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("a node whose clock jumps is built by the go command: %w", err)
	}
	root, mod, _ := strings.Cut(strings.TrimSpace(string(env)), "\n")
	clock, module := filepath.Join(root, "src", "time"), filepath.Dir(mod)
	source, err := os.ReadFile(filepath.Join(clock, "time.go"))
	if err != nil {
		return "", err
	}
	wrong := strings.Replace(string(source), rightNow, wrongNow, 1)
	if wrong == string(source) {
		return "", fmt.Errorf("the time.Now in %s is another one than is known here; the fault \"jump clock\" needs to be adapted", clock)
	}
	replace := map[string]string{}
	for path, text := range map[string]string{
		filepath.Join(clock, "time.go"): wrong, filepath.Join(clock, "wrong.go"): wrongTime, filepath.Join(module, "cmd", "wedsync", "wrong.go"): wrongMain,
	} {
		replace[path] = filepath.Join(dir, fmt.Sprintf("jumpy-%d.go", len(replace)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "jumpy.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "jumpy")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", file, "-o", binary, "./cmd/wedsync") // #nosec G204 -- all of it is from here
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building a node whose clock jumps: %w: %s", err, out)
	}
	return binary, nil
}
