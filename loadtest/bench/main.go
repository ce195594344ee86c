// Command bench measures a node: it starts the wedsync binary, a vendor that takes everything, and
// open- and closed-loop load, all on this machine's loopback, and prints a table of what was seen
// beside what is asked for. Each measurement has a node of its own and ends by itself.
//
//	go run ./loadtest/bench -binary bin/wedsync [-only name,name]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one figure.
type row struct{ what, got, target string }

type measurement struct {
	name string
	run  func(context.Context, *bench) ([]row, error)
}

// longest bounds one measurement.
const longest = 5 * time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	binary := flag.String("binary", "bin/wedsync", "the wedsync binary to measure")
	only := flag.String("only", "", "measurements to run, separated by commas; default: all")
	flag.Parse()
	if _, err := os.Stat(*binary); err != nil {
		return fmt.Errorf("%w; build it with \"make build\" or name it with -binary", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{binary: *binary}
	all := []measurement{
		{"idle", idle},
		{"throughput", throughput},
		{"latency", latency},
		{"edge-few", fewLarge},
		{"edge-many", manySmall},
		{"edge-crowd", crowd},
		{"edge-room", room},
		{"edge-steady", steady},
		{"edge-storm", storm},
		{"stuck", stuck},
		{"configured", configured},
		{"webhooks", webhooks},
		{"transformation", transformation},
		{"notification", notification},
		{"health", health},
		{"admin", adminPages},
		{"cluster", clustered},
	}
	var rows []row
	for _, m := range all {
		if *only != "" && !strings.Contains(","+*only+",", ","+m.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", m.name)
		limited, cancel := context.WithTimeout(ctx, longest)
		more, err := m.run(limited, b)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		rows = append(rows, more...)
	}
	fmt.Fprintf(os.Stdout, "%d processors, shared by node, load and vendor; %s\n\n", runtime.NumCPU(), runtime.Version())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmeasured\ttarget")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.what, r.got, r.target)
	}
	return w.Flush()
}
