package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/analytics/embedded"
)

func main() {
	embedded.MaybeRunChild() // ClickHouse is this program again
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	c := campaign{progress: progress}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&c.binary, "binary", "bin/wedsync", "the wedsync binary to break")
	flags.StringVar(&c.before, "before", "", "the binary that nodes run until the fault \"upgrade\"; default: -binary")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of all that is random; the same one makes the same faults") // #nosec G115 -- any number will do
	only := flags.String("faults", "", "faults, separated by commas; default: each. See docs/chaos.md")
	flags.IntVar(&c.rounds, "rounds", 1, "how often each")
	flags.DurationVar(&c.soak, "soak", 0, "break something at random, every 20 s, for so long; instead of rounds")
	flags.BoolVar(&c.lenient, "lenient", false, "excuse publishes and repeated deliveries that took longer than a node waits for its log, as on a slow machine")
	keepLogs := flags.Bool("keep", false, "keep the nodes' logs of a clean run too")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	var err error
	if c.faults, err = pick(names); err != nil {
		return err
	}
	if c.binary, err = filepath.Abs(c.binary); err != nil {
		return err
	}
	if _, err := os.Stat(c.binary); err != nil {
		return fmt.Errorf("%w; build it with \"make build\" or name it with -binary", err)
	}
	if c.before == "" {
		c.before = c.binary
	}
	if c.before, err = filepath.Abs(c.before); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", fmt.Sprintf("wedsync-chaos-%x-*", os.Getpid())); err != nil {
		return err
	}
	c.rng = rand.New(rand.NewPCG(*seed, 1)) // #nosec G404 -- to be repeated
	fmt.Fprintf(progress, "seed %d\n", *seed)
	results, err := c.run(ctx)
	if *asJSON {
		err = errors.Join(err, writeJSON(out, results))
	} else {
		err = errors.Join(err, writeTable(out, results))
	}
	return c.leave(results, *keepLogs, err)
}
