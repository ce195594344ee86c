package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// campaign is what is to be done.
type campaign struct {
	before, binary, dir string
	faults              []fault
	rounds              int
	soak                time.Duration
	lenient             bool
	rng                 *rand.Rand
	progress            io.Writer

	windows []checker.Window // of all faults so far
}

// run does the rounds on a cluster that it starts, and takes that away again. With an error come the rounds
// until then, the last one maybe without a report.
func (c *campaign) run(ctx context.Context) ([]*result, error) {
	built := ""
	if slices.ContainsFunc(c.faults, func(f fault) bool { return f.name == jumpClock }) {
		fmt.Fprintln(c.progress, "building a node whose clock can jump; the first time takes minutes ...")
		var err error
		if built, err = jumpy(ctx, c.dir); err != nil {
			return nil, err
		}
	}
	s, err := newStage(ctx, c.before, c.binary, c.dir, c.rng)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.jumpy = built
	results, err := c.play(ctx, s)
	return results, errors.Join(err, c.judge(ctx, s, results, err == nil))
}

// play does the rounds.
func (c *campaign) play(ctx context.Context, s *stage) (results []*result, err error) {
	if c.soak > 0 {
		r, err := c.round(ctx, s, "r0", "soak", c.soaking)
		return []*result{r}, err
	}
	for range c.rounds {
		for _, f := range c.faults {
			r, err := c.round(ctx, s, fmt.Sprintf("r%d", len(results)), f.name, func(ctx context.Context, s *stage) error {
				return c.breaks(ctx, s, f)
			})
			results = append(results, r)
			if err != nil {
				return results, err
			}
		}
	}
	return results, nil
}

// breaks runs a fault and notes when that was.
func (c *campaign) breaks(ctx context.Context, s *stage, f fault) error {
	fmt.Fprintf(c.progress, "%s %s ...\n", time.Now().Format(time.TimeOnly), f.name)
	w := checker.Window{Fault: f.name, InOrder: f.inOrder, From: time.Now()}
	hit, err := f.run(ctx, s, c.rng)
	w.To = time.Now()
	for _, i := range hit {
		w.Nodes = append(w.Nodes, nodeName(i))
	}
	c.windows = append(c.windows, w)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// soaking runs faults one after the other, one every 20 s.
func (c *campaign) soaking(ctx context.Context, s *stage) error {
	for end := time.Now().Add(c.soak); time.Now().Before(end); {
		next := time.Now().Add(20 * time.Second)
		if err := c.breaks(ctx, s, c.faults[c.rng.IntN(len(c.faults))]); err != nil {
			return err
		}
		if err := nodeproc.Sleep(ctx, time.Until(next)); err != nil {
			return err
		}
	}
	return nil
}

// round has clients at work before, while and after something is broken. What it returns with an error is not all.
func (c *campaign) round(ctx context.Context, s *stage, name, what string, broken func(context.Context, *stage) error) (*result, error) {
	r := &result{Fault: what, load: &load{s: s, round: name}}
	defer r.load.close()
	if err := r.load.listen(ctx); err != nil {
		return r, err
	}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	clients := r.load.publish(publishing)
	err := nodeproc.Sleep(ctx, time.Duration(2000+c.rng.IntN(2000))*time.Millisecond)
	if err == nil {
		err = broken(ctx, s)
	}
	if err == nil {
		err = nodeproc.Sleep(ctx, 6*time.Second)
	}
	stop()
	clients.Wait()
	if err == nil {
		err = r.load.settle(ctx)
	}
	if err == nil {
		err = ctx.Err() // what is not there yet is not lost
	}
	r.whole = err == nil
	return r, err
}

// judge checks the rounds, when nothing more can come of any: what comes late in one is seen, too. ClickHouse is
// held against them when all was finished.
func (c *campaign) judge(ctx context.Context, s *stage, results []*result, finished bool) (err error) {
	var rows map[string][]checker.Row
	if finished {
		rows, err = s.database.rows(ctx, s.deliveries())
	}
	for _, r := range results {
		r.history, r.Strange = r.load.history(c.windows), slices.Concat(r.load.strange, s.strange)
		if rows != nil {
			r.history.Rows = []checker.Row{}
			for ch := range channels {
				r.history.Rows = append(r.history.Rows, rows[r.load.channel(ch)]...)
			}
		}
		if r.whole {
			r.history.Lenient = c.lenient
			r.Report = checker.Check(r.history)
		}
	}
	return err
}
