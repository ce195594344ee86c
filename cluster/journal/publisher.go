package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxUnderway bounds what is published and not yet acknowledged; further callers wait. More would
	// not be faster, and would wait longer than ackTimeout when the disk is slow.
	maxUnderway = 1024
	// ackTimeout is how long an acknowledgement is waited for, whatever the caller's context; up to
	// overdueEvery more. A leader that was stopped, or cut off, answers nobody: the election that follows
	// takes no less, and whoever writes then tries again.
	ackTimeout   = 4 * time.Second
	overdueEvery = time.Second
)

// publisher publishes to streams and hands each acknowledgement to whoever waits for it, many at a
// time. It does what PublishMsgAsync of nats.go does at a fraction of the cost, and a caller beyond
// the bound waits for its context rather than for 200 ms.
type publisher struct {
	nc     *nats.Conn
	prefix string        // of reply subjects; a number follows
	places chan struct{} // one is held for each call in waiting
	closed chan struct{}
	calls  sync.Pool

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*call   // nil: closed
	gathers map[string]*gather // by stream; nil: each message is sent at once
}

// call is one message under way. It returns to the pool only after its answer was received, or was
// taken out of waiting, so no answer meets the wrong call.
type call struct {
	number uint64
	done   chan answer // holds one
	sent   time.Time
	gather *gather // of its stream, in a replicated log
	out    bool    // sent, for all that gather knows
}

type answer struct {
	ack Appended
	err error
}

func newPublisher(nc *nats.Conn) (*publisher, error) {
	p := &publisher{
		nc:      nc,
		prefix:  nc.NewInbox() + ".",
		places:  make(chan struct{}, maxUnderway),
		closed:  make(chan struct{}),
		waiting: make(map[uint64]*call),
	}
	p.calls.New = func() any { return &call{done: make(chan answer, 1)} }
	lost := nc.DisconnectErrHandler()
	nc.SetDisconnectErrHandler(func(nc *nats.Conn, err error) {
		p.fail(err)
		lost(nc, err)
	})
	sub, err := nc.Subscribe(p.prefix+"*", p.receive)
	if err != nil {
		return nil, err
	}
	go p.watch()
	// At most maxUnderway answers are outstanding, so its queue needs no limit of its own.
	return p, sub.SetPendingLimits(-1, -1)
}

// close fails what is under way, and all that follows, with ErrClosed.
func (p *publisher) close() {
	close(p.closed)
	p.failAll(nil, ErrClosed)
}

// watch gives up, until close, the calls whose answer is overdue. A timer for each would cost more than
// all else that is done for a call here.
func (p *publisher) watch() {
	tick := time.NewTicker(overdueEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.giveUp(now.Add(-ackTimeout))
		case <-p.closed:
			return
		}
	}
}

// giveUp fails the calls that were sent before a time.
func (p *publisher) giveUp(before time.Time) {
	p.drop(fmt.Errorf("%w: no acknowledgement in %v", ErrUnavailable, ackTimeout), func(c *call) bool { return c.sent.Before(before) })
}

// moved fails the calls that were sent to a stream before it had another leader, who may know nothing of them.
func (p *publisher) moved(stream string) {
	p.drop(fmt.Errorf("%w: %s has elected a leader", ErrUnavailable, stream), func(c *call) bool {
		return c.out && c.gather == p.gathers[stream]
	})
}

// drop fails calls that are under way.
func (p *publisher) drop(why error, which func(*call) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, c := range p.waiting {
		if which(c) {
			delete(p.waiting, number)
			<-p.places
			p.end(c)
			c.done <- answer{err: why}
		}
	}
}

// publish stores one message and waits until it is durable.
func (p *publisher) publish(ctx context.Context, subject, id string, data []byte) (Appended, error) {
	return p.send(ctx, newMessage(subject, id, data))
}

// send is publish for a message that is made already.
func (p *publisher) send(ctx context.Context, m *nats.Msg) (Appended, error) {
	c, err := p.start(ctx, m)
	if err != nil {
		return Appended{}, err
	}
	return p.wait(ctx, c)
}

// newMessage returns a message with an id to tell repeats by; "" is none.
func newMessage(subject, id string, data []byte) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: data}
	if id != "" {
		m.Header = nats.Header{jetstream.MsgIDHeader: []string{id}}
	}
	return m
}

// start sends the message; wait must follow.
func (p *publisher) start(ctx context.Context, m *nats.Msg) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.places <- struct{}{}:
	default:
		if err := p.place(ctx); err != nil {
			return nil, err
		}
	}
	c, _ := p.calls.Get().(*call)
	c.sent, c.gather, c.out = time.Now(), nil, false
	if !p.expect(c) {
		<-p.places
		return nil, ErrClosed
	}
	m.Reply = p.prefix + strconv.FormatUint(c.number, 36)
	send := func(_ *call, m *nats.Msg) error { return p.nc.PublishMsg(m) }
	if p.gathers != nil {
		send = p.enter
	}
	if err := send(c, m); err != nil {
		p.forget(c, err)
		return nil, err
	}
	return c, nil
}

// expect numbers a call and has its answer handed to it; false after close.
func (p *publisher) expect(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		return false
	}
	p.last++
	c.number = p.last
	p.waiting[c.number] = c
	return true
}

func (p *publisher) place(ctx context.Context) error {
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closed:
		return ErrClosed
	case <-timeout.C:
		return fmt.Errorf("%w: %d messages are waiting for acknowledgement", ErrUnavailable, maxUnderway)
	}
}

func (p *publisher) wait(ctx context.Context, c *call) (Appended, error) {
	var a answer
	select {
	case a = <-c.done:
		p.calls.Put(c)
	case <-ctx.Done():
		a = p.forget(c, ctx.Err())
	}
	return a.ack, a.err
}

// forget gives a call up because of err, unless its answer has come after all. One on its way may
// still come; nobody waits for it.
func (p *publisher) forget(c *call, err error) answer {
	a := answer{err: err}
	if p.take(c.number) == nil {
		a = <-c.done
	}
	p.calls.Put(c)
	return a
}

// receive runs in the subscription's goroutine.
func (p *publisher) receive(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(p.prefix):], 36, 64)
	if err != nil {
		return
	}
	c := p.take(number)
	if c == nil {
		return
	}
	var a answer
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		a.err = nats.ErrNoResponders
	} else {
		a.ack, a.err = parseAck(m.Data)
	}
	c.done <- a
}

// take ends a call's waiting, once; nil means that it has ended. Its place is free from then on,
// also where the caller has others to send before it looks at the answer.
func (p *publisher) take(number uint64) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.waiting[number]
	if c != nil {
		delete(p.waiting, number)
		<-p.places
		p.end(c)
	}
	return c
}

// end has what waits behind a call go on; p.mu is held.
func (p *publisher) end(c *call) {
	if g := c.gather; g != nil && g.leave(c) {
		go p.flush(g)
	}
}

// fail answers all that is under way, when the connection is lost and no answer will come.
func (p *publisher) fail(err error) {
	if err == nil {
		err = errors.New("the connection was closed")
	}
	p.failAll(make(map[uint64]*call), fmt.Errorf("%w: %w", ErrUnavailable, err))
}

// failAll answers all that is under way; next takes what follows. Once closed, it stays so.
func (p *publisher) failAll(next map[uint64]*call, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.waiting {
		<-p.places
		if c.gather != nil {
			c.gather.leave(c)
			c.gather.queue = nil
		}
		c.done <- answer{err: err}
	}
	if p.waiting != nil {
		p.waiting = next
	}
}
