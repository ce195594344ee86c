package ws

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"syscall"
)

// pipe is the connection of a WebSocket. Frames that are written to it do not mix.
type pipe struct {
	net.Conn
	socket syscall.RawConn // nil: it has none, as with TLS
	mu     sync.Mutex      // held while a frame is written
}

func newPipe(conn net.Conn) *pipe {
	p := &pipe{Conn: conn}
	if c, ok := conn.(syscall.Conn); ok {
		p.socket, _ = c.SyscallConn() // else nil
	}
	return p
}

// readBuffer is enough for the messages of most clients. Larger ones are not read through it.
const readBuffer = 512

// reader returns a reader for the connection, beginning with what the HTTP server's has read too much. That one
// would keep all that belongs to the request for as long as the connection lasts, some 12 KiB.
func (p *pipe) reader(last *bufio.Reader) *bufio.Reader {
	n := last.Buffered()
	if n == 0 {
		return bufio.NewReaderSize(p, readBuffer)
	}
	ahead, _ := last.Peek(n) // which is there
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), p), readBuffer)
}

// Read reads from the socket, as the connection's does, on some 60 bytes less of the stack. With those, a goroutine
// that waits for a client would not get by with the 2 KiB that it begins with, and have 4 for as long as the client
// stays.
func (p *pipe) Read(b []byte) (int, error) {
	if p.socket == nil {
		return p.Conn.Read(b)
	}
	var n int
	var failed error
	ended := p.socket.Read(func(fd uintptr) bool {
		for {
			n, failed = syscall.Read(int(fd), b)
			if failed != syscall.EINTR {
				return failed != syscall.EAGAIN
			}
		}
	})
	switch {
	case ended != nil:
		return 0, ended
	case failed != nil:
		return 0, failed
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes a frame and waits until the peer has room for it.
func (p *pipe) Write(frame []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Conn.Write(frame)
}

// offer writes as much of a frame as the peer has room for. If that is not all, rest waits and writes what is left,
// which nothing else comes before; it has to be called, once.
func (p *pipe) offer(frame []byte) (rest func() error, err error) {
	if p.socket == nil || !p.mu.TryLock() {
		return func() error {
			_, err := p.Write(frame)
			return err
		}, nil
	}
	n, err := p.writeNow(frame)
	if err == nil && n < len(frame) {
		return func() error {
			defer p.mu.Unlock()
			_, err := p.Conn.Write(frame[n:])
			return err
		}, nil
	}
	p.mu.Unlock()
	return nil, err
}

func (p *pipe) writeNow(b []byte) (n int, err error) {
	ended := p.socket.Control(func(fd uintptr) {
		n, err = syscall.Write(int(fd), b)
	})
	switch {
	case ended != nil:
		return 0, ended
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return 0, nil
	}
	return n, err
}
