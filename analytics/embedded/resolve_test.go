package embedded_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/analytics/embedded"
)

func touch(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSearch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const npm = "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"
	named := touch(t, filepath.Join(dir, "named.so"))
	binary := touch(t, filepath.Join(dir, "bin", "clickhouse"))
	above := touch(t, filepath.Join(dir, "above", npm))
	loadtest := touch(t, filepath.Join(dir, "repo", "loadtest", "js", npm))
	data := touch(t, filepath.Join(dir, "data", "libchdb.so"))
	dataNPM := touch(t, filepath.Join(dir, "data2", npm))
	missing := filepath.Join(dir, "missing")

	nothing := func(string) (string, error) { return "", exec.ErrNotFound }
	onPath := func(name string) (string, error) {
		if name == "clickhouse" {
			return binary, nil
		}
		return "", exec.ErrNotFound
	}
	able := func(context.Context, string) error { return nil }
	unable := func(context.Context, string) error { return errors.New("too old") }

	for name, c := range map[string]struct {
		search  embedded.Search
		path    string
		library bool
		err     []string
	}{
		"explicit before all":    {embedded.Search{Explicit: named, Env: above, Path: onPath, Capable: able}, named, true, nil},
		"explicit binary":        {embedded.Search{Explicit: binary, Path: nothing, Capable: able}, binary, false, nil},
		"explicit missing":       {embedded.Search{Explicit: missing, Env: above, Path: onPath, Capable: able}, "", false, []string{missing, "configuration"}},
		"explicit binary, old":   {embedded.Search{Explicit: binary, Path: nothing, Capable: unable}, "", false, []string{binary, "too old"}},
		"environment":            {embedded.Search{Env: named, Path: onPath, Capable: able}, named, true, nil},
		"environment missing":    {embedded.Search{Env: missing, Path: onPath, Capable: able}, "", false, []string{missing, embedded.LibraryEnv}},
		"the PATH":               {embedded.Search{Path: onPath, Capable: able, Roots: []string{filepath.Dir(above)}}, binary, false, nil},
		"the PATH's is too old":  {embedded.Search{Path: onPath, Capable: unable, Roots: []string{filepath.Join(dir, "above", "x", "y")}}, above, true, nil},
		"upwards":                {embedded.Search{Path: nothing, Roots: []string{missing, filepath.Join(dir, "above", "x", "y")}}, above, true, nil},
		"below loadtest/js":      {embedded.Search{Path: nothing, Roots: []string{filepath.Join(dir, "repo", "analytics")}}, loadtest, true, nil},
		"the data directory":     {embedded.Search{Path: nothing, Roots: []string{missing}, Dir: filepath.Dir(data)}, data, true, nil},
		"npm in the data":        {embedded.Search{Path: nothing, Dir: filepath.Join(dir, "data2")}, dataNPM, true, nil},
		"none":                   {embedded.Search{Path: nothing, Roots: []string{missing}, Dir: missing}, "", false, []string{"make deps", missing, npm, "PATH"}},
		"none, one that is old":  {embedded.Search{Path: onPath, Capable: unable, Dir: missing}, "", false, []string{binary + ": too old"}},
		"a directory is no file": {embedded.Search{Explicit: dir, Path: nothing}, "", false, []string{dir}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, library, err := c.search.Find(t.Context())
			if path != c.path || library != c.library {
				t.Errorf("found %q (library %v), want %q (library %v); error %v", path, library, c.path, c.library, err)
			}
			if (err != nil) != (c.err != nil) || err != nil && !errors.Is(err, embedded.ErrNotAvailable) {
				t.Fatalf("error %v", err)
			}
			for _, part := range c.err {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// libraryPath is what the tests run on, so that a stand-in for a binary can use it, too.
func libraryPath(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path, library, err := embedded.Search{
		Env: os.Getenv(embedded.LibraryEnv), Roots: []string{wd},
		Path: func(string) (string, error) { return "", exec.ErrNotFound },
	}.Find(t.Context())
	if err != nil || !library {
		t.Fatalf("no library to test with: %s, %v", path, err)
	}
	return path
}

// binary writes a clickhouse program that is the library underneath.
func binary(t *testing.T, help string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clickhouse")
	script := "#!/bin/sh\n[ \"$1\" = local ] || exit 9\nshift\n" +
		"if [ \"$1\" = --help ]; then echo '" + help + "'; exit 0; fi\n" +
		embedded.ChildEnv + "=" + libraryPath(t) + " exec " + os.Args[0] + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBinary(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir(), Library: binary(t, "--tcp_port  for SYSTEM START LISTEN")})
	exec1(t, open(t, s.DSN(), "", ""), "SELECT 1")
	stop(t, s)
}

func TestCapableBinary(t *testing.T) {
	t.Parallel()
	if err := embedded.CapableBinary(t.Context(), binary(t, "for SYSTEM START LISTEN")); err != nil {
		t.Error(err)
	}
	if err := embedded.CapableBinary(t.Context(), binary(t, "--query")); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("an old one: %v", err)
	}
	if err := embedded.CapableBinary(t.Context(), "/bin/false"); err == nil {
		t.Error("/bin/false is taken for ClickHouse")
	}
}

func TestRunLibrary(t *testing.T) {
	t.Parallel()
	if err := embedded.RunLibrary("/no/libchdb.so", []string{"clickhouse"}); err == nil || !strings.Contains(err.Error(), "/no/libchdb.so") {
		t.Errorf("a missing library: %v", err)
	}
	if err := embedded.RunLibrary("libc.so.6", []string{"clickhouse"}); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("another library: %v", err)
	}
}
