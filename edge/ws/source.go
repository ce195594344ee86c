package ws

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"syscall"
)

// readBuffer is enough for the messages of most clients. Larger ones are not read through it.
const readBuffer = 512

// readerOf returns a reader for the connection, beginning with what the HTTP server's has read too much. That one
// would keep all that belongs to the request for as long as the connection lasts, some 12 KiB.
func readerOf(conn net.Conn, last *bufio.Reader) *bufio.Reader {
	in := sourceOf(conn)
	n := last.Buffered()
	if n == 0 {
		return bufio.NewReaderSize(in, readBuffer)
	}
	ahead, _ := last.Peek(n) // which is there
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), in), readBuffer)
}

// source reads from a socket, as its connection's Read does, on some 60 bytes less of the stack. With those, a
// goroutine that waits for a client would not get by with the 2 KiB that it begins with, and have 4 for as long as
// the client stays.
type source struct{ socket syscall.RawConn }

func sourceOf(conn net.Conn) io.Reader {
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return source{raw}
		}
	}
	return conn
}

// Read implements io.Reader.
func (s source) Read(b []byte) (int, error) {
	var n int
	var failed error
	ended := s.socket.Read(func(fd uintptr) bool {
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
