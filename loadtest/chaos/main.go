package main

import (
	"context"
	"encoding/json"
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
	"text/tabwriter"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// result is what came of one round.
type result struct {
	Fault   string          `json:"fault"`
	Report  *checker.Report `json:"report"`
	Strange []string        `json:"strange,omitempty"`

	history *checker.History
}

// campaign is what is to be done.
type campaign struct {
	before, binary, dir string
	faults              []fault
	rounds              int
	soak                time.Duration
	rng                 *rand.Rand
	progress            io.Writer
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
	if err != nil {
		return errors.Join(fmt.Errorf("%w; the nodes' logs are in %s", err, c.dir), finish(results, c.dir, *asJSON, true, out))
	}
	return finish(results, c.dir, *asJSON, *keepLogs, out)
}

// run does the rounds on a cluster that it starts, and takes that away again.
func (c *campaign) run(ctx context.Context) ([]result, error) {
	s, err := newStage(ctx, c.before, c.binary, c.dir, c.rng)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if c.soak > 0 {
		r, err := c.round(ctx, s, "r0", "soak", c.soaking)
		if err != nil {
			return nil, err
		}
		return []result{r}, nil
	}
	var results []result
	for n := range c.rounds {
		for k, f := range c.faults {
			fmt.Fprintf(c.progress, "%s %s ...\n", time.Now().Format(time.TimeOnly), f.name)
			r, err := c.round(ctx, s, fmt.Sprintf("r%d-%d", n, k), f.name, func(ctx context.Context, s *stage) ([]checker.Window, error) {
				w, err := c.breaks(ctx, s, f)
				return []checker.Window{w}, err
			})
			if err != nil {
				return results, fmt.Errorf("%s: %w", f.name, err)
			}
			results = append(results, r)
			if !r.Report.Clean() {
				fmt.Fprintf(c.progress, "  NOT CLEAN: %s\n", strings.Join(r.Report.Findings[:min(3, len(r.Report.Findings))], "\n  "))
			}
		}
	}
	return results, nil
}

// breaks runs a fault and tells when that was.
func (c *campaign) breaks(ctx context.Context, s *stage, f fault) (checker.Window, error) {
	w := checker.Window{Fault: f.name, From: time.Now()}
	hit, err := f.run(ctx, s, c.rng)
	w.To = time.Now()
	for _, i := range hit {
		w.Nodes = append(w.Nodes, nodeName(i))
	}
	return w, err
}

// soaking runs faults one after the other, one every 20 s.
func (c *campaign) soaking(ctx context.Context, s *stage) (windows []checker.Window, err error) {
	for end := time.Now().Add(c.soak); time.Now().Before(end); {
		next := time.Now().Add(20 * time.Second)
		f := c.faults[c.rng.IntN(len(c.faults))]
		fmt.Fprintf(c.progress, "%s %s ...\n", time.Now().Format(time.TimeOnly), f.name)
		w, err := c.breaks(ctx, s, f)
		windows = append(windows, w)
		if err != nil {
			return windows, fmt.Errorf("%s: %w", f.name, err)
		}
		if err := sleep(ctx, time.Until(next)); err != nil {
			return windows, err
		}
	}
	return windows, nil
}

// round has clients at work before, while and after something is broken.
func (c *campaign) round(ctx context.Context, s *stage, name, what string, broken func(context.Context, *stage) ([]checker.Window, error)) (result, error) {
	l := &load{s: s, round: name}
	defer l.close()
	if err := l.listen(ctx); err != nil {
		return result{}, err
	}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	clients := l.publish(publishing)
	err := sleep(ctx, time.Duration(2000+c.rng.IntN(2000))*time.Millisecond)
	var windows []checker.Window
	if err == nil {
		windows, err = broken(ctx, s)
	}
	if err == nil {
		err = sleep(ctx, 6*time.Second)
	}
	stop()
	clients.Wait()
	if err != nil {
		return result{}, err
	}
	l.settle(ctx)
	if err := ctx.Err(); err != nil {
		return result{}, err // what is not there yet is not lost
	}
	r := result{Fault: what, Strange: l.strange, history: l.history(windows)}
	r.Report = checker.Check(r.history)
	return r, nil
}

func finish(results []result, dir string, asJSON, keepLogs bool, out io.Writer) error {
	clean := true
	for _, r := range results {
		clean = clean && r.Report.Clean()
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(results); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "fault\taccepted\trefused\tfailed\tunanswered\tslowest\tnot allowed\tlost\treordered\tduplicates\twrong\taccept gap\tdelivery gap\tlive gap")
		for _, r := range results {
			p := r.Report
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.1f s\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%.1f s\t%.1f s\n", r.Fault, p.Accepted, p.Refused, p.Failed, p.Unanswered,
				p.Slowest.Seconds(), p.NotAllowed, p.Lost, p.Reordered, p.Duplicates, p.Wrong, p.AcceptGap.Seconds(), p.DeliveryGap.Seconds(), p.LiveGap.Seconds())
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if clean && keepLogs {
		fmt.Fprintln(os.Stderr, "the nodes' logs are in", dir)
		return nil
	}
	if clean {
		return os.RemoveAll(dir)
	}
	err := keep(filepath.Join(dir, "results.json"), results)
	for i, r := range results {
		if !r.Report.Clean() {
			err = errors.Join(err, keep(filepath.Join(dir, fmt.Sprintf("history-%d.json", i)), r.history))
		}
	}
	return errors.Join(err, fmt.Errorf("something was lost, reordered, wrong or not allowed; the nodes' logs, results and histories are in %s", dir))
}

func keep(path string, what any) error {
	data, err := json.MarshalIndent(what, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
