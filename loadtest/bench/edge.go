package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// audience is a number of subscribers that count what comes.
type audience struct {
	all      []*subscriber
	received atomic.Int64
	more     chan struct{} // something was received
}

func newAudience(addr string, size int, channel func(int) string) *audience {
	a := &audience{more: make(chan struct{}, 1)}
	for i := range size {
		a.all = append(a.all, &subscriber{addr: addr, channel: channel(i), take: a.count})
	}
	return a
}

var pushKey = []byte(`{"push"`)

func (a *audience) count(m []byte) {
	n := bytes.Count(m, pushKey)
	if n == 0 {
		return
	}
	a.received.Add(int64(n))
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// fanOut returns how many messages a second come to an audience.
func (a *audience) fanOut(ctx context.Context, addr string, links int, events, window int64, each int, channel func(int64) string) (float64, error) {
	p, err := newSpeakers(ctx, addr, links)
	if err != nil {
		return 0, err
	}
	defer p.close()
	if err := p.flood(ctx, events/10, window, each, channel, &a.received, a.more); err != nil { // to warm up
		return 0, err
	}
	a.received.Store(0)
	begun := time.Now()
	err = p.flood(ctx, events, window, each, channel, &a.received, a.more)
	return float64(events) * float64(each) / time.Since(begun).Seconds(), err
}

func oneChannel(int) string { return "bench:edge" }

func fewLarge(ctx context.Context, b *bench) ([]row, error) {
	return b.atNode(ctx, func(n *node, addr string) ([]row, error) {
		const size = 1000
		a := newAudience(addr, size, oneChannel)
		defer closeAll(a.all)
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		rate, err := a.fanOut(ctx, addr, 16, 6000, 128, size, func(int64) string { return oneChannel(0) })
		return []row{{"edge: 1 channel x 1,000 subscribers, 256 bytes", fmt.Sprintf("%.0f messages/s", rate), ">= 300,000/s"}}, err
	})
}

func manySmall(ctx context.Context, b *bench) ([]row, error) {
	return b.atNode(ctx, func(n *node, addr string) ([]row, error) {
		const channels, each = 1000, 10
		name := func(i int) string { return "bench:edge:" + strconv.Itoa(i%channels) }
		a := newAudience(addr, channels*each, name)
		defer closeAll(a.all)
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		rate, err := a.fanOut(ctx, addr, 64, 60_000, 2000, each, func(i int64) string { return name(int(i)) })
		return []row{{"edge: 1,000 channels x 10 subscribers, 256 bytes", fmt.Sprintf("%.0f messages/s", rate), ">= 45,000/s"}}, err
	})
}

// room is what 10,000 clients take. The node lets garbage grow to 300 MB before it collects any, which has nothing to
// do with clients: so this one is told to collect it sooner.
func room(ctx context.Context, b *bench) ([]row, error) {
	tidy := *b
	tidy.env = []string{"GOGC=50"}
	return tidy.atNode(ctx, func(n *node, addr string) ([]row, error) {
		empty, err := n.settled(ctx)
		if err != nil {
			return nil, err
		}
		a := newAudience(addr, crowded, oneChannel)
		defer closeAll(a.all)
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		full, err := n.settled(ctx)
		kb := (full - empty) * 1024 / crowded
		return []row{{"edge: memory of a subscribed client, at 10,000, GOGC=50", fmt.Sprintf("%.1f KB", kb), "<= 9 KB"}}, err
	})
}

const crowded = 10_000

// crowd is 10,000 clients: how fast they come, and how fast they are told.
func crowd(ctx context.Context, b *bench) ([]row, error) {
	return b.atNode(ctx, func(n *node, addr string) ([]row, error) {
		a := newAudience(addr, crowded, oneChannel)
		defer closeAll(a.all)
		begun := time.Now()
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		took := time.Since(begun)
		rate, err := a.fanOut(ctx, addr, 16, 500, 16, crowded, func(int64) string { return oneChannel(0) })
		return []row{
			{"edge: 1 channel x 10,000 subscribers, 256 bytes", fmt.Sprintf("%.0f messages/s", rate), ">= 250,000/s"},
			{"edge: 10,000 clients connect and subscribe", fmt.Sprintf("%.1f s", took.Seconds()), "< 4 s"},
		}, err
	})
}

// settled is the node's memory when it has not changed for a while.
func (n *node) settled(ctx context.Context) (float64, error) {
	select {
	case <-time.After(10 * time.Second):
		return n.rss()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// steady publishes 50 events a second to 1,000 subscribers, and measures each from the time that it was to be sent.
func steady(ctx context.Context, b *bench) ([]row, error) {
	return b.atNode(ctx, func(n *node, addr string) ([]row, error) {
		const size, events, gap = 1000, 500, 20 * time.Millisecond
		var mu sync.Mutex
		var took []time.Duration
		whole := make(chan struct{})
		marker := []byte(`"payload":{"at":`)
		a := newAudience(addr, size, oneChannel)
		defer closeAll(a.all)
		for _, s := range a.all {
			s.take = func(m []byte) {
				now := time.Now()
				for _, part := range bytes.Split(m, marker)[1:] {
					text, _, _ := bytes.Cut(part, []byte(","))
					at, err := strconv.ParseInt(string(text), 10, 64)
					if err != nil {
						continue
					}
					mu.Lock()
					if took = append(took, now.Sub(time.Unix(0, at))); len(took) == size*events {
						close(whole)
					}
					mu.Unlock()
				}
			}
		}
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		p, err := newSpeakers(ctx, addr, 4)
		if err != nil {
			return nil, err
		}
		defer p.close()
		g, gctx := errgroup.WithContext(ctx)
		begun := time.Now().Add(gap)
		for link := range p.links {
			g.Go(func() error {
				for i := link; i < events; i += len(p.links) {
					at := begun.Add(time.Duration(i) * gap)
					select {
					case <-time.After(time.Until(at)):
					case <-gctx.Done():
						return gctx.Err()
					}
					if err := p.publish(gctx, link, oneChannel(0), fmt.Sprintf(`"at":%d,%s`, at.UnixNano(), frame256)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		select {
		case <-whole:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d messages came: %w", len(took), size*events, ctx.Err())
		}
		slices.Sort(took)
		at := func(q float64) float64 { return float64(took[int(float64(len(took)-1)*q)].Microseconds()) / 1000 }
		return []row{{"edge: published to received, 1,000 subscribers, 50 events/s", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", at(.5), at(.99)), "p50 < 7, p99 < 15 ms"}}, nil
	})
}

// follower is a subscriber that holds what it got against what it should get.
type follower struct {
	subscriber
	mu     sync.Mutex
	offset uint64
	epoch  string
	next   int // number of the event that is to come
	wrong  error
	notify chan<- struct{}
}

func (f *follower) took(m []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range bytes.SplitSeq(m, []byte("\n")) {
		var r struct {
			Push      struct{ Pub *numbered }
			Subscribe *struct {
				Offset        uint64
				Epoch         string
				Recovered     bool
				WasRecovering bool `json:"was_recovering"`
				Publications  []*numbered
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			f.wrong = err
			continue
		}
		if s := r.Subscribe; s != nil {
			if s.WasRecovering && !s.Recovered {
				f.wrong = fmt.Errorf("not recovered: %.200s", line)
			}
			f.offset, f.epoch = s.Offset, s.Epoch
			for _, p := range s.Publications {
				f.got(p)
			}
		}
		if r.Push.Pub != nil {
			f.got(r.Push.Pub)
		}
	}
}

type numbered struct {
	Offset uint64
	Data   struct{ Payload struct{ N int } }
}

func (f *follower) got(p *numbered) {
	if n := p.Data.Payload.N; n != f.next {
		f.wrong = fmt.Errorf("event %d came where %d was to come", n, f.next)
	}
	f.next++
	f.offset = p.Offset
	f.notify <- struct{}{}
}

// storm kills the node under 10,000 clients, which all come back at once, and recover what came meanwhile.
func storm(ctx context.Context, b *bench) ([]row, error) {
	const size, before, missed, after = 10_000, 5, 20, 5
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	addr, err := n.address()
	if err != nil {
		return nil, err
	}
	came := make(chan struct{}, 1<<20)
	all := make([]*follower, size)
	var subscribers []*subscriber
	for i := range all {
		f := &follower{subscriber: subscriber{addr: addr, channel: oneChannel(0)}, notify: came}
		f.take = f.took
		all[i], subscribers = f, append(subscribers, &f.subscriber)
	}
	defer func() { closeAll(subscribers) }()
	published := 0
	publish := func(count int) error {
		p, err := newSpeakers(ctx, addr, 1)
		if err != nil {
			return err
		}
		defer p.close()
		for range count {
			if err := p.publish(ctx, 0, oneChannel(0), fmt.Sprintf(`"n":%d,%s`, published, frame256)); err != nil {
				return err
			}
			published++
		}
		return nil
	}
	await := func(messages int) error {
		for range messages {
			select {
			case <-came:
			case <-ctx.Done():
				return fmt.Errorf("not all events came: %w", ctx.Err())
			}
		}
		return nil
	}
	if err := connectAll(ctx, subscribers); err != nil {
		return nil, err
	}
	if err := publish(before); err != nil {
		return nil, err
	}
	if err := await(before * size); err != nil {
		return nil, err
	}
	n.Kill()
	closeAll(subscribers)
	if err := n.again(ctx, b); err != nil {
		return nil, err
	}
	if err := publish(missed); err != nil {
		return nil, err
	}
	begun := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(dials)
	g.Go(func() error { return publish(after) })
	for _, f := range all {
		g.Go(func() error {
			return f.connect(gctx, fmt.Sprintf(`,"recover":true,"offset":%d,"epoch":%q`, f.offset, f.epoch))
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := await((missed + after) * size); err != nil {
		return nil, err
	}
	took := time.Since(begun)
	for _, f := range all {
		f.mu.Lock()
		if f.wrong != nil || f.next != published {
			err = fmt.Errorf("a client got %d of %d events: %w", f.next, published, f.wrong)
		}
		f.mu.Unlock()
	}
	return []row{{"edge: 10,000 clients are back and current after a kill", fmt.Sprintf("%.1f s, nothing lost or repeated", took.Seconds()), "<= 10 s"}}, err
}

// atNode measures at a node of its own.
func (b *bench) atNode(ctx context.Context, measure func(n *node, addr string) ([]row, error)) ([]row, error) {
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	addr, err := n.address()
	if err != nil {
		return nil, err
	}
	return measure(n, addr)
}
