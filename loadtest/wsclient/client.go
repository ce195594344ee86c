package wsclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/centrifugal/protocol"
)

// Codes that the client acts on; edge/ws lists them all.
const (
	errTokenExpired  = 109
	unsubscribeAgain = 2500 // from here on, an unsubscribe push asks to subscribe again
)

// Client is a connection that renews itself. It is safe for concurrent use. Handlers run in the
// goroutine that reads: they must not block, and must not wait for a method of the client.
type Client struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	token string
	link  *link // nil while not connected
	ready chan struct{}
	subs  map[string]*Subscription
	err   error // why it closed for good
}

// Dial connects to the server with the token and every default.
func Dial(ctx context.Context, url, token string) (*Client, error) {
	return Config{URL: url, Token: token}.Dial(ctx)
}

// Dial connects and returns once the server has let the client in. It does not try twice: *Error,
// *CloseError and network errors come back. Close ends the client.
func (c Config) Dial(ctx context.Context) (*Client, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	cl := &Client{
		cfg: c, token: c.Token,
		done: make(chan struct{}), ready: make(chan struct{}), subs: make(map[string]*Subscription),
	}
	cl.ctx, cl.cancel = context.WithCancel(context.Background())
	l, err := cl.connect(ctx)
	if err != nil {
		cl.cancel()
		return nil, err
	}
	go cl.run(l)
	return cl, nil
}

// Close ends the connection and waits until no handler runs any more. It must not be called from one.
func (c *Client) Close() error {
	c.cancel()
	<-c.done
	return nil
}

// Done is closed when the client has closed, by Close or for good; Err says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Connected reports whether it has a connection now. Without one, commands wait.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link != nil
}

// Err returns ErrClosed after Close, or what ended the client: a terminal *CloseError or an *Error
// that refused the connection. Nil while it is alive.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// run keeps the client connected until it is closed or told to stay away.
func (c *Client) run(l *link) {
	defer close(c.done)
	for {
		err := c.serve(l)
		if c.over(err) {
			c.finish(err)
			return
		}
		c.cfg.Logger.Debug().Err(err).Str("url", c.cfg.URL).Msg("connection lost; coming back")
		if l, err = c.reconnect(); err != nil {
			c.finish(err)
			return
		}
	}
}

// serve uses the connection until it ends.
func (c *Client) serve(l *link) error {
	stop := context.AfterFunc(c.ctx, l.close)
	defer stop()
	c.attach(l)
	err := l.wait()
	c.detach()
	return err
}

// over reports whether err is the end, not just of a connection.
func (c *Client) over(err error) bool {
	var closed *CloseError
	var refused *Error
	switch {
	case c.ctx.Err() != nil:
		return true
	case errors.As(err, &closed):
		return closed.Terminal()
	case errors.As(err, &refused):
		return !refused.Temporary && (refused.Code != errTokenExpired || c.cfg.NewToken == nil)
	}
	return false
}

func (c *Client) reconnect() (*link, error) {
	for delay := c.cfg.MinDelay; ; delay = min(2*delay, c.cfg.MaxDelay) {
		select {
		case <-time.After(delay/2 + rand.N(delay/2+1)):
		case <-c.ctx.Done():
			return nil, c.ctx.Err()
		}
		l, err := c.connect(c.ctx)
		if err == nil {
			return l, nil
		}
		if c.over(err) {
			return nil, err
		}
		c.cfg.Logger.Debug().Err(err).Str("url", c.cfg.URL).Msg("cannot connect; trying again")
	}
}

// connect opens a connection and logs in, with another token where this one has expired.
func (c *Client) connect(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	l, err := dial(ctx, c, token)
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != errTokenExpired || c.cfg.NewToken == nil {
		return l, err
	}
	if token, err = c.newToken(ctx); err != nil {
		return nil, err
	}
	return dial(ctx, c, token)
}

func (c *Client) newToken(ctx context.Context) (string, error) {
	token, err := c.cfg.NewToken(ctx)
	if err != nil {
		return "", fmt.Errorf("getting a new token: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = token
	return token, nil
}

// attach makes the link the one that commands use, and subscribes again.
func (c *Client) attach(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	close(c.ready)
	for _, s := range c.subs {
		s.send(l)
	}
}

func (c *Client) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = nil
	c.ready = make(chan struct{})
}

func (c *Client) finish(err error) {
	if c.ctx.Err() != nil {
		err = ErrClosed
	}
	c.mu.Lock()
	c.err = err
	subs := c.subs
	c.subs = nil
	c.mu.Unlock()
	c.cancel()
	for _, s := range subs {
		s.end(err)
	}
}

// do runs a command: it waits until the client is connected, then for the reply.
func (c *Client) do(ctx context.Context, cmd *protocol.Command) (*protocol.Reply, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	l, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	return l.do(ctx, cmd)
}

func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.CommandTimeout)
}

func (c *Client) connected(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, ready, err := c.link, c.ready, c.err
		c.mu.Unlock()
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ready:
		case <-c.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
