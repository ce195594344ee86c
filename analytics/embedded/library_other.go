//go:build !(linux && amd64)

package embedded

import (
	"fmt"
	"runtime"
)

func runLibrary(path string, _ []string) error {
	return fmt.Errorf("load %s: libchdb.so is for linux/amd64 and this is %s/%s; use a clickhouse binary", path, runtime.GOOS, runtime.GOARCH)
}
