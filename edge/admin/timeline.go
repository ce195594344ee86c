package admin

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// timelineSpan is how far the timeline goes back, and timelineEvents how many changes it shows at most.
const (
	timelineSpan   = 24 * time.Hour
	timelineEvents = 100
)

// period is how long an integration was in a state.
type period struct {
	state  event.State
	reason string
	from   time.Time
	to     time.Time
}

// periods reads what an integration's changes of state say, the oldest first; the last one goes on.
func (v *visit) periods(channel string, now event.Health, until time.Time) ([]period, error) {
	events, err := v.History(v.Context(), channel, timelineEvents)
	if err != nil {
		return nil, err
	}
	var all []period
	for _, e := range events {
		var told struct{ Payload event.Health }
		if json.Unmarshal(e.Event, &told) != nil || told.Payload.Since.IsZero() {
			continue
		}
		all = append(all, period{state: told.Payload.State, reason: told.Payload.Reason, from: told.Payload.Since})
	}
	slices.SortStableFunc(all, func(a, b period) int { return a.from.Compare(b.from) })
	if n := len(all); n == 0 || all[n-1].state != now.State {
		all = append(all, period{state: now.State, reason: now.Reason, from: now.Since})
	}
	for i := range all {
		all[i].to = until
		if i+1 < len(all) {
			all[i].to = all[i+1].from
		}
	}
	return all, nil
}

// bar is a period on a scale of 1000.
type bar struct {
	state    event.State
	at, wide int
}

// bars places the periods between two times. Each can be seen, however short it was.
func bars(all []period, from, to time.Time) []bar {
	place := func(t time.Time) int {
		return int(min(max(1000*float64(t.Sub(from))/float64(to.Sub(from)), 0), 1000))
	}
	var out []bar
	for _, p := range all {
		if p.to.Before(from) {
			continue
		}
		b := bar{p.state, place(p.from), max(place(p.to)-place(p.from), 3)}
		b.at = min(b.at, 1000-b.wide)
		out = append(out, b)
	}
	return out
}
