package embedded

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

// childEnv carries the library's path to the child.
const childEnv = "WEDSYNC_EMBEDDED_ENGINE"

// MaybeRunChild turns the process into the engine if Start has started it as such; then it does not
// return. Otherwise it does nothing. Call it first thing in main, and in TestMain.
func MaybeRunChild() {
	library := os.Getenv(childEnv)
	if library == "" {
		return
	}
	_ = os.Unsetenv(childEnv)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(exitOrphan)
	}()
	if err := runLibrary(library, append([]string{"clickhouse"}, os.Args[1:]...)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// exitOrphan is the exit status of a child that has lost its parent, for whoever reads it.
const exitOrphan = 3

// keeper never ends; Stop cancels it. It looks whether it was cancelled five times a second.
const keeper = "SELECT sleepEachRow(0.2) FROM system.numbers SETTINGS max_block_size = 1 FORMAT Null"

// arguments are clickhouse-local's.
func arguments(f files, port int) []string {
	return []string{
		"--config-file=" + f.path(configFile),
		"--path=" + f.path(dataDir),
		"--log-level=warning",
		"--logger.console=1",
		"--listen_host=127.0.0.1",
		"--tcp_port=" + strconv.Itoa(port),
		"--query", "SYSTEM START LISTEN TCP; " + keeper,
	}
}
