package actors

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
)

// integration owns everything about one integration: lanes, breaker, limits, park, health.
// What arrives goes through intake.go, is started by pump.go, tried by attempt.go and ended by settle.go; probe.go
// asks the vendor how it is.
type integration struct {
	t           *tenure
	sys         *System
	child       *child
	bag         *deliveryBag
	id          string
	incarnation uint64
	self        *actor.PID
	log         zerolog.Logger

	entry    *registry.Entry // nil: deleted
	conn     adapter.Connection
	connErr  error
	limits   event.Limits
	revision uint64

	lanes      delivery.Lanes[*task]
	breaker    delivery.Breaker
	limiter    delivery.Limiter
	recipients *delivery.KeyedLimiter // nil: no limit
	inFlight   int
	queued     bool         // in line for a call slot
	stopped    *event.Pause // paused by an answer, before the registry has it

	backlog   bool       // something may wait in the park, so what arrives goes behind it
	looked    bool       // the park has been looked into since the actor began
	parking   bool       // a worker parks what arrived
	loading   bool       // a worker reads the park
	reparked  bool       // something was parked since that worker set out
	found     *returning // what the first look found
	parkCount uint64
	parkPause time.Duration // after the log refused to park
	parkAfter time.Time     // not before this is parking tried again

	timer      *time.Timer
	generation uint64
	wakeTime   time.Time
	nextExpiry time.Time

	probing   bool // a worker asks the vendor whether it is there
	nextProbe time.Time
	lastProbe *event.Probe // nil: not asked since the configuration changed

	quiets   map[event.QuietHours]*quietHours
	quietEnd time.Time // until then a lane may be held for quiet hours

	quietCount   int       // deliveries in memory that are in their quiet hours, as of
	quietCounted time.Time // and with what came and went since

	rate        delivery.SuccessRate
	state       event.State
	since       time.Time
	lastError   string
	lastErrorAt time.Time
}

func newIntegration(t *tenure, ch *child) *integration {
	ch.delivery.incarnations++
	sys := t.sys
	return &integration{
		t: t, sys: sys, child: ch, bag: ch.delivery, id: ch.id, incarnation: ch.delivery.incarnations,
		log:     sys.log.With().Str("integration", ch.id).Logger(),
		breaker: delivery.NewBreaker(sys.cfg.Breaker), state: event.Healthy, since: sys.cfg.Now(), backlog: true,
		quiets: map[event.QuietHours]*quietHours{},
	}
}

// Receive implements actor.Actor.
func (in *integration) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		in.self = c.Self()
		in.start()
	case *actor.Stopping, *actor.Restarting:
		in.stopTimer()
		in.sys.gate.Leave(in.id)
	case *journal.Work:
		in.bag.seen++
		in.bag.newest = max(in.bag.newest, m.Seq)
		in.bag.arrived = append(in.bag.arrived, m)
		in.proceed()
	case attempted:
		if m.incarnation == in.incarnation {
			in.attempted(m)
			in.proceed()
		}
	case withheld:
		if m.incarnation == in.incarnation {
			in.withheld(m)
			in.proceed()
		}
	case settled:
		if m.incarnation == in.incarnation {
			in.forget(m.task)
			in.proceed()
		}
	case parked:
		if m.incarnation == in.incarnation {
			in.parked(m)
			in.proceed()
		}
	case unparked:
		if m.incarnation == in.incarnation {
			in.unparked(m)
			in.proceed()
		}
	case probed:
		if m.incarnation == in.incarnation {
			in.probed(m)
			in.proceed()
		}
	case wake:
		if m.generation == in.generation {
			in.wakeTime = time.Time{}
			in.proceed()
		}
	case reload:
		in.configure()
		in.proceed()
	case slotFree, resume:
		in.proceed()
	default:
		in.command(c, m)
	}
}

// command answers what admins and the shard ask.
func (in *integration) command(c actor.Context, message any) {
	switch m := message.(type) {
	case getHealth:
		c.Respond(in.health())
		if in.lastProbe == nil { // asked for: there is an answer the next time
			in.nextProbe = in.sys.cfg.Now()
			in.probe()
		}
	case survey:
		m.to.add(in.health())
	case resetBreaker:
		in.breaker.Reset()
		in.lanes.Release()
		c.Respond(in.health())
		in.proceed()
	case reinstate:
		in.bag.suspended.Store(nil)
		c.Respond(in.health())
		in.proceed()
	case askIdle:
		if in.idle() {
			c.Send(c.Parent(), idle{child: in.child, seen: in.bag.seen})
		}
	}
}

