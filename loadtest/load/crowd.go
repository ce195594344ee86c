package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// crowd are the WebSocket clients. One whose node is gone goes to another.
type crowd struct {
	nodes   []*node
	truth   *truth
	token   func(context.Context) (string, error)
	clients []*wsclient.Client
	watch   *wsclient.Client // of integrations' states

	subscriptions int
	subscribed    atomic.Int64 // subscriptions that stand
	lost          atomic.Int64 // subscriptions that came back without all that they missed

	current []atomic.Pointer[held] // of each client, the last one
	mu      sync.Mutex
	conns   map[*held]bool
}

// held is a client's connection. The client's subscriptions stand while it does.
type held struct {
	net.Conn
	crowd *crowd
	node  int // that it is with
	stand atomic.Int64
	once  sync.Once
}

// Close implements net.Conn.
func (h *held) Close() error {
	h.once.Do(func() {
		h.crowd.mu.Lock()
		defer h.crowd.mu.Unlock()
		delete(h.crowd.conns, h)
		h.crowd.subscribed.Add(-h.stand.Swap(0))
	})
	return h.Conn.Close()
}

// gather connects all clients and has them subscribe.
func gather(ctx context.Context, nodes []*node, t *truth, token func(context.Context) (string, error)) (*crowd, error) {
	n := len(t.plan.people.channels)
	c := &crowd{
		nodes: nodes, truth: t, token: token, conns: map[*held]bool{},
		clients: make([]*wsclient.Client, n), current: make([]atomic.Pointer[held], n),
	}
	err := c.observe(ctx)
	g, joining := errgroup.WithContext(ctx)
	g.SetLimit(64) // that connect at once
	for i, channels := range t.plan.people.channels {
		c.subscriptions += len(channels)
		g.Go(func() error { return c.join(joining, i, channels) })
	}
	if err = errors.Join(err, g.Wait()); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *crowd) dial(ctx context.Context, i int) (*wsclient.Client, error) {
	first, err := url.Parse(c.nodes[0].url)
	if err != nil {
		return nil, err
	}
	cfg := wsclient.Config{
		URL:      strings.Replace(first.Scheme, "http", "ws", 1) + "://" + first.Host + first.Path + "/connection/websocket",
		MaxDelay: time.Second, DialTimeout: 15 * time.Second, CommandTimeout: 20 * time.Second,
		Network: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return c.open(ctx, network, i)
		},
	}
	if c.token != nil {
		cfg.NewToken = c.token
		if cfg.Token, err = c.token(ctx); err != nil {
			return nil, err
		}
	}
	return cfg.Dial(ctx)
}

// open connects with a client's own node, or with the next one that lives.
func (c *crowd) open(ctx context.Context, network string, i int) (net.Conn, error) {
	var d net.Dialer
	var last error
	for k := range c.nodes {
		at := (max(0, i) + k) % len(c.nodes)
		conn, err := d.DialContext(ctx, network, c.nodes[at].host)
		if err != nil {
			last = err
			continue
		}
		if i == observer {
			return conn, nil
		}
		return c.hold(conn, i, at), nil
	}
	return nil, last
}

// hold notes a client's connection with a node.
func (c *crowd) hold(conn net.Conn, i, at int) *held {
	h := &held{Conn: conn, crowd: c, node: at}
	c.current[i].Store(h)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[h] = true
	return h
}

// join connects a client and subscribes it to its channels.
func (c *crowd) join(ctx context.Context, i int, channels []string) error {
	client, err := c.dial(ctx, i)
	if err != nil {
		return fmt.Errorf("%s: %w", clientName(i), err)
	}
	c.clients[i] = client
	for _, channel := range channels {
		if _, err := client.Subscribe(ctx, wsclient.Subscribe{
			Channel: channel,
			Publication: func(p wsclient.Publication) {
				c.truth.saw(clientName(i), p.Channel, idIn(p.Data), p.Offset)
			},
			Subscribed: func(s wsclient.Subscribed) {
				if h := c.current[i].Load(); h != nil {
					h.stand.Add(1)
					c.subscribed.Add(1)
				}
				if s.WasRecovering && !s.Recovered {
					c.lost.Add(1)
				}
			},
			Lost: func(err error) {
				if !errors.Is(err, wsclient.ErrClosed) {
					c.truth.note(fmt.Sprintf("%s: %s ended: %v", clientName(i), channel, err))
				}
			},
		}); err != nil {
			return fmt.Errorf("%s: %w", clientName(i), err)
		}
	}
	return nil
}

// observer stands for the client that follows the integrations' states. It is with the first node, and no death
// concerns it: a pattern has no memory, so that it would miss what happens meanwhile.
const observer = -1

// observe follows the integrations' states.
func (c *crowd) observe(ctx context.Context) (err error) {
	if c.watch, err = c.dial(ctx, observer); err != nil {
		return err
	}
	_, err = c.watch.Subscribe(ctx, wsclient.Subscribe{Channel: "integration:health:*", Publication: func(p wsclient.Publication) {
		if h, ok := healthIn(p); ok {
			c.truth.turned(h)
		}
	}})
	return err
}

// cut resets all connections with a node, as its death does, and returns how many there were.
func (c *crowd) cut(at int) (n int) {
	c.mu.Lock()
	var all []*held
	for h := range c.conns {
		if h.node == at {
			all = append(all, h)
		}
	}
	c.mu.Unlock()
	for _, h := range all {
		if tcp, ok := h.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = h.Close()
	}
	return len(all)
}

// with counts the connections with a node.
func (c *crowd) with(at int) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range c.conns {
		if h.node == at {
			n++
		}
	}
	return n
}

// comeBack returns when nobody is with a node that died any more (-1: none did), and all subscriptions stand.
func (c *crowd) comeBack(ctx context.Context, dead int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.with(dead) > 0 || int(c.subscribed.Load()) < c.subscriptions {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *crowd) close() {
	var all sync.WaitGroup
	for _, client := range append(c.clients, c.watch) {
		if client != nil {
			all.Go(func() { _ = client.Close() })
		}
	}
	all.Wait()
}

// idIn is an event's id, which the log writes before all that others said (event.Event).
func idIn(data []byte) string {
	_, rest, _ := bytes.Cut(data, []byte(`"id":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}

// node is the name of the node that a client is with, or was.
func (c *crowd) node(client int) string {
	if h := c.current[client].Load(); h != nil {
		return c.nodes[h.node].name
	}
	return ""
}

func healthIn(p wsclient.Publication) (h event.Health, ok bool) {
	e, err := p.Event()
	if err != nil {
		return h, false
	}
	return h, json.Unmarshal(e.Payload, &h) == nil
}
