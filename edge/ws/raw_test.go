package ws_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/edge/ws"
)

// rawConn speaks WebSocket and the protocol by hand, so that tests see every frame.
type rawConn struct {
	tb      testing.TB
	conn    net.Conn
	br      *bufio.Reader
	replies []*protocol.Reply // read, not yet taken
	joined  []int             // frames in each message read
	id      uint32
}

// closedError is the close frame that ended a connection.
type closedError struct {
	code   uint16
	reason string
}

func (e *closedError) Error() string { return fmt.Sprintf("closed with %d %q", e.code, e.reason) }

// dialRaw opens a WebSocket; query is what follows the path.
func dialRaw(tb testing.TB, addr string, query ...string) *rawConn {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", ws.Path+strings.Join(query, ""), addr)
	if err != nil {
		tb.Fatal(err)
	}
	br := bufio.NewReaderSize(conn, 64<<10)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("handshake: %s", resp.Status)
	}
	return &rawConn{tb: tb, conn: conn, br: br}
}

// frame masks a payload with zeros, which leaves it as it is.
func frame(opcode byte, payload string) []byte {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func (c *rawConn) send(text string) {
	c.tb.Helper()
	if _, err := c.conn.Write(frame(1, text)); err != nil {
		c.tb.Fatal(err)
	}
}

// readMessage returns the next data message, or the *closedError that ended the connection.
func (c *rawConn) readMessage() ([]byte, error) {
	for {
		var h [2]byte
		if _, err := io.ReadFull(c.br, h[:]); err != nil {
			return nil, err
		}
		n := uint64(h[1] & 0x7f)
		switch n {
		case 126:
			var b [2]byte
			if _, err := io.ReadFull(c.br, b[:]); err != nil {
				return nil, err
			}
			n = uint64(binary.BigEndian.Uint16(b[:]))
		case 127:
			var b [8]byte
			if _, err := io.ReadFull(c.br, b[:]); err != nil {
				return nil, err
			}
			n = binary.BigEndian.Uint64(b[:])
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(c.br, payload); err != nil {
			return nil, err
		}
		switch h[0] & 0x0f {
		case 1, 2:
			return payload, nil
		case 8:
			if len(payload) < 2 {
				return nil, &closedError{}
			}
			return nil, &closedError{binary.BigEndian.Uint16(payload), string(payload[2:])}
		case 10:
			c.replies = append(c.replies, &protocol.Reply{Push: &protocol.Push{Message: &protocol.Message{Data: payload}}})
			return nil, nil
		}
	}
}

// next returns the next reply or push.
func (c *rawConn) next() (*protocol.Reply, error) {
	for len(c.replies) == 0 {
		m, err := c.readMessage()
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue
		}
		lines := bytes.Split(m, []byte("\n"))
		c.joined = append(c.joined, len(lines))
		for _, line := range lines {
			r := new(protocol.Reply)
			if err := json.Unmarshal(line, r); err != nil {
				return nil, fmt.Errorf("reply %q: %w", line, err)
			}
			c.replies = append(c.replies, r)
		}
	}
	r := c.replies[0]
	c.replies = c.replies[1:]
	return r, nil
}

func (c *rawConn) mustNext() *protocol.Reply {
	c.tb.Helper()
	r, err := c.next()
	if err != nil {
		c.tb.Fatal(err)
	}
	return r
}

// do sends a command and returns its reply; pushes that come before are given to seen.
func (c *rawConn) do(command string, seen ...func(*protocol.Push)) *protocol.Reply {
	c.tb.Helper()
	c.id++
	c.send(fmt.Sprintf(`{"id":%d,%s}`, c.id, command))
	for {
		r := c.mustNext()
		if r.Id == c.id {
			return r
		}
		if r.Push != nil && len(seen) > 0 {
			seen[0](r.Push)
		}
	}
}

func (c *rawConn) ok(command string) *protocol.Reply {
	c.tb.Helper()
	r := c.do(command)
	if r.Error != nil {
		c.tb.Fatalf("%s: error %d %s", command, r.Error.Code, r.Error.Message)
	}
	return r
}

func (c *rawConn) connect(token string) *protocol.ConnectResult {
	c.tb.Helper()
	return c.ok(fmt.Sprintf(`"connect":{"token":%q}`, token)).Connect
}

func (c *rawConn) subscribe(channel string) *protocol.SubscribeResult {
	c.tb.Helper()
	return c.ok(fmt.Sprintf(`"subscribe":{"channel":%q}`, channel)).Subscribe
}

func (c *rawConn) recover(channel string, offset uint64, epoch string) *protocol.SubscribeResult {
	c.tb.Helper()
	return c.ok(fmt.Sprintf(`"subscribe":{"channel":%q,"recover":true,"offset":%d,"epoch":%q}`, channel, offset, epoch)).Subscribe
}

// wantClose reads until the connection is closed, and checks the code.
func (c *rawConn) wantClose(code ws.CloseCode) {
	c.tb.Helper()
	for {
		_, err := c.next()
		if err == nil {
			continue
		}
		var closed *closedError
		if !errors.As(err, &closed) {
			c.tb.Fatalf("connection ended with %v; want close code %d", err, code)
		}
		if closed.code != uint16(code) || !strings.Contains(closed.reason, code.Reason()) {
			c.tb.Fatalf("%v; want %d %q", closed, code, code.Reason())
		}
		return
	}
}

func dialConnected(tb testing.TB, n *node, token string) *rawConn {
	tb.Helper()
	c := dialRaw(tb, n.addr)
	c.connect(token)
	return c
}
