package actors

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

// RestartPolicy says what becomes of an actor that panics. It replaces protoactor's own strategies,
// whose back-off is linear and without a cap.
type RestartPolicy struct {
	Initial time.Duration // wait before the first restart; default 100 ms
	Max     time.Duration // the longest wait; default 30 s
	Budget  int           // restarts within Window before an integration is suspended; default 5
	Window  time.Duration // default 1 min
}

// WithDefaults returns the policy with zero fields filled in.
func (p RestartPolicy) WithDefaults() RestartPolicy {
	if p.Initial == 0 {
		p.Initial = 100 * time.Millisecond
	}
	if p.Max == 0 {
		p.Max = 30 * time.Second
	}
	if p.Budget == 0 {
		p.Budget = 5
	}
	if p.Window == 0 {
		p.Window = time.Minute
	}
	return p
}

// wait is how long to wait before restart number n, from 1: doubling, capped, then spread over the
// upper half, so that actors that broke together do not come back together. rnd is in [0, 1).
func (p RestartPolicy) wait(n int, rnd float64) time.Duration {
	d := p.Initial
	for i := 1; i < n && d < p.Max; i++ {
		d *= 2
	}
	d = min(d, p.Max)
	return d/2 + time.Duration(rnd*float64(d/2))
}

// failed counts a failure and tells whether the budget of restarts is spent, and if not, how long to
// wait before the next one.
func (p RestartPolicy) failed(rs *actor.RestartStatistics) (wait time.Duration, spent bool) {
	if rs.NumberOfFailures(p.Window) == 0 {
		rs.Reset()
	}
	rs.Fail()
	n := rs.FailureCount()
	return p.wait(n, rand.Float64()), n > p.Budget
}

// restartAfter restarts the child once the wait is over; until then its mailbox stays suspended and
// keeps what arrives.
func restartAfter(supervisor actor.Supervisor, child *actor.PID, wait time.Duration) {
	time.AfterFunc(wait, func() { supervisor.RestartChildren(child) })
}

// logPanics logs a panic in Receive once, with its stack, and lets supervision have it: protoactor
// itself logs neither at a level anybody reads nor the stack.
func logPanics(log zerolog.Logger) actor.ReceiverMiddleware {
	return func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			defer func() {
				if reason := recover(); reason != nil {
					log.Error().Str("actor", c.Self().GetId()).Str("message", fmt.Sprintf("%T", envelope.Message)).
						Any("panic", reason).Bytes("stack", debug.Stack()).Msg("actor panicked; it will be restarted")
					panic(reason)
				}
			}()
			next(c, envelope)
		}
	}
}
