//go:build linux && amd64

package embedded

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ebitengine/purego"
)

// runLibrary runs clickhouse-local with the arguments, the first of which is the program's name,
// until it ends. It reports what clickhouse-local would print as its error.
func runLibrary(path string, args []string) error {
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	var query func(argc int32, argv **byte) uintptr
	var failure func(result uintptr) string
	for name, function := range map[string]any{"chdb_query_cmdline": &query, "chdb_result_error": &failure} {
		symbol, err := purego.Dlsym(library, name)
		if err != nil {
			return fmt.Errorf("load %s: %w; use the release that `make deps` installs", path, err)
		}
		purego.RegisterFunc(function, symbol)
	}
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		argv = append(argv, &append([]byte(arg), 0)[0])
	}
	argv = append(argv, nil)
	result := query(int32(len(args)), &argv[0])
	if result == 0 {
		return errors.New("clickhouse-local failed without saying why")
	}
	if text := strings.TrimSpace(failure(result)); text != "" {
		return errors.New(text)
	}
	return nil
}
