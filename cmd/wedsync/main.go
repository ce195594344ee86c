// Command wedsync connects the WebSocket channels of a wedding-planning product with the systems of
// wedding vendors. "wedsync serve" runs a node; the other commands talk to one over its HTTP API.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/wedsync/wedsync/analytics/embedded"
)

func main() {
	// The embedded ClickHouse is this program again, started as a child.
	embedded.MaybeRunChild()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	code := command(ctx, os.Args[1:], world{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(),
	})
	stop()
	os.Exit(code)
}

// world is what a command gets from outside besides its arguments.
type world struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string // NAME=value
}