// start begins, or begins again after a panic with what the bag holds: calls that were in flight are
// made once more under the same id.
func (in *integration) start() {
	in.configure()
	for _, t := range in.bag.inOrder() {
		in.lanes.Push(t.d.Lane(), t)
		t.quiet = false // it was counted by the actor before
		in.countQuiet(t, in.sys.cfg.Now())
	}
	in.proceed()
}

// proceed does whatever can be done now. It is called after every change and finds by itself what the
// change allows, so that no message needs to know.
func (in *integration) proceed() {
	in.intake()
	in.pump()
	in.load()
	in.probe()
	if len(in.bag.tasks)+len(in.bag.arrived) > 0 {
		in.wakeAt(in.nextExpiry)
	}
	in.announce()
}

// configure takes the integration's present configuration.
func (in *integration) configure() {
	entry, ok := in.sys.cfg.Registry.Lookup(in.id)
	if !ok {
		in.entry, in.conn, in.revision = nil, nil, 0
		return
	}
	if in.entry == entry {
		return
	}
	in.entry, in.lastProbe, in.nextProbe = entry, nil, time.Time{}
	in.conn, in.connErr = entry.Connection()
	if in.connErr != nil {
		in.log.Warn().Err(in.connErr).Msg("the integration is not configured as its vendor needs; its deliveries wait")
	}
	if entry.Integration.Paused == nil && in.stopped != nil && entry.Integration.Revision > in.revision {
		in.stopped = nil
	}
	in.revision = entry.Integration.Revision
	in.setLimits(entry)
}

func (in *integration) setLimits(entry *registry.Entry) {
	limits := entry.Integration.Limits
	if vendor, err := adapter.Lookup(entry.Integration.Vendor); err == nil {
		limits = limits.Or(vendor.Describe().Limits)
	}
	limits = limits.Or(event.Limits{Timeout: event.Duration(in.sys.cfg.Timeout), ParkLimit: event.Duration(in.sys.cfg.ParkLimit)})
	if limits == in.limits {
		return
	}
	in.limits = limits
	in.limiter = delivery.NewLimiter(limits.PerSecond, max(limits.Burst, 1))
	in.recipients = nil
	if limits.PerRecipient > 0 {
		recipients := delivery.NewKeyedLimiter(time.Duration(limits.PerRecipient), limits.RecipientBurst)
		in.recipients = &recipients
	}
}

// resting tells why nothing is sent at present although the vendor may be up; "" when it may be sent.
func (in *integration) resting() (state event.State, why string) {
	if reason := in.bag.suspended.Load(); reason != nil {
		return event.Suspended, *reason
	}
	switch {
	case in.entry == nil:
		return event.DisabledState, event.ReasonDeleted
	case in.entry.Integration.Disabled:
		return event.DisabledState, event.ReasonDisabled
	case in.entry.Integration.Paused != nil:
		return event.Paused, in.entry.Integration.Paused.Reason
	case in.stopped != nil:
		return event.Paused, in.stopped.Reason
	case in.connErr != nil:
		return event.Paused, in.connErr.Error()
	}
	return "", ""
}

// over reports that the integration is no more: what waits for it is skipped, with the reason.
func (in *integration) over() (reason string, over bool) {
	switch {
	case in.bag.suspended.Load() != nil:
		return "", false
	case in.entry == nil:
		return event.ReasonDeleted, true
	case in.entry.Integration.Disabled:
		return event.ReasonDisabled, true
	}
	return "", false
}

// idle reports whether the actor may be stopped: not while it has work, nor while it alone knows that the vendor fails.
func (in *integration) idle() bool {
	return !in.failing() && len(in.bag.tasks) == 0 && len(in.bag.arrived) == 0 && in.looked && !in.backlog && !in.parking && !in.loading &&
		in.bag.suspended.Load() == nil && in.breaker.State() == delivery.Closed
}

// work sends out a worker that reports back to this actor.
func (in *integration) work(do func(ctx context.Context) any) bool {
	root, self := in.sys.root, in.self
	return in.t.crew.Go(func(ctx context.Context) {
		if report := do(ctx); report != nil {
			root.Send(self, report)
		}
	})
}

// wakeAt makes the actor proceed at a time, unless it will before.
func (in *integration) wakeAt(at time.Time) {
	if !in.wakeTime.IsZero() && !at.Before(in.wakeTime) {
		return
	}
	in.stopTimer()
	in.generation++
	message := wake{in.generation}
	in.wakeTime = at
	root, self := in.sys.root, in.self
	in.timer = time.AfterFunc(at.Sub(in.sys.cfg.Now()), func() { root.Send(self, message) })
}

func (in *integration) stopTimer() {
	if in.timer != nil {
		in.timer.Stop()
	}
}
