package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// subscriber is a WebSocket client that does as little as can be done for each message, so that the processors that
// it shares with the node are the node's.
type subscriber struct {
	addr    string // host:port of the node
	channel string
	take    func(reply []byte) // is called with each
	conn    *net.TCPConn
}

// dials is how many connections are opened at once.
const dials = 256

// connectAll connects and subscribes clients; each is subscribed when it returns.
func connectAll(ctx context.Context, all []*subscriber) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(dials)
	for _, s := range all {
		g.Go(func() error { return s.connect(ctx, "") })
	}
	return g.Wait()
}

// connect opens a connection, subscribes, with more fields of the command, and goes on reading in the background.
func (s *subscriber) connect(ctx context.Context, more string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	s.conn = conn.(*net.TCPConn) //nolint:errcheck // it is nothing else
	_, err = fmt.Fprintf(conn, "GET /connection/websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.addr)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil) // behind which nothing comes unasked
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the node answered %s", resp.Status)
	}
	subscribed := make(chan error, 2) // the answer, and the connection's end
	go func() { subscribed <- s.read(func(err error) { subscribed <- err }) }()
	if err := s.send(fmt.Sprintf(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":%q%s}}`, s.channel, more)); err != nil {
		return err
	}
	select {
	case err := <-subscribed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send writes a text message, masked with zeros, which leaves it as it is.
func (s *subscriber) send(text string) error {
	b := []byte{0x81, 0x80 | byte(len(text))}
	if len(text) > 125 {
		b = binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(text)))
	}
	_, err := s.conn.Write(append(append(b, 0, 0, 0, 0), text...))
	return err
}

var (
	pingReply     = []byte("{}")
	subscribedKey = []byte(`{"id":2`)
	errorKey      = []byte(`"error"`)
	publishedKey  = []byte(`{"id":3`)
	lineEnd       = []byte{'\n'}
)

// buffers are lent to subscribers while they read: ten thousand wait most of the time. Each takes a message and more:
// the node joins up to 64 KiB.
var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// read takes what comes until the connection ends. Each time that something has come it reads once, where net.Conn's
// Read would ask the kernel a second time to learn that there is no more.
func (s *subscriber) read(subscribed func(error)) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var part []byte // of a message
	err = raw.Read(func(fd uintptr) bool {
		buf := buffers.Get().(*[128 << 10]byte) //nolint:errcheck // it is nothing else
		defer buffers.Put(buf)
		for {
			had := copy(buf[:], part)
			n, failed := syscall.Read(int(fd), buf[had:])
			switch {
			case failed == syscall.EINTR:
				continue
			case failed == syscall.EAGAIN:
				return false
			case failed != nil, n == 0:
				err = cmp.Or[error](failed, io.EOF)
				return true
			}
			rest, closed := s.messages(buf[:had+n], subscribed)
			if err = closed; err != nil {
				return true
			}
			part = append(part[:0], rest...)
			if had+n < len(buf) {
				return false // that was all
			}
		}
	})
	return err
}

// messages takes the replies of each whole message and returns what is left.
func (s *subscriber) messages(b []byte, subscribed func(error)) (rest []byte, err error) {
	for {
		m, after, whole := cutMessage(b)
		if !whole {
			return b, nil
		}
		if b[0]&0x0f == 8 {
			return nil, fmt.Errorf("closed: %q", m)
		}
		b = after
		for reply := range bytes.SplitSeq(m, lineEnd) {
			switch {
			case bytes.Equal(reply, pingReply):
				_ = s.send("{}")
			case bytes.HasPrefix(reply, subscribedKey):
				if bytes.Contains(reply, errorKey) {
					err = fmt.Errorf("refused: %.200s", reply)
				}
				subscribed(err)
			}
			s.take(reply)
		}
	}
}

// cutMessage cuts off the first message of the node, whose messages are single frames (RFC 6455 section 5.2).
func cutMessage(b []byte) (m, rest []byte, whole bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	head, size := 2, uint64(b[1]&0x7f)
	switch {
	case size == 126 && len(b) >= 4:
		head, size = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case size == 127 && len(b) >= 10:
		head, size = 10, binary.BigEndian.Uint64(b[2:])
	case size >= 126:
		return nil, b, false
	}
	if uint64(len(b)-head) < size {
		return nil, b, false
	}
	return b[head:][:size], b[head:][size:], true
}

func closeAll(all []*subscriber) {
	for _, s := range all {
		if s.conn != nil {
			_ = s.conn.Close()
		}
	}
}

// speakers publish over WebSockets, one event after the other on each connection.
type speakers struct {
	links []*subscriber
	done  []chan struct{} // of the command under way, by link
}

func newSpeakers(ctx context.Context, addr string, links int) (*speakers, error) {
	p := &speakers{}
	for range links {
		done := make(chan struct{}, 1)
		s := &subscriber{addr: addr, channel: "bench:speaker", take: func(reply []byte) {
			if bytes.HasPrefix(reply, publishedKey) {
				done <- struct{}{}
			}
		}}
		if err := s.connect(ctx, ""); err != nil {
			p.close()
			return nil, err
		}
		p.links, p.done = append(p.links, s), append(p.done, done)
	}
	return p, nil
}

func (p *speakers) close() { closeAll(p.links) }

// frame256 are the fields of an event that makes a message of about 256 bytes of payload.
var frame256 = `"text":"` + strings.Repeat("x", 240) + `"`

// publish publishes an event on a link and returns when the log has it.
func (p *speakers) publish(ctx context.Context, link int, channel, fields string) error {
	err := p.links[link].send(fmt.Sprintf(`{"id":3,"publish":{"channel":%q,"data":{"type":"bench.frame","payload":{%s}}}}`, channel, fields))
	if err != nil {
		return err
	}
	select {
	case <-p.done[link]:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flood publishes events, channel by channel in turn, on all links, as long as no more than window of them are not
// with every subscriber, and returns when all are.
func (p *speakers) flood(ctx context.Context, events, window int64, channel func(int64) string, to *audience) error {
	var sent atomic.Int64
	var gate sync.Mutex // one waits for the window, the others for it
	g, flooding := errgroup.WithContext(ctx)
	for link := range p.links {
		g.Go(func() error {
			for {
				gate.Lock()
				i := sent.Add(1)
				err := to.await(flooding, i-window)
				gate.Unlock()
				if err != nil || i > events {
					return err
				}
				if err := p.publish(flooding, link, channel(i), frame256); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return to.await(ctx, events)
}
