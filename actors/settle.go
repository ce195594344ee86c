package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/cluster/journal"
)

// withheld takes a delivery back that was not tried.
func (in *integration) withheld(m withheld) {
	in.inFlight--
	if m.probe {
		in.breaker.Cancel()
	}
	in.lanes.Hold(m.task.d.Lane(), time.Time{})
}

// attempted takes an attempt's verdict.
func (in *integration) attempted(m attempted) {
	in.inFlight--
	now := in.sys.cfg.Now()
	t, v := m.task, m.verdict
	t.tried(m.attempt, m.recorded)
	in.rate.Add(now, v.Kind == adapter.KindDelivered)
	if v.Kind != adapter.KindDelivered {
		in.lastError, in.lastErrorAt = v.Reason, m.attempt.StartedAt
		in.log.Debug().Str("event_id", t.d.EventID).Str("channel", t.d.Channel).Str("vendor", t.d.Vendor).
			Int("attempt", m.attempt.Number).Str("verdict", v.Kind.String()).Str("reason", v.Reason).
			EmbedObject(tracing.Log(t.d.TraceParent)).Msg("attempt failed")
	}
	if m.heard {
		in.judge(now, v.Fault, m.attempt.Probe)
	} else if m.attempt.Probe {
		in.breaker.Cancel() // it told nothing; another one has to
	}

	switch v.Kind {
	case adapter.KindDelivered:
		in.sys.metrics.deliveries.WithLabelValues(t.d.Vendor, string(event.Delivered)).Inc()
		in.forget(t)
	case adapter.KindDead:
		in.settle(t, event.Dead, v.Reason, v.Detail)
	case adapter.KindPause:
		in.lanes.Hold(t.d.Lane(), time.Time{})
		in.pauseItself(v)
	case adapter.KindInstead:
		in.instead(t, v)
	case adapter.KindRetry:
		in.retry(now, t, v)
	}
}

// judge tells the breaker. An answer that is not the vendor's fault proves that the vendor is up.
func (in *integration) judge(now time.Time, fault, probe bool) {
	if !fault {
		if in.breaker.Success(now, probe) {
			in.log.Info().Msg("breaker closed; what waited is delivered in order")
		}
		return
	}
	wasClosed := in.breaker.State() == delivery.Closed
	if in.breaker.Failure(now, probe) && wasClosed {
		in.sys.metrics.breakers.WithLabelValues(in.entryVendor()).Inc()
		in.log.Warn().Str("reason", in.lastError).Time("next_probe", in.breaker.NextProbe()).Msg("breaker open; deliveries wait")
		for _, t := range in.bag.tasks {
			t.spent = 0 // what the outage cost them is given back
		}
	}
}

func (in *integration) retry(now time.Time, t *task, v adapter.Verdict) {
	until := time.Time{}
	if v.RetryAfter > 0 {
		until = now.Add(v.RetryAfter)
	}
	if in.breaker.State() != delivery.Closed {
		in.lanes.Hold(t.d.Lane(), until) // it waits with the rest; the attempt is not spent
		return
	}
	t.spent++
	v.RetryAfter = v.After(t.spent)
	jitter := rand.Float64()
	wait, ok := in.sys.cfg.Retry.Next(t.spent, v.RetryAfter, jitter)
	if !ok && v.Fault && in.breaker.Failures() >= t.spent {
		// Nothing has succeeded since this delivery was first tried: the vendor may be down, and the
		// breaker just has not seen enough. Its attempts do not run out before that is known.
		t.spent--
		wait, ok = in.sys.cfg.Retry.Next(t.spent, v.RetryAfter, jitter)
	}
	if ok {
		in.lanes.Hold(t.d.Lane(), now.Add(wait))
		return
	}
	in.settle(t, event.Dead, event.ReasonExhausted, v.Reason+": "+v.Detail)
}

// instead sends another body in the delivery's place, on the vendor's word, once.
func (in *integration) instead(t *task, v adapter.Verdict) {
	if t.instead {
		in.settle(t, event.Dead, v.Reason, v.Detail)
		return
	}
	other := *t.d
	other.Body = v.Instead
	t.d, t.instead = &other, true
	in.lanes.Hold(t.d.Lane(), time.Time{})
}

// pauseItself stops sending until an admin resumes; the registry is told, so that it lasts.
func (in *integration) pauseItself(v adapter.Verdict) {
	if in.stopped != nil {
		return
	}
	p := event.Pause{Reason: v.Reason + ": " + v.Detail, By: event.PausedBySystem, At: in.sys.cfg.Now().UTC()}
	in.stopped = &p
	in.log.Error().Str("reason", p.Reason).Msg("paused: the vendor's answer needs an admin; deliveries wait")
	in.work(func(ctx context.Context) any {
		_ = in.sys.persist(ctx, "pausing the integration", func(ctx context.Context) error {
			return in.sys.cfg.Registry.Pause(ctx, in.id, p)
		})
		return nil
	})
}

