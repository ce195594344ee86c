package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// maxWaiting is how many writes wait at once for a log that does not answer, and maxWaitingBytes
	// how large they are together. What is beyond fails at once.
	maxWaiting      = 8192
	maxWaitingBytes = 64 << 20
	// tryTimeout bounds one try to write while the log is away: a leader that has stopped answers nobody.
	tryTimeout = time.Second
	// The pauses between such tries, which double.
	minTryPause = 50 * time.Millisecond
	maxTryPause = 250 * time.Millisecond
)

var (
	errHurried  = fmt.Errorf("%w: the node is stopping", ErrClosed)
	errPatience = errors.New("the log was waited for as long as is allowed")
)

// line is where events wait while the log does not answer: it elects a leader, or the connection to it
// moves. The first one is tried until the log takes it; then all go out in the order in which they came,
// and what comes meanwhile goes behind them. An event that may be stored already is stored once all the
// same, by its message id.
type line struct {
	out      *publisher
	patience time.Duration
	lost     func() bool // the log will not come back by itself
	metrics  lineMetrics
	turns    atomic.Uint64
	standing atomic.Int32 // as many as in queue
	hurried  chan struct{}
	running  sync.WaitGroup

	mu      sync.Mutex
	queue   []*waiter // by turn
	stalled bool      // the log takes nothing, as far as is known
	served  bool      // a goroutine works on the queue
	over    bool      // hurried is closed
	count   int       // of what waits, in the queue and outside
	bytes   int
}

// waiter is an event in line.
type waiter struct {
	ctx  context.Context
	turn uint64
	msg  *nats.Msg
	next chan step // holds one
}

// step is how far a waiter has come: sent, or answered.
type step struct {
	sent *call
	at   Appended
	err  error
}

// hurry has nobody wait any more.
func (l *line) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		close(l.hurried)
	}
}

// close is hurry, and waits for what runs. The publisher must be closed before.
func (l *line) close() {
	l.hurry()
	l.running.Wait()
}

type patience struct{}

// Patient returns a context in which all that waits for the log does so for no longer, from now on, than one call may.
func Patient(ctx context.Context) context.Context {
	return context.WithValue(ctx, patience{}, time.Now())
}

// patientSince is when a call began to wait.
func patientSince(ctx context.Context) time.Time {
	if since, ok := ctx.Value(patience{}).(time.Time); ok {
		return since
	}
	return time.Now()
}

// put stores a message as publisher.publish does, and waits for a log that does not answer. Repeated
// tells that it was tried more than once, so that a duplicate may be its own.
func (l *line) put(ctx context.Context, subject, id string, data []byte) (at Appended, repeated bool, err error) {
	turn, begun := l.turns.Add(1), patientSince(ctx)
	msg := newMessage(subject, id, data)
	if l.standing.Load() == 0 {
		at, err = l.out.send(ctx, msg)
		if !l.away(ctx, err) {
			return at, false, err
		}
	}
	err = l.waiting(ctx, begun, len(data), err, func(ctx context.Context, failed error) error {
		at, err = l.stand(&waiter{ctx: ctx, turn: turn, msg: msg, next: make(chan step, 1)}, failed != nil)
		return err
	})
	return at, true, err
}

// ride calls do, whose writes must bear repeating, until it does not fail for want of the log.
func (l *line) ride(ctx context.Context, do func(context.Context) error) error {
	begun := patientSince(ctx)
	err := bounded(ctx, tryTimeout, do)
	if !l.away(ctx, err) {
		return err
	}
	return l.waiting(ctx, begun, 0, err, l.repeatedly(tryTimeout, do))
}

// ask is ride for what only reads, which may wait in any number, as it holds nothing. One try may take so long.
func (l *line) ask(ctx context.Context, within time.Duration, do func(context.Context) error) error {
	begun := patientSince(ctx)
	err := bounded(ctx, within, do)
	if !l.away(ctx, err) {
		return err
	}
	return l.patiently(ctx, begun, err, l.repeatedly(within, do))
}

// repeatedly pauses before each try, longer each time.
func (l *line) repeatedly(within time.Duration, do func(context.Context) error) func(context.Context, error) error {
	pause := minTryPause
	return func(ctx context.Context, _ error) error {
		if err := l.pause(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxTryPause)
		return bounded(ctx, within, do)
	}
}

// away reports whether to wait for the log because of err.
func (l *line) away(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && (errors.Is(err, ErrUnavailable) || errors.Is(kindOf(err), ErrUnavailable)) && !l.lost()
}

