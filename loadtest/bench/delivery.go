package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

const suppliers = 100

func (b *bench) connected(ctx context.Context, note bool, more ...string) (*node, *vendor, error) {
	v, err := startVendor(ctx, note)
	if err != nil {
		return nil, nil, err
	}
	n, err := b.start(ctx, more...)
	if err != nil {
		return nil, nil, err
	}
	err = n.connectAll(ctx, v)
	return n, v, err
}

func (n *node) connectAll(ctx context.Context, v *vendor) error {
	if err := n.connectMany(ctx, suppliers, v.url); err != nil {
		return err
	}
	return n.mapAll(ctx)
}

// throughput publishes as fast as answers come, with 64 at once, and times the deliveries.
func throughput(ctx context.Context, b *bench) ([]row, error) {
	n, v, err := b.connected(ctx, false)
	if err != nil {
		return nil, err
	}
	defer v.close()
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	s, err := sustain(ctx, v, 60_000, n)
	if err != nil {
		return nil, err
	}
	return []row{
		{"accepted by HTTP and delivered, sustained", s.String(), ">= 4,500/s"},
		{"processor time per 1,000, node + load + vendor", fmt.Sprintf("%.2f s (node %.2f s)", s.all, s.nodes), "<= 0.35 s"},
	}, nil
}

// sustained is what came of publishing as fast as answers come.
type sustained struct {
	rate, accepted float64 // events a second
	all, nodes     float64 // processor seconds per 1,000
}

func (s sustained) String() string {
	return fmt.Sprintf("%.0f/s (accepted at %.0f/s)", s.rate, s.accepted)
}

// sustain publishes on the nodes in turn, with 64 at once, and times the deliveries.
func sustain(ctx context.Context, v *vendor, events int64, nodes ...*node) (s sustained, err error) {
	const warm = 5_000
	if err := flood(ctx, nodes, "w", warm); err != nil {
		return s, err
	}
	if err := v.wait(ctx, warm); err != nil {
		return s, err
	}
	before, err := allCPU(nodes)
	if err != nil {
		return s, err
	}
	ownBefore, begun := ownCPU(), time.Now()
	if err := flood(ctx, nodes, "e", events); err != nil {
		return s, err
	}
	accepted := time.Since(begun)
	if err := v.wait(ctx, warm+events); err != nil {
		return s, err
	}
	took := time.Since(begun)
	after, err := allCPU(nodes)
	thousands := float64(events) / 1000
	return sustained{
		rate: float64(events) / took.Seconds(), accepted: float64(events) / accepted.Seconds(),
		all: (after - before + ownCPU() - ownBefore).Seconds() / thousands, nodes: (after - before).Seconds() / thousands,
	}, err
}

