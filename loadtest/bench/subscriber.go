package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// subscriber is a WebSocket client that does as little as can be done for each message, so that the processors that
// it shares with the node are the node's.
type subscriber struct {
	addr    string // host:port of the node
	channel string
	take    func(frames []byte) // what came in one message: replies, one a line
	conn    net.Conn
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
	s.conn = conn
	_, err = fmt.Fprintf(conn, "GET /connection/websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.addr)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 1<<10)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the node answered %s", resp.Status)
	}
	subscribed := make(chan error, 1)
	go s.read(in, subscribed)
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
	subscribedKey = []byte(`{"id":2`)
	pingFirst     = []byte("{}\n")
)

// read gives each message to take, answers pings, and tells when the client is subscribed.
func (s *subscriber) read(in io.Reader, subscribed chan<- error) {
	r := bufio.NewReaderSize(in, 1<<10)
	var buf []byte
	for {
		m, err := nextMessage(r, buf)
		if err != nil {
			select {
			case subscribed <- err:
			default:
			}
			return
		}
		buf = m[:0]
		if cap(buf) > 64<<10 {
			buf = nil
		}
		if bytes.Equal(m, ping) || bytes.Contains(m, pingLine) || bytes.HasPrefix(m, pingFirst) {
			_ = s.send("{}")
		}
		s.take(m)
		if bytes.Contains(m, subscribedKey) {
			if bytes.Contains(m, []byte(`"error"`)) {
				err = fmt.Errorf("refused: %.200s", m)
			}
			select {
			case subscribed <- err:
			default:
			}
		}
	}
}

// nextMessage reads one message of the node, which are single frames.
func nextMessage(r *bufio.Reader, buf []byte) ([]byte, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return nil, err
	}
	opcode, n := h[0]&0x0f, uint64(h[1]&0x7f)
	switch n {
	case 126:
		if _, err := io.ReadFull(r, h[:2]); err != nil {
			return nil, err
		}
		n = uint64(binary.BigEndian.Uint16(h[:2]))
	case 127:
		if _, err := io.ReadFull(r, h[:8]); err != nil {
			return nil, err
		}
		n = binary.BigEndian.Uint64(h[:8])
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	if opcode == 8 {
		return nil, fmt.Errorf("closed: %q", buf)
	}
	return buf, nil
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
		s := &subscriber{addr: addr, channel: "bench:speaker", take: func(m []byte) {
			if bytes.Contains(m, []byte(`{"id":3`)) {
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
// with every subscriber; received counts the messages that came to all, each of an event to each of subscribers.
func (p *speakers) flood(ctx context.Context, events, window int64, subscribers int, channel func(int64) string, received *atomic.Int64, more <-chan struct{}) error {
	var sent atomic.Int64
	var gate sync.Mutex // one waits for the window, the others for it
	g, flooding := errgroup.WithContext(ctx)
	for link := range p.links {
		g.Go(func() error {
			for {
				gate.Lock()
				for sent.Load()-received.Load()/int64(subscribers) >= window {
					select {
					case <-more:
					case <-flooding.Done():
						gate.Unlock()
						return flooding.Err()
					}
				}
				i := sent.Add(1)
				gate.Unlock()
				if i > events {
					return nil
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
	for want := events * int64(subscribers); received.Load() < want; {
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages came: %w", received.Load(), want, ctx.Err())
		}
	}
	return nil
}
