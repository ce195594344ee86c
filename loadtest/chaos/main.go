package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// result is what came of one round.
type result struct {
	Fault   string          `json:"fault"`
	Refused int             `json:"refused"`
	Unknown int             `json:"unanswered"`
	Report  *checker.Report `json:"report"`
	Strange []string        `json:"strange,omitempty"`
}

func run() error {
	binary := flag.String("binary", "bin/wedsync", "the wedsync binary to break")
	before := flag.String("before", "", "the binary that nodes run until the fault \"upgrade\"; default: -binary")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of all that is random; the same one makes the same run") // #nosec G115 -- any number will do
	only := flag.String("faults", "", "faults, separated by commas; default: each. See docs/chaos.md")
	rounds := flag.Int("rounds", 1, "how often each")
	soak := flag.Duration("soak", 0, "break something at random, every 20 s, for so long; instead of rounds")
	keep := flag.Bool("keep", false, "keep the nodes' logs of a clean run too")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	chosen, err := pick(names)
	if err != nil {
		return err
	}
	if *binary, err = filepath.Abs(*binary); err != nil {
		return err
	}
	if _, err := os.Stat(*binary); err != nil {
		return fmt.Errorf("%w; build it with \"make build\" or name it with -binary", err)
	}
	if *before == "" {
		*before = *binary
	}
	if *before, err = filepath.Abs(*before); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "wedsync-chaos-*")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "seed %d\n", *seed)
	rng := rand.New(rand.NewPCG(*seed, 1)) // #nosec G404 -- to be repeated
	s, err := newStage(ctx, *before, *binary, dir, rng)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer s.close()
	var results []result
	if *soak > 0 {
		r, err := s.round(ctx, "r0", "soak", soaking(chosen, *soak), rng)
		if err != nil {
			return fmt.Errorf("soak: %w; logs are in %s", err, dir)
		}
		results = append(results, r)
	}
	for n := range *rounds {
		for k, f := range chosen {
			if *soak > 0 {
				break
			}
			fmt.Fprintf(os.Stderr, "%s %s ...\n", time.Now().Format(time.TimeOnly), f.name)
			r, err := s.round(ctx, fmt.Sprintf("r%d-%d", n, k), f.name, f.run, rng)
			if err != nil {
				return fmt.Errorf("%s: %w; logs are in %s", f.name, err, dir)
			}
			results = append(results, r)
			if !r.Report.Clean() {
				fmt.Fprintf(os.Stderr, "  NOT CLEAN: %s\n", strings.Join(r.Report.Findings[:min(3, len(r.Report.Findings))], "\n  "))
			}
		}
	}
	return finish(results, dir, *asJSON, *keep)
}

// soaking runs faults one after the other, one every 20 s.
func soaking(chosen []fault, length time.Duration) func(context.Context, *stage, *rand.Rand) error {
	return func(ctx context.Context, s *stage, rng *rand.Rand) error {
		for end := time.Now().Add(length); time.Now().Before(end); {
			next := time.Now().Add(20 * time.Second)
			f := chosen[rng.IntN(len(chosen))]
			fmt.Fprintf(os.Stderr, "%s %s ...\n", time.Now().Format(time.TimeOnly), f.name)
			if err := f.run(ctx, s, rng); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			if err := sleep(ctx, time.Until(next)); err != nil {
				return err
			}
		}
		return nil
	}
}

// round has clients at work before, while and after something is broken.
func (s *stage) round(ctx context.Context, name, what string, broken func(context.Context, *stage, *rand.Rand) error, rng *rand.Rand) (result, error) {
	l := &load{s: s, round: name}
	defer l.close()
	if err := l.listen(ctx); err != nil {
		return result{}, err
	}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	clients := l.publish(publishing)
	err := sleep(ctx, time.Duration(2000+rng.IntN(2000))*time.Millisecond)
	window := checker.Window{From: time.Now()}
	if err == nil {
		err = broken(ctx, s, rng)
	}
	window.To = time.Now()
	if err == nil {
		err = sleep(ctx, 6*time.Second)
	}
	stop()
	clients.Wait()
	if err != nil {
		return result{}, err
	}
	l.settle(ctx)
	r := result{Fault: what, Report: l.report([]checker.Window{window}), Strange: l.strange}
	for _, op := range l.ops {
		switch op.Outcome {
		case checker.Refused:
			r.Refused++
		case checker.Unknown:
			r.Unknown++
		}
	}
	return r, nil
}

func finish(results []result, dir string, asJSON, keep bool) error {
	clean := true
	for _, r := range results {
		clean = clean && r.Report.Clean()
	}
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(results); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "fault\taccepted\trefused\tunanswered\tlost\treordered\tduplicates\twrong\taccept gap\tdelivery gap\tlive gap")
		for _, r := range results {
			p := r.Report
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%.1f s\t%.1f s\n", r.Fault, p.Accepted, r.Refused, r.Unknown,
				p.Lost, p.Reordered, p.Duplicates, p.Wrong, p.AcceptGap.Seconds(), p.DeliveryGap.Seconds(), p.LiveGap.Seconds())
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if clean && keep {
		fmt.Fprintln(os.Stderr, "the nodes' logs are in", dir)
		return nil
	}
	if clean {
		return os.RemoveAll(dir)
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "results.json"), data, 0o600)
	}
	return errors.Join(err, fmt.Errorf("something was lost, reordered or wrong; the nodes' logs and results.json are in %s", dir))
}
