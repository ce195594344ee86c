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
	wedding  string
	concerns func(*event.Event) bool
	before   time.Time
}

// erasePasses bounds how often the log is gone through: what was on its way from the event log to the
// work queue in one pass is found in the next.
const erasePasses = 5

// Erase says what is to be erased.
type Erase struct {
	Wedding string
	Records bool // also records in the log, which no ClickHouse takes
	Only    bool // only count what there is
}

// Erase removes a wedding from the log: its events, the deliveries that wait, the dead letters, what is
// remembered of its profiles, and its records if that is asked for. What the actors hold in memory is skipped,
// with the reason event.ReasonErased; a call that is under way is not called back. It looks again until nothing is
// left, and returns what was removed and what is left, which is nothing unless it is still being published. After
// an error or a crash, call it again.
func (s *System) Erase(ctx context.Context, what Erase) (removed, left journal.Erased, err error) {
	e := s.erasureOf(what.Wedding, s.cfg.Now())
	if what.Only {
		left, err = s.cfg.Journal.Erase(ctx, e.selection(what.Records), true)
		return removed, left, err
	}
	s.noteErasure(e)
	if err := s.noteErasureAbroad(ctx, e); err != nil {
		return removed, left, err
	}
	for range erasePasses {
		gone, err := s.cfg.Journal.Erase(ctx, e.selection(what.Records), false)
		removed.Add(gone)
		if err != nil {
			return removed, left, err
		}
		if gone.Sum() == 0 {
			return removed, left, nil
		}
	}
	left, err = s.cfg.Journal.Erase(ctx, e.selection(what.Records), true)
	return removed, left, err
}

func (s *System) erasureOf(wedding string, before time.Time) erasure {
	return erasure{wedding: wedding, concerns: s.cfg.Registry.Concerns(wedding), before: before}
}

// noteErasure has what is accepted of a wedding until now be skipped, and recorded without its name.
func (s *System) noteErasure(e erasure) {
	s.erasing.Lock()
	defer s.erasing.Unlock()
	all := []erasure{e}
	if old := s.erased.Load(); old != nil {
		for _, o := range *old {
			if o.wedding != e.wedding { // else the new one takes all that it took
				all = append(all, o)
			}
		}
	}
	s.erased.Store(&all)
}

// selection returns what to erase, for one pass through the log.
func (e erasure) selection(records bool) journal.Selection {
	s := journal.Selection{
		Event:    func(ev *event.Event) bool { return !ev.AcceptedAt.After(e.before) && e.concerns(ev) },
		Delivery: e.takes,
		Client: func(id string, at time.Time) bool {
			return e.takes(&event.Delivery{WeddingID: id, Channel: event.ProfileChannel(id), AcceptedAt: at})
		},
	}
	if records {
		theirs := map[string]bool{} // ids of deliveries; what vendors say of these comes behind
		s.Record = func(r *event.Record) bool {
			if d := r.Delivery; d != nil && e.takes(ofRecord(d)) {
				theirs[d.ID] = true
				return true
			}
			return r.Receipt != nil && theirs[r.Receipt.DeliveryID]
		}
	}
	return s
}

// ofRecord is as much of a delivery as tells whose it is.
func ofRecord(r *event.DeliveryRecord) *event.Delivery {
	return &event.Delivery{Channel: r.Channel, WeddingID: r.WeddingID, AcceptedAt: r.AcceptedAt}
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
	if !s.isErased(ofRecord(r)) {
		return
	}
	r.WeddingID, r.Channel, r.EventID, r.TraceParent = event.Erased, event.Erased, event.Erased, ""
	for i := range r.Attempts {
		r.Attempts[i].Detail = ""
	}
}
