package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// vendor takes every signed webhook and notes when it came. It reads no more of HTTP/1.1 than it has to,
// so that what is measured is the node and not it.
type vendor struct {
	url      string
	listener net.Listener
	taken    atomic.Int64
	broken   atomic.Bool // paths under /stuck are answered 503
	mu       sync.Mutex
	arrived  map[string]time.Time // by event id; nil: not noted
	conns    map[net.Conn]struct{}
	serving  sync.WaitGroup
	wake     chan struct{}
}

func startVendor(ctx context.Context, note bool) (*vendor, error) {
	v := &vendor{wake: make(chan struct{}, 1), conns: map[net.Conn]struct{}{}}
	if note {
		v.arrived = map[string]time.Time{}
	}
	var lc net.ListenConfig
	var err error
	if v.listener, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	v.url = "http://" + v.listener.Addr().String()
	v.serving.Go(v.accept)
	return v, nil
}

// accept serves each connection until close.
func (v *vendor) accept() {
	for {
		c, err := v.listener.Accept()
		if err != nil {
			return
		}
		v.mu.Lock()
		v.conns[c] = struct{}{}
		v.mu.Unlock()
		v.serving.Go(func() { v.serve(c) })
	}
}

func (v *vendor) close() {
	_ = v.listener.Close()
	v.mu.Lock()
	for c := range v.conns {
		_ = c.Close()
	}
	v.mu.Unlock()
	v.serving.Wait()
}

var (
	taken   = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	stuckUp = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
	unknown = []byte("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
)

func (v *vendor) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		v.mu.Lock()
		delete(v.conns, c)
		v.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		m, err := readMessage(r, "Webhook-Signature", "Wedsync-Event-Id")
		if err != nil {
			return
		}
		if _, err := c.Write(v.answer(m)); err != nil {
			return
		}
	}
}

func (v *vendor) answer(m message) []byte {
	now := time.Now()
	switch {
	case m.fields[0] == "":
		return unknown
	case bytes.HasPrefix(m.start, []byte("POST /stuck")) && v.broken.Load():
		return stuckUp
	case v.arrived != nil:
		v.mu.Lock()
		v.arrived[m.fields[1]] = now
		v.mu.Unlock()
	}
	v.taken.Add(1)
	select {
	case v.wake <- struct{}{}:
	default:
	}
	return taken
}

// message is an HTTP/1.1 request or answer with a length, as far as these measurements need it. It is good
// until the next one is read.
type message struct {
	start  []byte    // its first line
	fields [2]string // of the header fields asked for
}

// readMessage reads a message and drops its body. Names are as they are sent.
func readMessage(r *bufio.Reader, names ...string) (m message, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return m, err
	}
	m.start = append(m.start, bytes.TrimRight(line, "\r\n")...)
	length := 0
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return m, err
		}
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		if !ok {
			break
		}
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return m, err
			}
		}
		for i, n := range names {
			if string(name) == n {
				m.fields[i] = string(value)
			}
		}
	}
	_, err = r.Discard(length)
	return m, err
}

// wait returns when so many have been taken.
func (v *vendor) wait(ctx context.Context, count int64) error {
	for v.taken.Load() < count {
		select {
		case <-v.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (v *vendor) at(id string) (time.Time, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at, ok := v.arrived[id]
	return at, ok
}

// publisher is one connection to a node, over which events are published one after the other.
type publisher struct {
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
	head string // of a request, from its path's end on
}

func (n *node) publisher() (*publisher, error) {
	addr, err := n.address()
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", addr) //nolint:noctx // loopback
	if err != nil {
		return nil, err
	}
	return &publisher{
		conn: conn, in: bufio.NewReader(conn),
		head: " HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + n.api.Key + "\r\nContent-Type: application/json\r\nContent-Length: ",
	}, nil
}

func (p *publisher) publish(supplier, lane, id string) error {
	body := eventBody(id)
	p.out.Reset()
	fmt.Fprintf(&p.out, "POST /api/channels/supplier:dashboard:%s:%s/publish%s%d\r\n\r\n%s", supplier, lane, p.head, len(body), body)
	if _, err := p.conn.Write(p.out.Bytes()); err != nil {
		return err
	}
	m, err := readMessage(p.in)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && !bytes.HasPrefix(m.start, []byte("HTTP/1.1 202 ")) {
		err = fmt.Errorf("publishing %s: %s", id, m.start)
	}
	return err
}
