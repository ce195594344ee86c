package load

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// Death is what came of an edge's death.
type Death struct {
	About   string  `json:"about"`
	Node    string  `json:"node"`
	At      float64 `json:"at"`      // seconds since the run's beginning
	Clients int     `json:"clients"` // that were cut off
	Back    float64 `json:"back"`    // seconds until all their subscriptions stood again; -1: they never did
}

// p99Deviations is how many standard deviations the 99th percentile of a normal distribution lies above its middle.
const p99Deviations = 2.326

// draw is what a vendor takes for a call. It depends on the seed and on which call it is.
func (l Latency) draw(seed uint64, call string) time.Duration {
	if l.P50 == 0 {
		return 0
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(call))
	deviation := math.Log(float64(l.P99)/float64(l.P50)) / p99Deviations
	normal := rand.New(rand.NewPCG(seed, sum.Sum64())).NormFloat64()
	return time.Duration(float64(l.P50) * math.Exp(deviation*min(normal, 4)))
}

// behave gives the vendors their latencies.
func behave(sims *vendors.Set, t *truth) {
	for name, v := range t.plan.profile.Vendors {
		sims.Lookup(name).Faults().Add(vendors.Fault{Delay: t.delays(v.Latency)})
	}
}

// delays draws what a vendor takes for each call: the same in each run of a plan for the same try of the same
// delivery, and another for the next try. One that was too slow for the node once would be so for ever. A simulator
// asks for one call after the other.
func (t *truth) delays(l Latency) func(*vendors.Receipt) time.Duration {
	tries := map[string]int{}
	return func(r *vendors.Receipt) time.Duration {
		tries[r.ID]++
		d := t.byDelivery[r.ID]
		return l.draw(t.plan.seed, fmt.Sprint(d.arrival, strings.TrimPrefix(d.integration, t.plan.people.run), tries[r.ID]))
	}
}

// script has everything fail that the profile says, when it says so.
type script struct {
	plan  *plan
	truth *truth
	sims  *vendors.Set
	crowd *crowd
	nodes []*node
	say   func(format string, args ...any)
}

// run returns when all is over, or ctx is. When the story ends, what has not begun to fail does not, and all else is
// mended.
func (s *script) run(ctx, story context.Context) error {
	g, story := errgroup.WithContext(story)
	p := s.plan.profile
	for name, v := range p.Vendors {
		for _, f := range v.Faults {
			g.Go(func() error { return s.vendor(story, name, f) })
		}
	}
	for _, e := range p.Edges {
		g.Go(func() error { return s.edge(ctx, story, e) })
	}
	return g.Wait()
}

func (s *script) until(ctx context.Context, m Moment) error {
	return nodeproc.Sleep(ctx, time.Until(s.truth.begun.Add(s.plan.profile.When(m))))
}

func (s *script) vendor(story context.Context, name string, f VendorFault) error {
	if err := s.until(story, f.From); err != nil {
		return err
	}
	fault := vendors.Fault{
		Status: f.Status, RetryAfter: event.Duration(f.RetryAfter), Hang: f.Hang, Reset: f.Reset, LoseAnswer: f.LoseAnswer, Latency: event.Duration(f.Slower),
	}
	if f.Share > 0 && f.Share < 1 {
		var calls atomic.Uint64
		fault.Match = func(*vendors.Receipt) bool { // spread evenly, from the first call on
			n := float64(calls.Add(1))
			return math.Ceil(n*f.Share) > math.Ceil((n-1)*f.Share)
		}
	}
	w := checker.Window{Fault: name + " " + f.About, From: time.Now()}
	s.say("from now on: %s", w.Fault)
	remove := s.sims.Lookup(name).Faults().Add(fault)
	err := s.until(story, f.To)
	remove()
	w.To = time.Now()
	s.say("no more: %s", w.Fault)
	s.truth.broken(w)
	return err
}

// victim is the node that dies: an edge that was started for the run, as long as it has clients, or else the node
// that has the most of them, whose connections are reset.
func (s *script) victim() (most int) {
	for i, n := range s.nodes {
		with := s.crowd.with(i)
		if n.edge && with > 0 {
			return i
		}
		if with > s.crowd.with(most) {
			most = i
		}
	}
	return most
}

func (s *script) edge(ctx, story context.Context, e EdgeDeath) error {
	if err := s.until(story, e.At); err != nil {
		return err
	}
	at := s.victim()
	n := s.nodes[at]
	d := &Death{About: e.About, Node: n.name, Clients: s.crowd.with(at), Back: -1}
	s.say("%s: %s, with %d clients", e.About, n.name, d.Clients)
	w := checker.Window{Fault: e.About, Nodes: []string{n.name}, From: time.Now()}
	dead := -1
	if n.edge {
		n.proc.Kill()
		dead = at
	} else {
		d.Clients = s.crowd.cut(at)
	}
	d.At = w.From.Sub(s.truth.begun).Seconds()
	s.truth.mu.Lock()
	s.truth.deaths = append(s.truth.deaths, d)
	s.truth.mu.Unlock()
	err := s.crowd.comeBack(ctx, dead)
	if err == nil {
		d.Back = time.Since(w.From).Seconds()
		s.say("all clients are back after %.1f s", d.Back)
	}
	if n.edge && err == nil {
		_ = s.until(story, e.Back) // or it comes back earlier
		if n.proc, err = nodeproc.Start(n.cfg); err == nil {
			err = n.await(ctx)
		}
	}
	w.To = time.Now()
	s.truth.broken(w)
	if err != nil {
		return fmt.Errorf("%s: %w", e.About, err)
	}
	return nil
}
