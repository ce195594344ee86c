package actors

import (
	"context"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// parkBatch is how many deliveries one worker parks at a time.
const parkBatch = 256

// returningLimit is how long to wait for what was in memory before; it comes at once, or has gone.
const returningLimit = 5 * time.Second

// returning is how an integration with a park begins after a take-over. What its actor held in memory
// before is on its way back from the work queue, and lies among the park: behind what had been loaded
// from there, in front of what was parked when memory was full or the vendor down.
type returning struct {
	park   []journal.Parked // its first page, by work queue position
	newest uint64           // of the work queue, then: nothing comes back beyond it
	until  time.Time
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
	in.push(&task{d: w.Delivery, work: w})
	in.t.works.give(1)
}

// returned takes in what was in memory before the take-over together with what the first look found in
// the park, each in its place. What comes back beyond the page goes behind the park.
func (in *integration) returned() bool {
	r := in.found
	last := r.park[len(r.park)-1].Delivery.Queued
	for len(in.bag.arrived) > 0 && in.bag.arrived[0].Seq <= last {
		n := 0
		for r.park[n].Delivery.Queued < in.bag.arrived[0].Seq {
			n++
		}
		in.takeParked(r.park[:n])
		r.park = r.park[n:]
		if in.bag.arrived[0].Seq < r.park[0].Delivery.Queued {
			in.takeIn()
			continue
		}
		_ = in.bag.arrived[0].Ack() // it was parked and its acknowledgement lost
		in.bag.arrived = in.bag.arrived[1:]
		in.t.works.give(1)
	}
	if in.bag.newest < min(r.newest, last) && in.sys.cfg.Now().Before(r.until) {
		in.wakeAt(r.until)
		return false
	}
	in.found = nil
	in.takeParked(r.park)
	return true
}

func (in *integration) takeParked(items []journal.Parked) {
	for _, item := range items {
		in.push(&task{d: item.Delivery, parkSeq: item.Seq})
		in.bag.loaded = item.Seq
	}
}

// room reports whether a delivery that arrives may be held in memory.
func (in *integration) room() bool {
	if in.backlog || in.crowd() >= in.sys.cfg.Hold {
		return false
	}
	if _, over := in.over(); over {
		return true
	}
	_, why := in.resting()
	return why == "" && in.breaker.State() == delivery.Closed
}

// park moves what arrived into the park, the oldest first, as far as the log has room for it and while the lease
// is valid.
func (in *integration) park() {
	if !in.t.valid() {
		return
	}
	if now := in.sys.cfg.Now(); now.Before(in.parkAfter) {
		in.wakeAt(in.parkAfter)
		return
	}
	works := slices.Clone(in.bag.arrived[:min(len(in.bag.arrived), parkBatch)])
	in.backlog = true
	in.parking = in.work(func(ctx context.Context) any {
		m := parked{incarnation: in.incarnation}
		while, end := in.t.lease.Context(ctx)
		defer end()
		m.count, m.err = in.sys.parkAll(while, works)
		if ctx.Err() != nil {
			return nil // the tenure ends
		}
		return m
	})
}

// parkAll moves work into the park, in order, and returns how much of it is there.
func (s *System) parkAll(ctx context.Context, works []*journal.Work) (int, error) {
	ds := make([]*event.Delivery, len(works))
	for i, w := range works {
		d := *w.Delivery
		d.Queued = w.Seq
		ds[i] = &d
	}
	count, err := s.cfg.Journal.Park(ctx, ds...)
	for _, w := range works[:count] {
		_ = w.Ack() // unacknowledged, it comes again and is parked again, to no effect
	}
	return count, err
}

// parked takes note of what was parked. Where the log refused the rest, it is tried again later, but
// not insisted on: a log that is full of these very deliveries gets room only when they are made, and
// once the park is empty they may be taken in as they are.
func (in *integration) parked(m parked) {
	in.parking, in.reparked = false, in.reparked || m.count > 0
	clear(in.bag.arrived[:m.count])
	in.bag.arrived = in.bag.arrived[m.count:]
	in.parkCount += uint64(m.count)
	in.t.works.give(m.count)
	in.sys.metrics.parked.Add(float64(m.count))
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
	if !in.backlog || in.loading || in.found != nil {
		return
	}
	crowd := in.crowd()
	if crowd > in.sys.cfg.Hold/2 {
		return
	}
	limit := in.sys.cfg.Hold - crowd
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
		if in.backlog = in.parking || in.reparked; !in.backlog {
			in.parkCount = in.bag.fromPark() // what was erased was counted, too
		}
	case first:
		in.found = &returning{park: m.items, newest: m.newest, until: in.sys.cfg.Now().Add(returningLimit)}
	default:
		in.takeParked(m.items)
	}
}
