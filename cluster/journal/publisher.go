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
	// ackTimeout is how long an acknowledgement is waited for at most, whatever the caller's context.
	ackTimeout = 10 * time.Second
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
	waiting map[uint64]*call
}

// call is one message under way. It returns to the pool only after its answer was received, or was
// taken out of waiting, so no answer meets the wrong call.
type call struct {
	number uint64
	done   chan answer // holds one
	sent   time.Time
	timer  *time.Timer
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
	p.calls.New = func() any {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return &call{done: make(chan answer, 1), timer: t}
	}
	lost := nc.DisconnectErrHandler()
	nc.SetDisconnectErrHandler(func(nc *nats.Conn, err error) {
		p.fail(err)
		lost(nc, err)
	})
	sub, err := nc.Subscribe(p.prefix+"*", p.receive)
	if err != nil {
		return nil, err
	}
	// At most maxUnderway answers are outstanding, so its queue needs no limit of its own.
	return p, sub.SetPendingLimits(-1, -1)
}

// publish stores one message and waits until it is durable.
func (p *publisher) publish(ctx context.Context, subject, id string, data []byte) (Appended, error) {
	c, err := p.start(ctx, newMessage(subject, id, data))
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
	c.sent = time.Now()
	p.mu.Lock()
	p.last++
	c.number = p.last
	p.waiting[c.number] = c
	p.mu.Unlock()
	m.Reply = p.prefix + strconv.FormatUint(c.number, 36)
	if err := p.nc.PublishMsg(m); err != nil {
		p.forget(c, err)
		return nil, err
	}
	return c, nil
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
	c.timer.Reset(time.Until(c.sent.Add(ackTimeout)))
	var err error
	select {
	case a := <-c.done:
		p.release(c)
		return a.ack, a.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.closed:
		err = ErrClosed
	case <-c.timer.C:
		err = fmt.Errorf("%w: no acknowledgement in %v", ErrUnavailable, ackTimeout)
	}
	a := p.forget(c, err)
	return a.ack, a.err
}

// forget gives a call up because of err, unless its answer has come after all. One on its way may
// still come; nobody waits for it.
func (p *publisher) forget(c *call, err error) answer {
	a := answer{err: err}
	if p.take(c.number) == nil {
		a = <-c.done
	}
	p.release(c)
	return a
}

func (p *publisher) release(c *call) {
	c.timer.Stop()
	p.calls.Put(c)
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
	}
	return c
}

// fail answers all that is under way, when the connection is lost and no answer will come.
func (p *publisher) fail(err error) {
	if err == nil {
		err = errors.New("the connection was closed")
	}
	for _, c := range p.takeAll() {
		c.done <- answer{err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
	}
}

func (p *publisher) takeAll() map[uint64]*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.waiting
	p.waiting = make(map[uint64]*call)
	for range all {
		<-p.places
	}
	return all
}
