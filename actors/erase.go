package actors

import (
	"context"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// erasure is a wedding that was erased: what was accepted before of it is delivered no more, although an
// actor may still hold it in memory.
type erasure struct {
	concerns func(*event.Event) bool
	before   time.Time
}

// erasePasses bounds how often the log is gone through: what was on its way from the event log to the
// work queue in one pass is found in the next.
const erasePasses = 5

// Erase removes a wedding from the log: its events, the deliveries that wait, the dead letters, and what is
// remembered of its profiles. What
// the actors hold in memory is skipped, with the reason event.ReasonErased; a call that is under way is not
// called back. It looks again until nothing is left, and returns what was removed and what is left, which
// is nothing unless it is still being published. With only, nothing is done, and left is what there is.
func (s *System) Erase(ctx context.Context, wedding string, only bool) (removed, left journal.Erased, err error) {
	concerns := s.cfg.Registry.Concerns(wedding)
	e := erasure{concerns: concerns, before: s.cfg.Now()}
	selection := journal.Selection{
		Event:    func(ev *event.Event) bool { return !ev.AcceptedAt.After(e.before) && concerns(ev) },
		Delivery: e.takes,
		Client: func(id string, at time.Time) bool {
			return e.takes(&event.Delivery{WeddingID: id, Channel: event.ProfileChannel(id), AcceptedAt: at})
		},
	}
	if only {
		left, err = s.cfg.Journal.Erase(ctx, selection, true)
		return removed, left, err
	}
	s.erasing.Lock()
	all := []erasure{e}
	if old := s.erased.Load(); old != nil {
		all = append(all, *old...)
	}
	s.erased.Store(&all)
	s.erasing.Unlock()
	for range erasePasses {
		gone, err := s.cfg.Journal.Erase(ctx, selection, false)
		removed.Add(gone)
		if err != nil {
			return removed, left, err
		}
		if gone.Sum() == 0 {
			return removed, left, nil
		}
	}
	left, err = s.cfg.Journal.Erase(ctx, selection, true)
	return removed, left, err
}

func (e erasure) takes(d *event.Delivery) bool {
	return !d.AcceptedAt.After(e.before) && e.concerns(&event.Event{Channel: d.Channel, WeddingID: d.WeddingID})
}

// isErased reports whether a delivery's wedding was erased after its event was accepted.
func (s *System) isErased(d *event.Delivery) bool {
	all := s.erased.Load()
	if all == nil {
		return false
	}
	for _, e := range *all {
		if e.takes(d) {
			return true
		}
	}
	return false
}

// anonymous takes out of a record what tells whose wedding it was about.
func (s *System) anonymous(r *event.DeliveryRecord) {
	if !s.isErased(&event.Delivery{Channel: r.Channel, WeddingID: r.WeddingID, AcceptedAt: r.AcceptedAt}) {
		return
	}
	r.WeddingID, r.Channel, r.EventID = event.Erased, event.Erased, event.Erased
	for i := range r.Attempts {
		r.Attempts[i].Detail = ""
	}
}
