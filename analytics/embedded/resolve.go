package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotAvailable is what Start returns, in a *NotAvailableError, where there is no ClickHouse to run.
var ErrNotAvailable = errors.New("there is no ClickHouse on this machine")

// NotAvailableError says what was searched and how to install an engine.
type NotAvailableError struct {
	Searched []string // a line each: where, and what was found there
}

func (e *NotAvailableError) Error() string {
	return fmt.Sprintf("%v: install one with `make deps`, put a clickhouse binary on the PATH, or name libchdb.so with %s; searched: %s",
		ErrNotAvailable, LibraryEnv, strings.Join(e.Searched, "; "))
}

// Unwrap returns ErrNotAvailable.
func (e *NotAvailableError) Unwrap() error { return ErrNotAvailable }

// LibraryEnv is the environment variable that names libchdb.so, or a clickhouse binary.
const LibraryEnv = "WEDSYNC_CHDB"

// npmLibrary is where npm puts the library below a directory.
const npmLibrary = "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"

// binaries are the names by which one multi-call binary is installed.
func binaries() []string { return []string{"clickhouse", "clickhouse-local", "clickhouse-server"} }

// engine is what to run: a library to load, or a program.
type engine struct {
	path    string
	library bool
}

// search is where an engine is looked for. Its fields are parameters so that each place can be tested.
type search struct {
	explicit string // from the configuration
	env      string // from LibraryEnv
	path     func(name string) (string, error)
	roots    []string // directories from which to go upwards
	dir      string   // the data directory
	capable  func(ctx context.Context, binary string) error
}

func newSearch(cfg Config) search {
	s := search{
		explicit: cfg.Library, env: os.Getenv(LibraryEnv),
		path: exec.LookPath, dir: cfg.Dir, capable: capableBinary,
	}
	if wd, err := os.Getwd(); err == nil {
		s.roots = append(s.roots, wd)
	}
	if exe, err := os.Executable(); err == nil {
		s.roots = append(s.roots, filepath.Dir(exe))
	}
	return s
}

// find returns the engine to run. What was named is used or refused, never passed over.
func (s search) find(ctx context.Context) (engine, error) {
	for _, named := range []struct{ by, path string }{{"the configuration", s.explicit}, {LibraryEnv, s.env}} {
		if named.path == "" {
			continue
		}
		if !isFile(named.path) {
			return engine{}, fmt.Errorf("%w: %s names %s, which is no file", ErrNotAvailable, named.by, named.path)
		}
		if strings.HasSuffix(named.path, ".so") {
			return engine{path: named.path, library: true}, nil
		}
		if err := s.capable(ctx, named.path); err != nil {
			return engine{}, fmt.Errorf("%w: %s names %s: %w", ErrNotAvailable, named.by, named.path, err)
		}
		return engine{path: named.path}, nil
	}

	missing := &NotAvailableError{}
	for _, name := range binaries() {
		path, err := s.path(name)
		if err == nil {
			err = s.capable(ctx, path)
		}
		if err == nil {
			return engine{path: path}, nil
		}
		if path != "" {
			missing.Searched = append(missing.Searched, fmt.Sprintf("%s: %v", path, err))
		}
	}
	missing.Searched = append(missing.Searched, fmt.Sprintf("the PATH for %s: none that serves", strings.Join(binaries(), ", ")))

	for _, root := range s.roots {
		for _, below := range upwards(root) {
			for _, place := range []string{npmLibrary, "loadtest/js/" + npmLibrary} {
				if path := filepath.Join(below, place); isFile(path) {
					return engine{path: path, library: true}, nil
				}
			}
		}
		missing.Searched = append(missing.Searched, fmt.Sprintf("%s, also below loadtest/js, in %s and upwards: none", npmLibrary, root))
	}
	for _, place := range []string{"libchdb.so", npmLibrary} {
		path := filepath.Join(s.dir, place)
		if isFile(path) {
			return engine{path: path, library: true}, nil
		}
		missing.Searched = append(missing.Searched, path+": none")
	}
	return engine{}, missing
}

// capableBinary returns an error unless the binary's clickhouse-local can be made to listen, which
// releases before 26 cannot.
func capableBinary(ctx context.Context, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "local", "--help")
	cmd.Args[0] = "clickhouse" // whatever its name, the first argument makes it clickhouse-local
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("clickhouse local --help: %w", err)
	}
	if !strings.Contains(string(out), "START LISTEN") {
		return errors.New("too old: its clickhouse-local cannot listen")
	}
	return nil
}

func upwards(dir string) []string {
	dirs := []string{dir}
	for parent := filepath.Dir(dir); parent != dir; parent = filepath.Dir(dir) {
		dir = parent
		dirs = append(dirs, dir)
	}
	return dirs
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
