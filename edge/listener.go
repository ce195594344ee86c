package edge

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/edge/problem"
)

// limited is a listener that answers what comes beyond a number of connections with a 503 at once,
// where one that only stops accepting would leave clients waiting for nothing.
type limited struct {
	net.Listener
	max     int64
	open    atomic.Int64
	metrics metrics
}

func newLimited(l net.Listener, most int, m metrics) *limited {
	return &limited{Listener: l, max: int64(most), metrics: m}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			l.metrics.conns.Inc()
			return &counted{Conn: c, l: l}, nil
		}
		l.open.Add(-1)
		l.metrics.problems.WithLabelValues(problem.TooManyConnections).Inc()
		turnAway(c)
	}
}

// turnAway says no without reading. A fresh connection has room for so few bytes; the deadline is for
// one that has not.
func turnAway(c net.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = c.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Type: " +
		problem.ContentType + "\r\n\r\n" + `{"type":"/api/problems#too_many_connections","title":"Too many connections",` +
		`"status":503,"code":"too_many_connections","retryAfter":5}` + "\n"))
	_ = c.Close()
}

type counted struct {
	net.Conn
	l    *limited
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() {
		c.l.open.Add(-1)
		c.l.metrics.conns.Dec()
	})
	return c.Conn.Close()
}
