package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	actorName = "requests"
	// batchSize keeps a batch of the largest messages within maxMessage.
	batchSize  = 64
	maxMessage = (batchSize + 1) * (MaxBody*4/3 + 4096)
	queueSize  = 1024
)

// Handler answers one kind of request. It runs in a goroutine of its own and ends when ctx does.
type Handler func(ctx context.Context, from string, body []byte) ([]byte, error)

// Peers sends requests to other nodes and answers theirs. It is safe for concurrent use.
type Peers struct {
	cfg      Config
	log      zerolog.Logger
	metrics  metrics
	system   *actor.ActorSystem
	remote   *remote.Remote
	answers  *actor.PID
	addr     string
	watching *eventstream.Subscription

	mu       sync.Mutex
	handlers map[string]Handler
	last     uint64
	waiting  map[uint64]waiter
	closed   bool

	places  chan struct{} // one is held for each request that is handled
	running sync.WaitGroup
	stop    context.CancelFunc
	alive   context.Context // of handlers
}

type waiter struct {
	addr string
	done chan *frame // holds one; nil: the node cannot be reached
}

// New listens. Handle says what is answered.
func New(cfg Config) (*Peers, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	p := &Peers{
		cfg: cfg, log: cfg.Logger, metrics: m, handlers: map[string]Handler{}, waiting: map[uint64]waiter{},
		places: make(chan struct{}, cfg.MaxHandled),
	}
	p.alive, p.stop = context.WithCancel(context.Background())
	quiet := slog.New(slog.DiscardHandler)
	p.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	if err := p.listen(); err != nil {
		p.system.Shutdown()
		return nil, err
	}
	p.watching = p.system.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*remote.EndpointTerminatedEvent); ok {
			p.lost(e.Address)
		}
	})
	root := p.system.Root
	p.answers = root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*wrapperspb.BytesValue); ok {
			p.answered(m.GetValue())
		}
	}))
	_, err = root.SpawnNamed(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*wrapperspb.BytesValue); ok && c.Sender() != nil {
			p.asked(c.Sender(), m.GetValue())
		}
	}), actorName)
	return p, err
}

// listen starts protoactor's remote on a free port. It takes a number, not a listener, and panics when the
// port was taken in between.
func (p *Peers) listen() (err error) {
	client, server := insecure.NewCredentials(), insecure.NewCredentials()
	if p.cfg.TLS != nil {
		client, server = credentials.NewTLS(p.cfg.TLS), credentials.NewTLS(p.cfg.TLS)
	}
	for range 5 {
		var port int
		if port, err = freePort(p.cfg.Host); err != nil {
			return err
		}
		p.addr = net.JoinHostPort(p.cfg.Advertise, strconv.Itoa(port))
		config := remote.Configure(p.cfg.Host, port,
			remote.WithAdvertisedHost(p.addr),
			remote.WithEndpointWriterBatchSize(batchSize), remote.WithEndpointWriterQueueSize(queueSize),
			remote.WithEndpointManagerBatchSize(batchSize), remote.WithEndpointManagerQueueSize(queueSize),
			remote.WithDialOptions(grpc.WithTransportCredentials(client), grpc.WithDefaultCallOptions(
				grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage))),
			remote.WithServerOptions(grpc.Creds(server), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
				grpc.StreamInterceptor(p.recovered)),
		)
		config.MaxRetryCount = 1 // whoever asks tries again
		p.remote = remote.NewRemote(p.system, config)
		if err = started(p.remote); err == nil {
			return nil
		}
	}
	return err
}

func freePort(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0")) //nolint:noctx // it does not block
	if err != nil {
		return 0, fmt.Errorf("peers: %w", err)
	}
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("peers: listening on %v, which is no TCP address", l.Addr())
	}
	return addr.Port, nil
}

func started(r *remote.Remote) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("peers: %v", reason)
		}
	}()
	r.Start()
	return nil
}

// recovered ends the stream, and not the process, where what another node sends has remote panic.
func (p *Peers) recovered(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			p.log.Error().Any("panic", reason).Bytes("stack", debug.Stack()).Msg("what another node sent could not be read")
			err = fmt.Errorf("peers: %v", reason)
		}
	}()
	return handle(srv, stream)
}

// Addr is where other nodes reach this one.
func (p *Peers) Addr() string { return p.addr }

// Handle has requests of a kind answered by a handler from now on.
func (p *Peers) Handle(kind string, h Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[kind] = h
	p.metrics.begin(kind) // nodes ask what they answer
}

// Ask has a node answer a request. It fails with ErrUnreachable, ErrUnsupported, ErrBusy, ErrTooLarge or
// ErrClosed, with what the handler failed with, or with the error of ctx, which must have a deadline.
func (p *Peers) Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
	began := time.Now()
	answer, err := p.ask(ctx, node, kind, body)
	p.metrics.tell(kind, err, time.Since(began))
	return answer, err
}

