package journal_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
)

// link is a way to a NATS server that can be held up in either direction, as it is for a process that is
// stopped, or behind a partition. What is sent meanwhile arrives later.
type link struct {
	tb       testing.TB
	listener net.Listener
	target   string
	up, down gate
	mu       sync.Mutex
	conns    []net.Conn
	tasks    sync.WaitGroup
}

type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil: it is
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
}

func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open != nil {
		<-open
	}
}

func newLink(tb testing.TB, n *natsServer) *link {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &link{tb: tb, listener: listener, target: strings.TrimPrefix(n.url(), "nats://")}
	l.tasks.Go(l.serve)
	tb.Cleanup(l.close)
	return l
}

func (l *link) url() string { return "nats://" + l.listener.Addr().String() }

func (l *link) serve() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(l.tb.Context(), "tcp", l.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l.mu.Lock()
		l.conns = append(l.conns, client, server)
		l.mu.Unlock()
		l.tasks.Go(func() { forward(server, client, &l.up) })
		l.tasks.Go(func() { forward(client, server, &l.down) })
	}
}

func forward(to io.WriteCloser, from io.ReadCloser, g *gate) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		g.pass()
		if n > 0 {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			_, _ = to.Close(), from.Close()
			return
		}
	}
}

// pause has nothing come through any more.
func (l *link) pause() {
	l.up.shut()
	l.down.shut()
}

// resume has all come through that was held up.
func (l *link) resume() {
	l.up.reopen()
	l.down.reopen()
}

func (l *link) close() {
	l.resume()
	_ = l.listener.Close()
	l.mu.Lock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.tasks.Wait()
}

// join opens the log in an external server as a node of its own, over a link of its own.
func join(tb testing.TB, n *natsServer, node string, change ...func(*journal.Config)) (*journal.Journal, *link) {
	tb.Helper()
	l := newLink(tb, n)
	cfg := journal.Config{URL: l.url(), Node: node, LeaseTTL: leaseTTL, Logger: logger(tb).Level(5)}
	for _, c := range change {
		c(&cfg)
	}
	return openWith(tb, cfg), l
}
