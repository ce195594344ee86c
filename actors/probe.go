package actors

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// slotPause is how long a probe waits that found no call slot free.
const slotPause = time.Second

// probe asks the vendor now and then whether it would take a delivery, where it has something to ask
// that changes nothing. The answer is told in the integration's health; deliveries, breaker and the
// actor's idleness know nothing of it. While the breaker is open its own probes ask.
func (in *integration) probe() {
	prober, ok := in.conn.(adapter.Prober)
	if !ok || in.probing || in.breaker.State() != delivery.Closed || !in.t.valid() {
		return
	}
	if _, why := in.resting(); why != "" {
		return
	}
	now := in.sys.cfg.Now()
	if in.nextProbe.IsZero() { // begun a moment ago, perhaps with many others
		in.nextProbe = now.Add(time.Duration(rand.Float64() * float64(in.sys.cfg.ProbeEvery)))
	}
	if !now.Before(in.nextProbe) && !in.sendProbe(prober) {
		in.nextProbe = now.Add(slotPause)
	}
	if !in.probing {
		in.wakeAt(in.nextProbe)
	}
}

// sendProbe sends out a worker that makes the call, or reports that there is no slot for it.
func (in *integration) sendProbe(prober adapter.Prober) bool {
	if in.queued { // deliveries are in line for the next slot
		return false
	}
	if !in.sys.gate.TryAcquire(in.id, in.limits.MaxInFlight) {
		in.sys.gate.Leave(in.id)
		return false
	}
	entry, conn, timeout := in.entry, in.conn, time.Duration(in.limits.Timeout)
	in.probing = in.work(func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		defer context.AfterFunc(in.t.pull, cancel)() // a tenure that ends does not wait for it
		outcome := in.askProbe(ctx, prober, conn)
		in.sys.gate.Release(in.id)
		if in.t.pull.Err() != nil {
			return nil // called off
		}
		return probed{incarnation: in.incarnation, entry: entry, outcome: outcome}
	})
	if !in.probing {
		in.sys.gate.Release(in.id)
	}
	return true
}

// askProbe makes the call and has the adapter read the answer; a panic on the way is an answer too.
func (in *integration) askProbe(ctx context.Context, prober adapter.Prober, conn adapter.Connection) (outcome event.Probe) {
	outcome.At = in.sys.cfg.Now().UTC()
	begun := time.Now()
	var err error
	defer func() {
		if err != nil {
			outcome.OK, outcome.Reason = false, reasonOf(err)+": "+err.Error()
		}
		outcome.Reason = outcome.Reason[:min(len(outcome.Reason), maxDetail)]
		outcome.Duration = event.Duration(time.Since(begun))
	}()
	defer recovered(&err)
	now := in.sys.cfg.Now()
	call, err := prober.Probe(now)
	if err != nil {
		return outcome
	}
	answer := adapter.Exchange(ctx, conn, call, now, in.sys.cfg.Caller.Do)
	verdict := conn.Classify(nil, answer)
	if answer.Err != nil {
		verdict = unanswered(verdict, answer.Err)
	}
	if outcome.OK = verdict.Kind == adapter.KindDelivered; !outcome.OK {
		outcome.Reason = strings.TrimSuffix(verdict.Reason+": "+verdict.Detail, ": ")
	}
	return outcome
}

// probed takes note of an answer, unless the integration was changed since it was asked.
func (in *integration) probed(m probed) {
	in.probing = false
	if m.entry != in.entry {
		return
	}
	if in.lastProbe == nil || in.lastProbe.OK != m.outcome.OK {
		in.log.Info().Bool("ok", m.outcome.OK).Str("reason", m.outcome.Reason).Msg("probe of the vendor")
	}
	in.lastProbe = &m.outcome
	const jitter = 0.1 // up and down
	every := float64(in.sys.cfg.ProbeEvery)
	in.nextProbe = in.sys.cfg.Now().Add(time.Duration(every * (1 + jitter*(2*rand.Float64()-1))))
}