func allCPU(nodes []*node) (sum time.Duration, err error) {
	for _, n := range nodes {
		used, err := n.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// flood publishes count events from 64 publishers, the suppliers in turn.
func flood(ctx context.Context, nodes []*node, prefix string, count int64) error {
	return floodTo(ctx, nodes, prefix, count, func(i int64) (supplier, lane string) { return "s" + strconv.FormatInt(i%suppliers, 10), "x" })
}

func floodTo(ctx context.Context, nodes []*node, prefix string, count int64, to func(i int64) (supplier, lane string)) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for i := range 64 {
		g.Go(func() error {
			p, err := nodes[i%len(nodes)].publisher()
			if err != nil {
				return err
			}
			defer func() { _ = p.conn.Close() }()
			for i := next.Add(1); i <= count && ctx.Err() == nil; i = next.Add(1) {
				supplier, lane := to(i)
				if err := p.publish(supplier, lane, prefix+strconv.FormatInt(i, 10)); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// paced is what a run at a fixed rate measured, from each event's intended time.
type paced struct{ accept, deliver *hdrhistogram.Histogram }

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
}

func quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond
}

// atRate starts count calls at a rate, whatever becomes of those before, and times each from when it was due.
func atRate(ctx context.Context, rate, count int, call func(ctx context.Context, i int, due time.Time) error) (*hdrhistogram.Histogram, error) {
	took := newHistogram()
	var mu sync.Mutex
	g, calling := errgroup.WithContext(ctx)
	begun := time.Now()
	for i := range count {
		due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-calling.Done():
				timer.Stop()
				return nil, g.Wait()
			}
		}
		g.Go(func() error {
			if err := call(calling, i, due); err != nil {
				return err
			}
			after := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			return took.RecordValue(after.Microseconds())
		})
	}
	return took, g.Wait()
}

// pace publishes at a rate for a while and waits for the deliveries.
func pace(ctx context.Context, n *node, v *vendor, prefix string, rate int, length time.Duration) (*paced, error) {
	count := int(length.Seconds() * float64(rate))
	intended := make([]time.Time, count)
	target := v.taken.Load() + int64(count)
	accept, err := atRate(ctx, rate, count, func(ctx context.Context, i int, due time.Time) error {
		intended[i] = due
		return n.publish(ctx, "s"+strconv.Itoa(i%suppliers), "x", prefix+strconv.Itoa(i))
	})
	if err != nil {
		return nil, err
	}
	p := &paced{accept: accept, deliver: newHistogram()}
	if err := v.wait(ctx, target); err != nil {
		return nil, err
	}
	for i := range count {
		at, ok := v.at(prefix + strconv.Itoa(i))
		if !ok {
			return nil, fmt.Errorf("event %s%d was never delivered", prefix, i)
		}
		if err := p.deliver.RecordValue(at.Sub(intended[i]).Microseconds()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// latency runs at 1,000 events a second.
func latency(ctx context.Context, b *bench) ([]row, error) {
	n, v, err := b.connected(ctx, true)
	if err != nil {
		return nil, err
	}
	defer v.close()
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	if _, err := pace(ctx, n, v, "w", 1000, 3*time.Second); err != nil {
		return nil, err
	}
	p, err := pace(ctx, n, v, "e", 1000, 15*time.Second)
	if err != nil {
		return nil, err
	}
	return []row{
		{"at 1,000/s: intended to delivered, p50", quantile(p.deliver, 50).String(), "< 3 ms"},
		{"at 1,000/s: intended to delivered, p99", quantile(p.deliver, 99).String(), "< 20 ms"},
		{"at 1,000/s: intended to accepted, p99", quantile(p.accept, 99).String(), "< 10 ms"},
	}, nil
}

// stuck compares the latency of vendors at 500/s on a node that has 100,000 deliveries waiting for one
// that is down with that on a node beside it, under the same load at the same time.
func stuck(ctx context.Context, b *bench) ([]row, error) {
	quiet, quietVendor, err := b.connected(ctx, true)
	if err != nil {
		return nil, err
	}
	defer quietVendor.close()
	defer func() { _ = quiet.stop(context.WithoutCancel(ctx)) }()
	n, v, err := b.connected(ctx, true)
	if err != nil {
		return nil, err
	}
	defer v.close()
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	v.broken.Store(true)
	if err := n.connect(ctx, "stuck", v.url+"/stuck"); err != nil {
		return nil, err
	}
	const waiting = 100_000
	if err := floodTo(ctx, []*node{n}, "x", waiting, func(i int64) (supplier, lane string) { return "stuck", "l" + strconv.FormatInt(i%500, 10) }); err != nil {
		return nil, err
	}
	var alone, beside *paced
	for _, part := range []struct {
		prefix string
		length time.Duration
	}{{"w", 3 * time.Second}, {"e", 20 * time.Second}} { // a warm-up, then what counts
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) {
			alone, err = pace(ctx, quiet, quietVendor, part.prefix, 500, part.length)
			return err
		})
		g.Go(func() (err error) {
			beside, err = pace(ctx, n, v, part.prefix, 500, part.length)
			return err
		})
		if err := g.Wait(); err != nil {
			return nil, err
		}
	}
	before, after := quantile(alone.deliver, 99), quantile(beside.deliver, 99)
	v.broken.Store(false)
	begun, from := time.Now(), v.taken.Load()
	if err := v.wait(ctx, from+waiting); err != nil {
		return nil, err
	}
	return []row{
		{"p99 at 500/s beside a stuck vendor with 100,000 waiting", fmt.Sprintf("%v, without it %v: %.2f times", after, before, float64(after)/float64(before)), "< 1.5 times"},
		{"the 100,000 after the vendor is back", fmt.Sprintf("all arrived, %.0f/s", waiting/time.Since(begun).Seconds()), ""},
	}, nil
}
