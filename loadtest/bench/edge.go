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
	"golang.org/x/sys/unix"
)

// audience is a number of subscribers that count what comes, and see that it comes in order, and once.
type audience struct {
	all      []*subscriber
	each     int64 // subscribers of a channel
	received atomic.Int64
	more     chan struct{} // another event is with all of its subscribers, in number
	wrong    atomic.Pointer[error]
}

// newAudience has seen, if it is not nil, called with what comes to each.
func newAudience(addr string, size, channels int, channel func(int) string, seen func(i int, push []byte)) *audience {
	a := &audience{each: int64(size / channels), more: make(chan struct{}, 1)}
	for i := range size {
		last := uint64(0)
		a.all = append(a.all, &subscriber{addr: addr, channel: channel(i), take: func(reply []byte) {
			if !bytes.HasPrefix(reply, pushKey) {
				return
			}
			offset := offsetOf(reply)
			if offset <= last {
				err := fmt.Errorf("after offset %d came %.300s", last, reply)
				a.wrong.Store(&err)
			}
			last = offset
			if seen != nil {
				seen(i, reply)
			}
			a.count()
		}})
	}
	return a
}

var pushKey = []byte(`{"push"`)

// offsetOf returns the offset of a publication, which is what a push of one ends with; 0: there is none.
func offsetOf(push []byte) (offset uint64) {
	end := bytes.TrimRight(push, "}")
	n, _ := strconv.ParseUint(string(end[bytes.LastIndexByte(end, ':')+1:]), 10, 64)
	return n
}

func (a *audience) count() {
	if a.received.Add(1)%a.each != 0 {
		return
	}
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// await waits until as many events, in number, are with all of their subscribers.
func (a *audience) await(ctx context.Context, events int64) error {
	for a.received.Load() < events*a.each {
		select {
		case <-a.more:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages came: %w", a.received.Load(), events*a.each, ctx.Err())
		}
	}
	return nil
}

// fanOut returns how many messages a second come to an audience.
func (a *audience) fanOut(ctx context.Context, addr string, links int, events, window int64, channel func(int64) string) (float64, error) {
	p, err := newSpeakers(ctx, addr, links)
	if err != nil {
		return 0, err
	}
	defer p.close()
	if err := p.flood(ctx, events/10, window, channel, a); err != nil { // to warm up
		return 0, err
	}
	a.received.Store(0)
	begun := time.Now()
	if err := p.flood(ctx, events, window, channel, a); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	if err := a.wrong.Load(); err != nil {
		return 0, *err
	}
	return float64(events*a.each) / took.Seconds(), nil
}

func oneChannel(int) string { return "bench:edge" }

func fewLarge(ctx context.Context, b *bench) ([]row, error) {
	return b.atNode(ctx, func(n *node, addr string) ([]row, error) {
		const size = 1000
		a := newAudience(addr, size, 1, oneChannel, nil)
		defer closeAll(a.all)
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		rate, err := a.fanOut(ctx, addr, 16, 6000, 128, func(int64) string { return oneChannel(0) })
		return []row{{"edge: 1 channel x 1,000 subscribers, 256 bytes", fmt.Sprintf("%.0f messages/s", rate), ">= 300,000/s"}}, err
	})
}

func manySmall(ctx context.Context, b *bench) ([]row, error) {
	return b.atNode(ctx, func(n *node, addr string) ([]row, error) {
		const channels, each = 1000, 10
		name := func(i int) string { return "bench:edge:" + strconv.Itoa(i%channels) }
		a := newAudience(addr, channels*each, channels, name, nil)
		defer closeAll(a.all)
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		rate, err := a.fanOut(ctx, addr, 64, 60_000, 2000, func(i int64) string { return name(int(i)) })
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
		a := newAudience(addr, crowded, 1, oneChannel, nil)
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
		a := newAudience(addr, crowded, 1, oneChannel, nil)
		defer closeAll(a.all)
		begun := time.Now()
		if err := connectAll(ctx, a.all); err != nil {
			return nil, err
		}
		took := time.Since(begun)
		rate, err := a.fanOut(ctx, addr, 16, 500, 16, func(int64) string { return oneChannel(0) })
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
		var took [size][]time.Duration
		marker := []byte(`"payload":{"at":`)
		a := newAudience(addr, size, 1, oneChannel, func(i int, push []byte) {
			_, text, _ := bytes.Cut(push, marker)
			text, _, _ = bytes.Cut(text, []byte(","))
			at, _ := strconv.ParseInt(string(text), 10, 64)
			took[i] = append(took[i], time.Since(time.Unix(0, at)))
		})
		defer closeAll(a.all)
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
					wait(time.Until(at))
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
		if err := a.await(ctx, events); err != nil {
			return nil, err
		}
		all := slices.Concat(took[:]...)
		slices.Sort(all)
		at := func(q float64) float64 { return float64(all[int(float64(len(all)-1)*q)].Microseconds()) / 1000 }
		return []row{{"edge: published to received, 1,000 subscribers, 50 events/s", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", at(.5), at(.99)), "p50 < 7, p99 < 15 ms"}}, nil
	})
}

// wait waits to some 0.1 ms. Timers of Go may be late by one, which is much of what is measured.
func wait(d time.Duration) {
	if d > 0 {
		left := unix.NsecToTimeval(d.Nanoseconds())
		_, _ = unix.Select(0, nil, nil, nil, &left)
	}
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

func (f *follower) took(reply []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
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
	if err := json.Unmarshal(reply, &r); err != nil {
		f.wrong = err
		return
	}
	if s := r.Subscribe; s != nil {
		if s.WasRecovering && !s.Recovered {
			f.wrong = fmt.Errorf("not recovered: %.200s", reply)
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