// settle ends a delivery that will not be made; its lane goes on when that is in the log.
func (in *integration) settle(t *task, outcome event.Outcome, reason, detail string) {
	now := in.sys.cfg.Now().UTC()
	r := in.record(t.d)
	r.Attempts = t.unrecorded()
	r.Result = &event.Result{Outcome: outcome, Reason: reason, FinishedAt: now, Attempts: t.made}
	in.sys.metrics.deliveries.WithLabelValues(t.d.Vendor, string(outcome)).Inc()
	in.sys.metrics.limit(reason)
	var letter *event.DeadLetter
	if outcome == event.Dead {
		in.log.Warn().Str("event_id", t.d.EventID).Str("channel", t.d.Channel).Str("vendor", t.d.Vendor).
			Str("reason", reason).EmbedObject(tracing.Log(t.d.TraceParent)).Msg("delivery is dead; replay it when the cause is mended")
		letter = &event.DeadLetter{
			V: event.Version, Delivery: *t.d, EventSeq: t.d.EventSeq, Attempts: append([]event.Attempt(nil), t.attempts...),
			Reason: reason, Detail: detail[:min(len(detail), maxDetail)], DiedAt: now,
		}
		if r.Excluded() == "" {
			letter.Delivery.Died = now
		}
	}
	e := ending{delivery: t.d, record: r, letter: letter, work: t.work, parkSeq: t.parkSeq}
	in.work(func(ctx context.Context) any {
		if in.t.finish(ctx, e) != nil {
			return nil
		}
		return settled{incarnation: in.incarnation, task: t}
	})
}

// forget lets go of a delivery that has left the log.
func (in *integration) forget(t *task) {
	if !t.out {
		in.lanes.Done(t.d.Lane())
	}
	in.setQuiet(t, false)
	delete(in.bag.tasks, t.n)
	if t.work == nil && in.parkCount > 0 {
		in.parkCount--
	}
}

func (in *integration) entryVendor() string {
	if in.entry == nil {
		return ""
	}
	return in.entry.Integration.Vendor
}

// ending is how a delivery ended.
type ending struct {
	delivery *event.Delivery
	record   *event.DeliveryRecord // with its result
	letter   *event.DeadLetter     // of one that is dead
	kept     event.ProfileOutcome  // what the vendor says of a profile that arrived
	work     *journal.Work         // where it is in the work queue, or
	parkSeq  uint64                // in the park
}

// finish writes how a delivery ended and then lets it leave the log. Whatever of it is done twice,
// after a crash, has no effect the second time. What has arrived has, whoever owns the shard by now; what has
// not is the owner's to end.
func (t *tenure) finish(ctx context.Context, e ending) error {
	s, persist := t.sys, t.persist
	if e.record.Result.Outcome == event.Delivered {
		persist = s.persist
	}
	err := persist(ctx, "ending a delivery", func(ctx context.Context) error {
		if e.letter != nil {
			if err := s.completeLetter(ctx, e.letter); err != nil {
				return err
			}
			if err := s.cfg.Journal.Bury(ctx, e.letter); err != nil {
				return err
			}
		}
		if err := s.record(ctx, e.record); err != nil {
			return err
		}
		if e.delivery.Profile != "" {
			if err := s.briefed(ctx, e.delivery, e.record.Result, e.kept); err != nil {
				return err
			}
		}
		if e.work != nil {
			return e.work.Ack()
		}
		if err := s.cfg.Journal.Unpark(ctx, e.parkSeq); !errors.Is(err, journal.ErrNotFound) {
			return err
		}
		return nil
	})
	if err == nil {
		s.ended(e.record)
	}
	return err
}

// completeLetter puts the event into a dead letter, for its replay.
func (s *System) completeLetter(ctx context.Context, letter *event.DeadLetter) error {
	if letter.Event.ID != "" || letter.Delivery.Profile != "" {
		return nil
	}
	ev, err := s.cfg.Journal.EventAt(ctx, letter.EventSeq)
	if errors.Is(err, journal.ErrNotFound) {
		s.log.Warn().Str("event_id", letter.Delivery.EventID).EmbedObject(tracing.Log(letter.Delivery.TraceParent)).
			Msg("the event is no longer in the log; its dead letter can be replayed only as it was encoded")
		return nil
	}
	if err != nil {
		return err
	}
	letter.Event = *ev
	return nil
}
