package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"
	"golang.org/x/sync/errgroup"
)

// reader is a subscriber that counts what is pushed to it and no more.
type reader struct {
	gws.BuiltinEventHandler
	subscribed chan struct{}
	failed     chan error
	total      *atomic.Int64
	wake       chan struct{}
}

var (
	push     = []byte(`"push"`)
	ping     = []byte(`{}`) // and its answer
	pingLine = []byte("\n{}")
)

// OnMessage counts the pushes in a message, which may hold several replies, and answers pings.
func (r *reader) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	data := m.Bytes()
	if bytes.Contains(data, []byte(`"subscribe"`)) {
		close(r.subscribed)
		return
	}
	if bytes.HasPrefix(data, ping) || bytes.Contains(data, pingLine) {
		_ = c.WriteMessage(gws.OpcodeText, ping)
	}
	if n := bytes.Count(data, push); n > 0 {
		r.total.Add(int64(n))
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// OnClose tells that the node ended the connection.
func (r *reader) OnClose(_ *gws.Conn, err error) {
	select {
	case r.failed <- err:
	default:
	}
}

// fanout publishes to a channel with 1,000 subscribers.
func fanout(ctx context.Context, b *bench) ([]row, error) {
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	const subscribers, round, warm, messages = 1_000, 400, 400, 6_000
	var total atomic.Int64
	wake, failed := make(chan struct{}, 1), make(chan error, 1)
	var ends []func()
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for range subscribers {
		end, err := subscribe(ctx, n, &reader{subscribed: make(chan struct{}), total: &total, wake: wake, failed: failed})
		if err != nil {
			return nil, err
		}
		ends = append(ends, end)
	}
	until := func(want int64) error {
		for total.Load() < want {
			select {
			case <-wake:
			case err := <-failed:
				return fmt.Errorf("a subscriber was cut off: %w", err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	// In rounds, so that nobody is cut off for falling behind what these two processors can do.
	rounds := func(from, count int64) error {
		for i := from; i < from+count; i += round {
			if err := publishFrames(ctx, n, i, round); err != nil {
				return err
			}
			if err := until((i + round/2) * subscribers); err != nil {
				return err
			}
		}
		return until((from + count) * subscribers)
	}
	if err := rounds(0, warm); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := rounds(warm, messages); err != nil {
		return nil, err
	}
	return []row{{"1 channel x 1,000 subscribers, 256 bytes", fmt.Sprintf("%.0f messages/s", messages*subscribers/time.Since(begun).Seconds()), ">= 200,000/s"}}, nil
}

// subscribe connects a reader and returns when it is subscribed; end closes its connection.
func subscribe(ctx context.Context, n *node, r *reader) (end func(), err error) {
	conn, _, err := gws.NewClient(r, &gws.ClientOption{Addr: n.WebSocketURL()})
	if err != nil {
		return nil, err
	}
	end = func() { _ = conn.NetConn().Close() }
	go conn.ReadLoop()
	for _, command := range []string{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{"channel":"bench:fanout"}}`} {
		if err := conn.WriteString(command); err != nil {
			end()
			return nil, err
		}
	}
	select {
	case <-r.subscribed:
		return end, nil
	case <-ctx.Done():
		end()
		return nil, ctx.Err()
	}
}

// publishFrames publishes events of 256 bytes, numbered from a number on, 16 at once.
func publishFrames(ctx context.Context, n *node, from, count int64) error {
	filler, err := json.Marshal(strings.Repeat("x", 230))
	if err != nil {
		return err
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range 16 {
		g.Go(func() error {
			for i := next.Add(1); i <= count; i = next.Add(1) {
				body := `{"id":"m` + strconv.FormatInt(from+i, 10) + `","type":"bench.frame","payload":{"text":` + string(filler) + `}}`
				if err := n.api.Publish(ctx, "bench:fanout", []byte(body)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
