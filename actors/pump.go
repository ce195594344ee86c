package actors

import (
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// pump starts what may be started: the lanes' heads, as far as breaker, rates, the node's call slots
// and the lease allow.
func (in *integration) pump() {
	if !in.t.valid() {
		return
	}
	if reason, over := in.over(); over {
		in.leaveLine()
		in.skipAll(reason)
		return
	}
	in.expire()
	if _, why := in.resting(); why != "" {
		in.leaveLine()
		return
	}
	for in.startNext(in.sys.cfg.Now()) {
	}
}

// leaveLine lets go of a call slot that was promised and is not needed.
func (in *integration) leaveLine() {
	if in.queued {
		in.queued = false
		in.sys.gate.Leave(in.id)
	}
}

// startNext starts one attempt, or arranges to be woken when one may be started, and reports which.
func (in *integration) startNext(now time.Time) bool {
	if !in.startable(now) {
		in.leaveLine()
		return false
	}
	if in.queued = !in.sys.gate.TryAcquire(in.id, in.limits.MaxInFlight); in.queued {
		root, self := in.sys.root, in.self
		in.sys.gate.Wait(in.id, func() { root.Send(self, slotFree{}) })
		return false
	}
	key, item, _ := in.lanes.Next(now)
	if in.sys.isErased((*item).d) {
		in.sys.gate.Release(in.id)
		in.settle(*item, event.Skipped, event.ReasonErased, "")
		return true
	}
	if until := in.quietUntil((*item).d, now); !until.IsZero() {
		in.sys.gate.Release(in.id)
		in.holdQuiet(key, (*item).d, until)
		return true
	}
	if wait := in.recipientWait(*item, now); wait > 0 {
		in.sys.gate.Release(in.id)
		in.lanes.Hold(key, now.Add(wait))
		return true
	}
	if wait := in.limiter.Take(now); wait > 0 {
		in.sys.gate.Release(in.id)
		in.lanes.Hold(key, time.Time{})
		in.wakeAt(now.Add(wait))
		return false
	}
	in.breaker.Allow(now)
	in.try(*item, in.breaker.State() == delivery.HalfOpen)
	return true
}

// startable reports whether a lane's head and the breaker are ready for an attempt now; if they will
// be by themselves, the actor is woken then.
func (in *integration) startable(now time.Time) bool {
	at, ok := in.lanes.Wake(now)
	if in.breaker.State() == delivery.Open && at.Before(in.breaker.NextProbe()) {
		at = in.breaker.NextProbe()
	}
	switch {
	case !ok, in.breaker.State() == delivery.HalfOpen: // the probe is out; its answer decides
		return false
	case at.After(now):
		in.wakeAt(at)
		return false
	}
	return true
}

// recipientWait is how long the task's recipient must be left alone, where the vendor limits that.
func (in *integration) recipientWait(t *task, now time.Time) time.Duration {
	if in.recipients == nil {
		return 0
	}
	recipient := recipientOf(in.conn, t.d, now)
	if recipient == "" {
		return 0 // the attempt itself will tell what is wrong
	}
	return in.recipients.Take(recipient, now)
}

func recipientOf(conn adapter.Connection, d *event.Delivery, now time.Time) string {
	var err error
	defer recovered(&err)
	call, err := conn.Call(d, now)
	if err != nil {
		return ""
	}
	return call.Recipient
}

// expire ends what has waited longer than the integration's park limit.
func (in *integration) expire() {
	now, limit := in.sys.cfg.Now(), time.Duration(in.limits.ParkLimit)
	if now.Before(in.nextExpiry) {
		return
	}
	in.nextExpiry = now.Add(min(max(limit/20, 100*time.Millisecond), time.Minute))
	for _, t := range in.lanes.Expire(func(t **task) bool { return in.waited((*t).d, now) > limit }) {
		t.out = true
		in.settle(t, event.Dead, event.ReasonExpired, "it waited longer than the integration's limit of "+limit.String())
	}
}

// skipAll ends everything that waits, since the integration is no more.
func (in *integration) skipAll(reason string) {
	for _, t := range in.lanes.Expire(func(**task) bool { return true }) {
		t.out = true
		in.settle(t, event.Skipped, reason, "")
	}
}
