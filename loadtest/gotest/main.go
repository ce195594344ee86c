// Command gotest is what the Makefile asks of "go test" and the go command does not do by itself:
//
//	gotest test ARGS...                  runs "go test ARGS..." and fails also when a test was
//	                                     skipped (but for -short) or when none ran
//	gotest cover -min N -o OUT PROFILE   writes PROFILE without generated code to OUT, prints the
//	                                     statement coverage by package and in all, fails under N %
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("use: gotest test ARGS... | gotest cover -min N -o OUT PROFILE")
	}
	switch args[0] {
	case "test":
		return test(ctx, "", args[1:], out)
	case "cover":
		return cover(args[1:], out)
	}
	return fmt.Errorf("unknown command %q; use test or cover", args[0])
}