func (p *Peers) ask(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("peers: a request needs a deadline")
	}
	addr, ok := p.cfg.Resolve(node)
	if !ok || addr == "" {
		return nil, fmt.Errorf("node %s: %w: it is not there", node, ErrUnreachable)
	}
	f := &frame{From: p.cfg.Node, Kind: kind, Left: time.Until(deadline), Body: body}
	done, err := p.expect(f, addr)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", node, err)
	}
	defer p.forget(f.ID)
	m, err := f.encode()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", node, err)
	}
	p.system.Root.RequestWithCustomSender(actor.NewPID(addr, actorName), m, p.answers)
	select {
	case a := <-done:
		switch {
		case a == nil:
			return nil, fmt.Errorf("node %s: %w at %s", node, ErrUnreachable, addr)
		case a.Code != "":
			return nil, p.errorOf(node, a)
		}
		return a.Body, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("node %s did not answer: %w", node, ctx.Err())
	case <-p.alive.Done():
		return nil, ErrClosed
	}
}

func (p *Peers) expect(f *frame, addr string) (<-chan *frame, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	asked := 0 // of this node: one that hangs must not keep the others from being asked
	for _, w := range p.waiting {
		if w.addr == addr {
			asked++
		}
	}
	if asked >= p.cfg.MaxAsked {
		return nil, fmt.Errorf("%w: %d are waited for here", ErrBusy, asked)
	}
	p.last++
	f.ID = p.last
	w := waiter{addr, make(chan *frame, 1)}
	p.waiting[f.ID] = w
	return w.done, nil
}

func (p *Peers) forget(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

// answered hands an answer on to whoever waits for it.
func (p *Peers) answered(data []byte) {
	f, err := decode(data)
	if err != nil {
		p.log.Warn().Err(err).Msg("an answer is dropped")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.waiting[f.ID]; ok {
		delete(p.waiting, f.ID)
		w.done <- f
	}
}

// lost fails what waits for a node that cannot be reached any more.
func (p *Peers) lost(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, w := range p.waiting {
		if w.addr == addr {
			delete(p.waiting, id)
			w.done <- nil
		}
	}
}

// asked has a request handled beside the actor, which must not block.
func (p *Peers) asked(from *actor.PID, data []byte) {
	f, err := decode(data)
	if f == nil {
		p.log.Warn().Err(err).Msg("a request is dropped")
		return
	}
	p.mu.Lock()
	h := p.handlers[f.Kind]
	closed := p.closed
	if !closed {
		p.running.Add(1)
	}
	p.mu.Unlock()
	switch {
	case closed:
		return // whoever asks finds out
	case err != nil:
	case h == nil:
		err = fmt.Errorf("%w: %q", ErrUnsupported, f.Kind)
	default:
		select {
		case p.places <- struct{}{}:
			go func() {
				defer p.running.Done()
				defer func() { <-p.places }()
				p.handle(from, f, h)
			}()
			return
		default:
			err = ErrBusy
		}
	}
	defer p.running.Done()
	p.reply(from, f, nil, err)
}

func (p *Peers) handle(from *actor.PID, f *frame, h Handler) {
	ctx, cancel := context.WithTimeout(p.alive, f.Left)
	defer cancel()
	body, err := func() (body []byte, err error) {
		defer func() {
			if reason := recover(); reason != nil {
				p.log.Error().Str("kind", f.Kind).Any("panic", reason).Bytes("stack", debug.Stack()).Msg("a request's handler panicked")
				err = errors.New("the node failed over it; see its log")
			}
		}()
		return h(ctx, f.From, f.Body)
	}()
	p.reply(from, f, body, err)
}

func (p *Peers) reply(to *actor.PID, request *frame, body []byte, err error) {
	f := &frame{ID: request.ID, From: p.cfg.Node, Body: body}
	if err != nil {
		f.Code, f.Text, f.Body = p.codeOf(err), err.Error(), nil
	}
	m, err := f.encode()
	if err != nil {
		f.Code, f.Text, f.Body = p.codeOf(err), err.Error(), nil
		if m, err = f.encode(); err != nil {
			return
		}
	}
	p.system.Root.Send(to, m)
}

// Close ends what is under way, with ErrClosed where it is waited for. It can be called more than once.
func (p *Peers) Close(ctx context.Context) error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if !first {
		return nil
	}
	p.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.running.Wait()
		p.system.EventStream.Unsubscribe(p.watching)
		p.remote.Shutdown(false) // graceful waits ten seconds for streams that stay open
		p.system.Shutdown()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the requests between nodes: %w", ctx.Err())
	}
}
