package edge

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/wedsync/wedsync/edge/problem"
)

// limited is a listener that knows which connections are more than the server wants. Those are
// accepted all the same, for the guard to answer their first request with a problem: a client that is
// not accepted waits for nothing, and one that is cut off tries again at once. Beyond a quarter more
// there is no time even for that.
type limited struct {
	net.Listener
	most    int64
	open    atomic.Int64
	metrics metrics
}

func newLimited(l net.Listener, most int, m metrics) *limited {
	return &limited{Listener: l, most: int64(most), metrics: m}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		open := l.open.Add(1)
		if open <= l.most+max(l.most/4, 16) {
			l.metrics.conns.Inc()
			return &counted{Conn: c, l: l, excess: open > l.most}, nil
		}
		l.open.Add(-1)
		l.metrics.problems.WithLabelValues(problem.TooManyConnections).Inc()
		_ = c.Close()
	}
}

type counted struct {
	net.Conn
	l      *limited
	excess bool
	idle   bool // between two requests; its server's goroutine alone asks
	once   sync.Once
}

var _ syscall.Conn = (*counted)(nil)

func (c *counted) Close() error {
	c.once.Do(func() {
		c.l.open.Add(-1)
		c.l.metrics.conns.Dec()
	})
	return c.Conn.Close()
}

// SyscallConn implements syscall.Conn, for who takes the connection over.
func (c *counted) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}

type excessKey struct{}

// markExcess is http.Server.ConnContext.
func markExcess(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*counted); ok && c.excess {
		return context.WithValue(ctx, excessKey{}, true)
	}
	return ctx
}

func isExcess(ctx context.Context) bool { return ctx.Value(excessKey{}) != nil }
