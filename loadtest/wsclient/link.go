package wsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/lxzan/gws"
)

// link is one connection of a client. Its reading goroutine begins with dial and is over when wait
// returns.
type link struct {
	gws.BuiltinEventHandler
	client *Client
	conn   *gws.Conn
	gone   chan struct{}  // closed after err is set
	err    error          // why it ended
	tasks  sync.WaitGroup // refreshing the token
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	lastID  uint32
	waiting map[uint32]func(*protocol.Reply, error) // nil once the link is gone
	silence time.Duration                           // that is too long; 0: unlimited
	renewal *time.Timer
}

// dialer lets gws dial under a context.
type dialer struct {
	ctx  context.Context
	open func(ctx context.Context, network, addr string) (net.Conn, error)
	stop func() bool // no longer ends the connection with the context
}

func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	conn, err := d.open(d.ctx, network, addr)
	if err == nil {
		d.stop = context.AfterFunc(d.ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

// quiet is gws's logger: its errors come back as errors.
type quiet struct{}

func (quiet) Error(...any) {}

// dial opens a connection and logs in.
func dial(ctx context.Context, c *Client, token string) (*link, error) {
	l := &link{client: c, gone: make(chan struct{}), waiting: make(map[uint32]func(*protocol.Reply, error))}
	l.ctx, l.cancel = context.WithCancel(c.ctx)
	d := &dialer{ctx: ctx, open: c.cfg.Network, stop: func() bool { return true }}
	defer func() { d.stop() }()
	conn, resp, err := gws.NewClient(l, &gws.ClientOption{
		Addr:               c.cfg.URL,
		RequestHeader:      c.cfg.Header.Clone(),
		HandshakeTimeout:   c.cfg.DialTimeout,
		ReadMaxPayloadSize: c.cfg.MaxReadBytes,
		Logger:             quiet{},
		NewDialer:          func() (gws.Dialer, error) { return d, nil },
	})
	if err != nil {
		l.cancel()
	}
	switch {
	case err != nil && resp != nil:
		return nil, fmt.Errorf("connecting to %s: the server answered %s", c.cfg.URL, resp.Status)
	case err != nil:
		return nil, fmt.Errorf("connecting to %s: %w", c.cfg.URL, err)
	}
	l.conn = conn
	go conn.ReadLoop()
	if err := l.login(ctx, token); err != nil {
		l.close()
		_ = l.wait()
		return nil, err
	}
	return l, nil
}

func (l *link) login(ctx context.Context, token string) error {
	reply, err := l.do(ctx, &protocol.Command{Connect: &protocol.ConnectRequest{Token: token, Name: "wedsync-go"}})
	if err != nil {
		return err
	}
	res := reply.Connect
	if res.GetPing() > 0 {
		l.mu.Lock()
		l.silence = time.Duration(res.Ping)*time.Second + l.client.cfg.PingSlack
		_ = l.conn.NetConn().SetReadDeadline(time.Now().Add(l.silence))
		l.mu.Unlock()
	}
	l.renewIn(res.GetExpires(), res.GetTtl())
	return nil
}

// renewIn gets a new token when this one expires.
func (l *link) renewIn(expires bool, ttl uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !expires || l.client.cfg.NewToken == nil || l.waiting == nil {
		return
	}
	l.renewal = time.AfterFunc(time.Duration(ttl)*time.Second, func() {
		l.mu.Lock()
		alive := l.waiting != nil
		if alive {
			l.tasks.Add(1)
		}
		l.mu.Unlock()
		if alive {
			defer l.tasks.Done()
			l.renew()
		}
	})
}

// renew leaves the connection as it is where it fails: the server ends it, and the next one begins
// with another try.
func (l *link) renew() {
	ctx, cancel := context.WithTimeout(l.ctx, l.client.cfg.CommandTimeout)
	defer cancel()
	token, err := l.client.newToken(ctx)
	var reply *protocol.Reply
	if err == nil {
		reply, err = l.do(ctx, &protocol.Command{Refresh: &protocol.RefreshRequest{Token: token}})
	}
	if err != nil {
		l.client.cfg.Logger.Warn().Err(err).Msg("the token could not be renewed")
		return
	}
	l.renewIn(reply.Refresh.GetExpires(), reply.Refresh.GetTtl())
}

// do sends a command and waits for its reply; a refusal is an *Error.
func (l *link) do(ctx context.Context, cmd *protocol.Command) (*protocol.Reply, error) {
	type answer struct {
		reply *protocol.Reply
		err   error
	}
	got := make(chan answer, 1)
	id := l.send(cmd, func(r *protocol.Reply, err error) { got <- answer{r, err} })
	select {
	case a := <-got:
		return a.reply, a.err
	case <-ctx.Done():
		l.forget(id)
		return nil, ctx.Err()
	}
}

// send sends a command; then is called with its reply by the reading goroutine, or with an error.
func (l *link) send(cmd *protocol.Command, then func(*protocol.Reply, error)) uint32 {
	l.mu.Lock()
	if l.waiting == nil {
		l.mu.Unlock()
		then(nil, l.err)
		return 0
	}
	l.lastID++
	cmd.Id = l.lastID
	l.waiting[cmd.Id] = then
	l.mu.Unlock()
	_ = l.conn.WriteMessage(gws.OpcodeText, cmd.AppendJSON(nil)) // a failure ends the link, which calls then
	return cmd.Id
}

func (l *link) forget(id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, id)
}

// close ends the link; it may be called at any time.
func (l *link) close() {
	_ = l.conn.NetConn().SetWriteDeadline(time.Now().Add(time.Second))
	_ = l.conn.WriteClose(1000, nil)
	_ = l.conn.NetConn().Close()
}

// wait returns why the link ended, when nothing of it runs any more.
func (l *link) wait() error {
	<-l.gone
	l.tasks.Wait()
	return l.err
}

// OnMessage implements gws.Event.
func (l *link) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	l.mu.Lock()
	silence := l.silence
	l.mu.Unlock()
	if silence > 0 {
		_ = l.conn.NetConn().SetReadDeadline(time.Now().Add(silence))
	}
	d := protocol.NewJSONReplyDecoder(m.Bytes())
	for {
		reply, err := d.Decode()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil: // no server of ours: some proxy's page, perhaps
			l.client.cfg.Logger.Warn().Err(err).Msg("the server sent something that is no reply")
			l.close()
			return
		}
		l.handle(reply)
	}
}

func (l *link) handle(r *protocol.Reply) {
	switch {
	case r.Push != nil:
		l.client.pushed(r.Push)
	case r.Id == 0: // a ping
		_ = l.conn.WriteString("{}")
	default:
		l.mu.Lock()
		then := l.waiting[r.Id]
		delete(l.waiting, r.Id)
		l.mu.Unlock()
		switch {
		case then == nil:
		case r.Error != nil:
			then(nil, errorOf(r.Error))
		default:
			then(r, nil)
		}
	}
}

// OnClose implements gws.Event.
func (l *link) OnClose(_ *gws.Conn, err error) {
	var closed *gws.CloseError
	if errors.As(err, &closed) && closed.Code > 0 {
		l.err = &CloseError{Code: closed.Code, Reason: string(closed.Reason)}
	} else {
		l.err = fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	l.cancel()
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	if l.renewal != nil {
		l.renewal.Stop()
	}
	l.mu.Unlock()
	for _, then := range waiting {
		then(nil, l.err)
	}
	close(l.gone)
}
