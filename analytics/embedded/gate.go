package embedded

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// gate is the port that clients see. It lets the engine see only what the engine can bear: see doc.go.
type gate struct {
	listener net.Listener
	password string

	mu      sync.Mutex
	engine  *instance             // nil while there is none
	clients map[net.Conn]struct{} // nil when the gate is closed
	work    sync.WaitGroup
}

// helloWait is how long a client may take to say who it is.
const helloWait = 10 * time.Second

// openGate listens on the port, or with 0 on the preferred one if it is free, else on another.
func openGate(ctx context.Context, port, preferred int, password string) (*gate, error) {
	var config net.ListenConfig
	listen := func(port int) (net.Listener, error) {
		return config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	var l net.Listener
	err := errors.New("none preferred")
	if port == 0 && preferred != 0 {
		l, err = listen(preferred)
	}
	if err != nil {
		if l, err = listen(port); err != nil {
			return nil, err
		}
	}
	g := &gate{listener: l, password: password, clients: map[net.Conn]struct{}{}}
	g.work.Go(g.serve)
	return g, nil
}

func (g *gate) port() int {
	_, port, _ := net.SplitHostPort(g.listener.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}

// lead sends new clients to an engine; with nil they are turned away.
func (g *gate) lead(to *instance) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.engine = to
}

// close turns everybody out and returns when they have gone.
func (g *gate) close() {
	_ = g.listener.Close()
	g.mu.Lock()
	for c := range g.clients {
		_ = c.Close()
	}
	g.clients, g.engine = nil, nil
	g.mu.Unlock()
	g.work.Wait()
}

func (g *gate) serve() {
	for {
		client, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client has gone again
		}
		g.mu.Lock()
		open := g.clients != nil
		if open {
			g.clients[client] = struct{}{}
			g.work.Go(func() { g.pass(client) })
		}
		g.mu.Unlock()
		if !open {
			_ = client.Close()
		}
	}
}

// pass takes one client through to the engine, until either ends.
func (g *gate) pass(client net.Conn) {
	defer func() {
		_ = client.Close()
		g.mu.Lock()
		delete(g.clients, client)
		g.mu.Unlock()
	}()
	_ = client.SetDeadline(time.Now().Add(helloWait))
	in := bufio.NewReader(client)
	h, err := readHello(in)
	if err != nil {
		return
	}
	g.mu.Lock()
	to := g.engine
	g.mu.Unlock()
	if to == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), helloWait)
	defer cancel()
	if no := g.refuse(ctx, to, h); no != nil {
		_, _ = client.Write(no.packet())
		return
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.address())
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // both ways have ended
	engine, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	ahead, _ := in.Peek(in.Buffered())
	if _, err := engine.Write(append(h.raw, ahead...)); err != nil {
		return
	}
	_ = client.SetDeadline(time.Time{})
	join(client, engine)
}

// join copies both ways. However the client ends, the engine sees an orderly end of its words, and
// somebody who listens until it has finished.
func join(client net.Conn, engine *net.TCPConn) {
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(engine, client)
		_ = engine.CloseWrite()
	})
	if _, err := io.Copy(client, engine); err != nil {
		_ = client.Close()
		_, _ = io.Copy(io.Discard, engine)
	}
	_ = client.Close()
	up.Wait()
}

// refuse answers for the engine where it would end with the answer, and else returns nil.
func (g *gate) refuse(ctx context.Context, to *instance, h hello) *refusal {
	known := subtle.ConstantTimeCompare([]byte(h.user), []byte(user)) &
		subtle.ConstantTimeCompare([]byte(h.password), []byte(g.password))
	if known != 1 {
		return &refusal{code: 516, text: fmt.Sprintf("%.100s: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)", h.user)}
	}
	if there, err := to.hasDatabase(ctx, h.database); err == nil && !there {
		return &refusal{code: 81, text: fmt.Sprintf("Database %.100s does not exist. (UNKNOWN_DATABASE)", h.database)}
	}
	return nil
}
