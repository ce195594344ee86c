package actors

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/cluster/journal"
)

// parkBatch is how many deliveries one worker parks at a time.
const parkBatch = 256

// returningLimit is how long to wait for what was in memory before; it comes at once, or has gone.
const returningLimit = 5 * time.Second

// returning is how an integration with a park begins after a take-over. What its actor held in memory
// before is older than the park, and is on its way back from the work queue; only then comes the
// park, and what was before the integration in the work queue but not in memory comes last.
type returning struct {
	park   []journal.Parked
	newest uint64 // of the work queue, then: nothing comes back beyond it
	until  time.Time
}

// oldest is the work queue position that the park begins with. What was parked side by side, or after a
// refusal, does not lie in the order of its positions.
func (r *returning) oldest() uint64 {
	oldest := r.park[0].Delivery.Queued
	for _, p := range r.park {
		oldest = min(oldest, p.Delivery.Queued)
	}
	return oldest
}

// intake takes what arrived into the lanes while there is room and nothing older waits in the park;
// everything else goes to the park, behind what is there.
func (in *integration) intake() {
	if in.parking || !in.looked {
		return
	}
	if in.found != nil && !in.returned() {
		return
	}
	for len(in.bag.arrived) > 0 && in.room() {
		in.takeIn()
	}
	if len(in.bag.arrived) > 0 {
		in.park()
	}
}

// takeIn puts the oldest that arrived into its lane.
func (in *integration) takeIn() {
	w := in.bag.arrived[0]
	in.bag.arrived[0] = nil
	in.bag.arrived = in.bag.arrived[1:]
	in.lanes.Push(w.Delivery.Channel, in.bag.add(&task{d: w.Delivery, work: w}))
	in.t.works.give(1)
}

// returned takes in what was in memory before the take-over and, when all of it is back, what the
// first look found in the park.
func (in *integration) returned() bool {
	r, oldest := in.found, in.found.oldest()
	for len(in.bag.arrived) > 0 && in.bag.arrived[0].Seq < oldest {
		in.takeIn()
	}
	if in.bag.newest < min(r.newest, oldest) && in.sys.cfg.Now().Before(r.until) {
		in.wakeAt(r.until)
		return false
	}
	in.found = nil
	in.takeParked(r.park)
	return true
}

func (in *integration) takeParked(items []journal.Parked) {
	for _, item := range items {
		in.lanes.Push(item.Delivery.Channel, in.bag.add(&task{d: item.Delivery, parkSeq: item.Seq}))
		in.bag.loaded = item.Seq
	}
}

// room reports whether a delivery that arrives may be held in memory.
func (in *integration) room() bool {
	if in.backlog || len(in.bag.tasks) >= in.sys.cfg.Hold {
		return false
	}
	if _, over := in.over(); over {
		return true
	}
	_, why := in.resting()
	return why == "" && in.breaker.State() == delivery.Closed
}

// park moves what arrived into the park as far as the log has room for it, channels side by side and
// each in its order. After a refusal the oldest goes first and alone, so that nothing younger gets far
// in front of it.
func (in *integration) park() {
	if now := in.sys.cfg.Now(); now.Before(in.parkAfter) {
		in.wakeAt(in.parkAfter)
		return
	}
	batch := parkBatch
	if in.parkPause > 0 {
		batch = 1
	}
	works := slices.Clone(in.bag.arrived[:min(len(in.bag.arrived), batch)])
	in.backlog = true
	in.parking = in.work(func(ctx context.Context) any {
		left, err := in.sys.park(ctx, works)
		if ctx.Err() != nil {
			return nil // the tenure ends
		}
		return parked{incarnation: in.incarnation, count: len(works), left: left, err: err}
	})
}

// park stores each in the park and lets it leave the work queue. It returns, in order, what the log
// did not take, and an error that it gave.
func (s *System) park(ctx context.Context, works []*journal.Work) (left []*journal.Work, err error) {
	lanes := map[string][]int{}
	for i, w := range works {
		lanes[w.Delivery.Channel] = append(lanes[w.Delivery.Channel], i)
	}
	stored := make([]bool, len(works))
	g, storing := errgroup.WithContext(context.WithoutCancel(ctx))
	for _, lane := range lanes {
		g.Go(func() error {
			for _, i := range lane {
				if storing.Err() != nil {
					return nil
				}
				d := *works[i].Delivery
				d.Queued = works[i].Seq
				if err := s.cfg.Journal.Park(ctx, &d); err != nil {
					return err
				}
				_ = works[i].Ack() // unacknowledged, it comes again and is parked again, to no effect
				stored[i] = true
			}
			return nil
		})
	}
	err = g.Wait()
	for i, w := range works {
		if !stored[i] {
			left = append(left, w)
		}
	}
	return left, err
}

// parked takes note of what was parked. Where the log refused the rest, it is tried again later, but
// not insisted on: a log that is full of these very deliveries gets room only when they are made, and
// once the park is empty they may be taken in as they are.
func (in *integration) parked(m parked) {
	stored := m.count - len(m.left)
	in.parking, in.reparked = false, in.reparked || stored > 0
	copy(in.bag.arrived[stored:], m.left)
	clear(in.bag.arrived[:stored])
	in.bag.arrived = in.bag.arrived[stored:]
	in.parkCount += uint64(stored)
	in.t.works.give(stored)
	in.sys.metrics.parked.Add(float64(stored))
	if m.err == nil {
		in.parkPause, in.parkAfter = 0, time.Time{}
		return
	}
	in.parkPause = min(max(2*in.parkPause, minPause), maxPause)
	in.parkAfter = in.sys.cfg.Now().Add(in.parkPause)
	in.sys.metrics.retries.Inc()
	in.log.Warn().Err(m.err).Dur("again_in", in.parkPause).Msg("parking deliveries: the log refused it; trying again")
}

// load takes the oldest from the park once memory has room again, or looks for the first time whether
// anything waits there.
func (in *integration) load() {
	limit := in.sys.cfg.Hold - len(in.bag.tasks)
	if !in.backlog || in.loading || in.found != nil || len(in.bag.tasks) > in.sys.cfg.Hold/2 {
		return
	}
	if _, why := in.resting(); why != "" && in.looked {
		if _, over := in.over(); !over {
			return
		}
	}
	after, first := in.bag.loaded, !in.looked
	in.reparked = false
	in.loading = in.work(func(ctx context.Context) any {
		m := unparked{incarnation: in.incarnation}
		m.err = in.sys.persist(ctx, "reading the park", func(ctx context.Context) (err error) {
			if first {
				if m.count, err = in.sys.cfg.Journal.ParkedCount(ctx, in.id); err != nil || m.count == 0 {
					return err
				}
				if m.newest, err = in.sys.cfg.Journal.LastWork(ctx, in.id); err != nil {
					return err
				}
			}
			m.items, err = in.sys.cfg.Journal.ParkedNext(ctx, in.id, after, limit)
			return err
		})
		return m
	})
}

func (in *integration) unparked(m unparked) {
	in.loading = false
	if m.err != nil {
		return // the tenure ends
	}
	first := !in.looked
	if first {
		in.looked, in.parkCount = true, m.count
	}
	switch {
	case len(m.items) == 0:
		in.backlog = in.parking || in.reparked
	case first:
		in.found = &returning{park: m.items, newest: m.newest, until: in.sys.cfg.Now().Add(returningLimit)}
	default:
		in.takeParked(m.items)
	}
}
