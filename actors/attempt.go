package actors

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
)

// maxDetail bounds what is kept of a vendor's words, in bytes.
const maxDetail = 1 << 10

// try sends out a worker that makes one call. A success is recorded and leaves the log in the same
// worker; what else an answer means is the actor's to say.
func (in *integration) try(t *task, probe bool) {
	in.inFlight++
	conn, timeout := in.conn, time.Duration(in.limits.Timeout)
	d, work, parkSeq := t.d, t.work, t.parkSeq
	number, before, r := t.made+1, t.unrecorded(), in.record(d)
	sent := in.work(func(ctx context.Context) any {
		if !in.t.valid() { // this node may have been stopped for a while just now
			in.sys.gate.Release(in.id)
			return withheld{incarnation: in.incarnation, task: t, probe: probe}
		}
		span := in.sys.cfg.Tracer.Start(d.TraceParent, "deliver", tracing.Consumer)
		defer span.End()
		r.TraceParent = span.TraceParent()
		attempt, verdict, heard := in.sys.exchange(ctx, conn, under(span, d), timeout)
		in.sys.gate.Release(in.id)
		if span.Recording() {
			describe(span, d, number, verdict)
		}
		if ctx.Err() != nil {
			return nil // called off: the delivery stays in the log
		}
		in.sys.live.Attempted(d.Vendor, d.Integration, verdict.Kind == adapter.KindDelivered)
		attempt.Number, attempt.Probe = number, probe
		m := attempted{incarnation: in.incarnation, task: t, attempt: attempt, verdict: verdict, heard: heard}
		r.Attempts = slices.Concat(before, []event.Attempt{attempt})
		if verdict.Kind != adapter.KindDelivered {
			m.recorded = in.sys.record(ctx, r) == nil
			return m
		}
		r.Result = &event.Result{Outcome: event.Delivered, FinishedAt: attempt.StartedAt.Add(time.Duration(attempt.Duration)), Attempts: number}
		if in.t.finish(ctx, ending{delivery: d, record: r, kept: verdict.Kept, work: work, parkSeq: parkSeq}) != nil {
			return nil
		}
		return m
	})
	if !sent {
		in.sys.gate.Release(in.id)
	}
}

// exchange makes one call and says what came of it, and whether the vendor was heard of: it answered,
// or is at fault that it did not.
func (s *System) exchange(ctx context.Context, conn adapter.Connection, d *event.Delivery, timeout time.Duration) (_ event.Attempt, _ adapter.Verdict, heard bool) {
	attempt := event.Attempt{StartedAt: s.cfg.Now().UTC()}
	span := s.cfg.Tracer.Start(d.TraceParent, "attempt", tracing.Client)
	defer span.End()
	begun := time.Now()
	status, verdict := s.call(ctx, conn, under(span, d), timeout)
	attempt.Duration = event.Duration(time.Since(begun))
	attempt.Status, attempt.Verdict, attempt.Reason = status, verdict.Kind.String(), verdict.Reason
	attempt.Detail = verdict.Detail[:min(len(verdict.Detail), maxDetail)]
	s.metrics.attempts.WithLabelValues(d.Vendor, attempt.Verdict).Inc()
	if attempt.Reason == event.ReasonTimeout {
		s.metrics.limit(attempt.Reason)
	}
	s.metrics.seconds.WithLabelValues(d.Vendor).Observe(time.Duration(attempt.Duration).Seconds())
	if span.Recording() {
		span.Set(tracing.Vendor.String(d.Vendor), tracing.Integration.String(d.Integration), tracing.Status.Int(status))
		judged(span, verdict)
	}
	return attempt, verdict, status != 0 || verdict.Fault
}

// under returns the delivery as the span's hop passes it on.
func under(span tracing.Span, d *event.Delivery) *event.Delivery {
	if span.TraceParent() == d.TraceParent {
		return d
	}
	own := *d
	own.TraceParent = span.TraceParent()
	return &own
}

// describe says in the span of one try what was tried, and how it went.
func describe(span tracing.Span, d *event.Delivery, number int, v adapter.Verdict) {
	span.Set(tracing.EventID.String(d.EventID), tracing.EventType.String(d.EventType), tracing.Channel.String(d.Channel),
		tracing.DeliveryID.String(d.ID), tracing.Integration.String(d.Integration), tracing.Vendor.String(d.Vendor), tracing.Attempt.Int(number))
	judged(span, v)
}

// judged tells the verdict, without the vendor's words, which may repeat what it was sent.
func judged(span tracing.Span, v adapter.Verdict) {
	span.Set(tracing.Verdict.String(v.Kind.String()))
	if v.Kind != adapter.KindDelivered {
		span.Set(tracing.ErrorType.String(v.Reason))
		span.Fail(v.Reason)
	}
}

// call makes the call and has the adapter read the answer. Whatever panics on the way is a defect that
// this delivery has met; the others go on.
func (s *System) call(ctx context.Context, conn adapter.Connection, d *event.Delivery, timeout time.Duration) (status int, verdict adapter.Verdict) {
	var err error
	defer func() {
		if err != nil {
			verdict = adapter.Verdict{Kind: adapter.KindDead, Reason: reasonOf(err), Detail: err.Error()}
		}
	}()
	defer recovered(&err)
	now := s.cfg.Now()
	call, err := conn.Call(d, now)
	if err != nil {
		return 0, verdict
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer := adapter.Exchange(ctx, conn, call, now, s.cfg.Caller.Do)
	status, verdict = answer.Status, conn.Classify(d, answer)
	if answer.Err != nil && verdict.Kind != adapter.KindDelivered {
		verdict = unanswered(verdict, answer.Err)
	}
	return status, timely(verdict, answer, now)
}

// maxSkew is how far a vendor's clock may be from this node's before a refusal is put down to that. Whoever verifies
// signatures takes those of the last 5 minutes (Standard Webhooks 1.0), which leaves room for a slow call.
const maxSkew = 2 * time.Minute

// timely has a delivery tried again that a vendor refused as not signed by us while this node's clock is wrong: no
// admin need mend the integration for it. It goes by the answer's Date, which is the vendor's clock.
func timely(v adapter.Verdict, a *event.Answer, now time.Time) adapter.Verdict {
	if v.Kind != adapter.KindPause || a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
		return v
	}
	theirs, err := http.ParseTime(a.Header.Get("Date"))
	skew := now.Sub(theirs).Round(time.Second)
	if err != nil || skew.Abs() < maxSkew {
		return v
	}
	said := "ahead of"
	if skew < 0 {
		said = "behind"
	}
	return adapter.Verdict{
		Kind: adapter.KindRetry, Fault: true, Reason: event.ReasonClock,
		Detail: fmt.Sprintf("set this node's clock right, it is %v %s the vendor's; %s: %s", skew.Abs(), said, v.Reason, v.Detail),
	}
}

// unanswered completes the verdict on a call that no answer came to. One that was never made, since
// it cannot be or its address must not be called, waits for an admin whatever the adapter says.
func unanswered(v adapter.Verdict, err error) adapter.Verdict {
	if v.Reason == "" {
		v.Reason = delivery.Reason(err)
	}
	if v.Detail == "" {
		v.Detail = err.Error()
	}
	if v.Reason == event.ReasonBlocked || v.Reason == event.ReasonMisconfigured {
		return adapter.Verdict{Kind: adapter.KindPause, Reason: v.Reason, Detail: v.Detail}
	}
	return v
}
