package actors

import (
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// What waited for its vendor, or for an admin, until the quiet hours began waits on where it is until they
// end, in its place in the lane.

// quietRoom is how many times Hold may be in memory of what is not to be sent before quiet hours end, beside
// what may: that must not have to wait behind it.
const quietRoom = 15

// quietHours are those of some deliveries, and until when they held any, last.
type quietHours struct {
	delivery.Quiet
	held time.Time
}

// hours returns the quiet hours of a delivery; nil when it has none.
func (in *integration) hours(d *event.Delivery) *quietHours {
	if d.Quiet == nil {
		return nil
	}
	q := in.quiets[*d.Quiet]
	if q == nil {
		read, err := delivery.NewQuiet(*d.Quiet)
		if err != nil {
			return nil // cannot be: the registry has read them before
		}
		q = &quietHours{Quiet: read}
		in.quiets[*d.Quiet] = q
	}
	return q
}

// quietUntil is when the quiet hours end in which a delivery is now; zero when it is in none.
func (in *integration) quietUntil(d *event.Delivery, now time.Time) time.Time {
	if q := in.hours(d); q != nil {
		if until := q.Until(now); until.After(now) {
			return until
		}
	}
	return time.Time{}
}

// holdQuiet holds a lane until its head's quiet hours end, but for what passes them.
func (in *integration) holdQuiet(key string, d *event.Delivery, until time.Time) {
	in.hours(d).held = until
	if until.After(in.quietEnd) {
		in.quietEnd = until
	}
	in.lanes.Hold(key, until)
	in.overtake(key)
}

// overtake lets the first critical delivery of a lane go before a head that is in its quiet hours.
func (in *integration) overtake(key string) {
	now := in.sys.cfg.Now()
	in.lanes.Overtake(key, func(head, t **task) bool {
		return (*t).d.Critical && !in.quietUntil((*head).d, now).IsZero()
	})
}

// push puts a delivery into its lane.
func (in *integration) push(t *task) {
	in.lanes.Push(t.d.Lane(), in.bag.add(t))
	in.countQuiet(t, in.sys.cfg.Now())
	if t.d.Critical {
		in.overtake(t.d.Lane())
	}
}

// quiet returns how many deliveries in memory are in their quiet hours, and when the first of these ends.
func (in *integration) quiet(now time.Time) (n uint64, until time.Time) {
	for _, t := range in.bag.tasks {
		if end := in.countQuiet(t, now); !end.IsZero() {
			if n++; until.IsZero() || end.Before(until) {
				until = end
			}
		}
	}
	return n, until
}

// countQuiet counts a delivery in memory if it is in its quiet hours, and returns when these end.
func (in *integration) countQuiet(t *task, now time.Time) (end time.Time) {
	end = in.quietUntil(t.d, now)
	in.setQuiet(t, !end.IsZero())
	return end
}

func (in *integration) setQuiet(t *task, quiet bool) {
	switch {
	case quiet && !t.quiet:
		in.quietCount++
	case !quiet && t.quiet:
		in.quietCount--
	}
	t.quiet = quiet
}

// quietRecount is how often all in memory are looked at, since their quiet hours begin and end by themselves. In
// between, what comes and goes is counted.
const quietRecount = time.Second

// crowd is how many deliveries in memory leave no room to others.
func (in *integration) crowd() int {
	n := len(in.bag.tasks)
	if now := in.sys.cfg.Now(); now.Before(in.quietEnd) && n > in.sys.cfg.Hold/2 {
		if since := now.Sub(in.quietCounted); since < 0 || since >= quietRecount {
			in.quiet(now)
			in.quietCounted = now
		}
		n -= min(in.quietCount, quietRoom*in.sys.cfg.Hold)
	}
	return n
}

// record returns a record of a delivery that counts from when neither quiet hours nor an admin's pause held it.
func (in *integration) record(d *event.Delivery) *event.DeliveryRecord {
	r := event.RecordOf(d)
	if q := in.hours(d); q != nil && d.Due().Before(q.held) {
		r.NotBefore = q.held
	}
	if in.entry == nil {
		return r
	}
	until := in.entry.Integration.Resumed
	if in.entry.Integration.Paused.Wanted() {
		until = in.sys.cfg.Now().UTC()
	}
	if until.After(r.AcceptedAt) {
		r.PausedUntil = until
	}
	return r
}

// waited is how long a delivery could have been sent, were it for nothing but its vendor and its admin.
func (in *integration) waited(d *event.Delivery, now time.Time) time.Duration {
	if q := in.hours(d); q != nil {
		return q.Outside(d.Due(), now)
	}
	return now.Sub(d.Due())
}
