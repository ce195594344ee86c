package journal

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	// ackGather is how long acknowledgements are gathered: in a replicated log each costs little beside
	// others, and much alone. Nothing waits for them.
	ackGather = 5 * time.Millisecond
	// ackAnswer is how long the log may take to say that it has dealt with some, before they are said again: twice as
	// long each time, up to ackAnswerMax. Those that were lost with a leader hold up whoever hands the shard over.
	ackAnswer    = 500 * time.Millisecond
	ackAnswerMax = 4 * time.Second
)

// acker tells a consumer what became of the messages that it gave out, in order and in batches. Of a batch
// the last one is to be answered, which tells of all before it; a batch without an answer is said again, so
// that none is lost with the consumer's leader and its message given out once more much later.
type acker struct {
	nc     *nats.Conn
	log    zerolog.Logger
	answer time.Duration // ackAnswer

	mu     sync.Mutex
	said   []said
	closed bool
	idle   chan struct{} // closed while nothing is to be said

	wake    chan struct{}
	running context.Context
	stop    context.CancelFunc
	over    chan struct{}
}

type said struct {
	reply string
	what  []byte
}

func newAcker(nc *nats.Conn, log zerolog.Logger) *acker {
	a := &acker{nc: nc, log: log, answer: ackAnswer, idle: make(chan struct{}), wake: make(chan struct{}, 1), over: make(chan struct{})}
	a.running, a.stop = context.WithCancel(context.Background())
	close(a.idle)
	go a.run()
	return a
}

// say has the message's fate told. It returns at once; after close it is told all the same, unless the
// connection is gone.
func (a *acker) say(reply string, what []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return a.nc.Publish(reply, what)
	}
	if len(a.said) == 0 {
		select {
		case <-a.idle:
			a.idle = make(chan struct{})
		default: // a batch is under way
		}
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	a.said = append(a.said, said{reply, what})
	return nil
}

func (a *acker) run() {
	defer close(a.over)
	gather := time.NewTimer(ackGather)
	defer gather.Stop()
	for {
		select {
		case <-a.wake:
		case <-a.running.Done():
			return
		}
		gather.Reset(ackGather)
		select {
		case <-gather.C:
		case <-a.running.Done():
		}
		for batch := a.take(); len(batch) > 0; batch = a.take() {
			if !a.tell(batch) {
				return
			}
		}
	}
}

// take returns what is to be said, and notes when that is nothing.
func (a *acker) take() []said {
	a.mu.Lock()
	defer a.mu.Unlock()
	batch := a.said
	a.said = nil
	if len(batch) == 0 {
		select {
		case <-a.idle:
		default:
			close(a.idle)
		}
	}
	return batch
}

// tell says a batch until it is answered; false after close.
func (a *acker) tell(batch []said) bool {
	last := batch[len(batch)-1]
	for tries, answer := 0, a.answer; ; tries, answer = tries+1, min(2*answer, ackAnswerMax) {
		before, ask := batch[:len(batch)-1], last
		if tries > 0 { // the last one may be done with, and is not answered then; this always is
			before, ask = batch, said{last.reply, sayProgress}
		}
		var err error
		for _, s := range before {
			if err = a.nc.Publish(s.reply, s.what); err != nil {
				break
			}
		}
		if err == nil {
			err = bounded(a.running, answer, func(ctx context.Context) error {
				_, err := a.nc.RequestWithContext(ctx, ask.reply, ask.what)
				return err
			})
		}
		if err == nil {
			return true
		}
		select {
		case <-a.running.Done():
			return false
		case <-time.After(pullRetry):
		}
		if tries == 1 {
			a.log.Warn().Err(err).Int("count", len(batch)).Msg("what was acknowledged was not answered; saying it again")
		}
	}
}

// settle waits, for a while, until the log has dealt with all that was said so far.
func (a *acker) settle(limit time.Duration) {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
}

// close says what is left, for a while, and ends.
func (a *acker) close(limit time.Duration) {
	a.settle(limit)
	a.mu.Lock()
	a.closed = true
	left := slices.Clone(a.said)
	a.said = nil
	a.mu.Unlock()
	for _, s := range left {
		_ = a.nc.Publish(s.reply, s.what)
	}
	a.stop()
	<-a.over
}