// waiting is patiently for what takes a place among those that wait.
func (l *line) waiting(ctx context.Context, begun time.Time, size int, cause error, try func(context.Context, error) error) (err error) {
	if full := l.enter(size); full != nil {
		l.metrics.waited.WithLabelValues("refused").Inc()
		return full
	}
	defer func() {
		l.leave(size)
		l.metrics.tell(err)
	}()
	return l.patiently(ctx, begun, cause, try)
}

// patiently calls try, with why the last one failed, until the log is not away or nothing more is to be
// waited for.
func (l *line) patiently(ctx context.Context, begun time.Time, cause error, try func(context.Context, error) error) (err error) {
	riding, cancel := context.WithDeadlineCause(ctx, begun.Add(l.patience), errPatience)
	defer cancel()
	for {
		switch err = try(riding, cause); {
		case l.away(riding, err):
			cause = err
		case errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(riding), errPatience):
			return fmt.Errorf("%w: %w, %v: %w", ErrUnavailable, errPatience, l.patience, cmp.Or(cause, err))
		default:
			return err
		}
	}
}

// enter takes a place among those that wait.
func (l *line) enter(size int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count >= maxWaiting || l.bytes+size > maxWaitingBytes {
		return fmt.Errorf("%w: %d writes with %d bytes wait for it already", ErrUnavailable, l.count, l.bytes)
	}
	l.count++
	l.bytes += size
	l.metrics.waiting.Set(float64(l.count))
	l.metrics.bytes.Set(float64(l.bytes))
	return nil
}

func (l *line) leave(size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count--
	l.bytes -= size
	l.metrics.waiting.Set(float64(l.count))
	l.metrics.bytes.Set(float64(l.bytes))
}

// stand stays in line until the waiter was sent, and returns the log's answer. Failed says that the log
// was found not to answer.
func (l *line) stand(w *waiter, failed bool) (Appended, error) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return Appended{}, errHurried
	}
	at, _ := slices.BinarySearchFunc(l.queue, w.turn, func(o *waiter, turn uint64) int { return cmp.Compare(o.turn, turn) })
	l.queue = slices.Insert(l.queue, at, w)
	l.standing.Store(int32(len(l.queue)))
	l.stalled = l.stalled || failed
	if !l.served {
		l.served = true
		l.running.Go(l.serve)
	}
	l.mu.Unlock()
	select {
	case s := <-w.next:
		return l.finish(w, s)
	case <-w.ctx.Done():
	case <-l.hurried:
	}
	if l.remove(w) {
		if w.ctx.Err() != nil {
			return Appended{}, w.ctx.Err()
		}
		return Appended{}, errHurried
	}
	return l.finish(w, <-w.next)
}

func (l *line) finish(w *waiter, s step) (Appended, error) {
	if s.sent != nil {
		return l.out.wait(w.ctx, s.sent)
	}
	return s.at, s.err
}

// remove takes a waiter out of the line, unless it was taken out before.
func (l *line) remove(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.queue, w)
	if at >= 0 {
		l.queue = slices.Delete(l.queue, at, at+1)
		l.standing.Store(int32(len(l.queue)))
	}
	return at >= 0
}

// serve works on the line until nobody stands in it.
func (l *line) serve() {
	pause := minTryPause
	for {
		w, stalled := l.first()
		switch {
		case w == nil:
			return
		case !stalled:
			l.pass(w)
			pause = minTryPause
		case l.pause(context.Background(), pause) != nil:
			l.leaveUnserved() // whoever stands here goes by itself
			return
		default:
			l.try(w)
			pause = min(2*pause, maxTryPause)
		}
	}
}

func (l *line) leaveUnserved() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.served = false
}

// first returns who is first in line, and takes it out where the log is not known to be away.
func (l *line) first() (w *waiter, stalled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.served, l.stalled = false, false
		return nil, false
	}
	w = l.queue[0]
	if !l.stalled {
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.standing.Store(int32(len(l.queue)))
	}
	return w, l.stalled
}

// pass sends a waiter that was taken out of the line.
func (l *line) pass(w *waiter) {
	c, err := l.out.start(w.ctx, w.msg)
	w.next <- step{sent: c, err: err}
}

// try sends the first in line and waits for the answer, to see whether the log is back.
func (l *line) try(w *waiter) {
	ctx, cancel := context.WithTimeout(w.ctx, tryTimeout)
	defer cancel()
	at, err := l.out.send(ctx, w.msg)
	if w.ctx.Err() != nil || l.away(w.ctx, err) {
		return // it leaves by itself, or stays
	}
	l.mu.Lock()
	l.stalled = false
	l.mu.Unlock()
	if l.remove(w) {
		w.next <- step{at: at, err: err}
	}
}

// pause fails when the time is not to be waited for.
func (l *line) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.hurried:
		return errHurried
	}
}
