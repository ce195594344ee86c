package alerts

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// stateVersion rises with what an older release would misread.
const stateVersion = 1

// state is what is known of all alerts.
type state struct {
	V      int               `json:"v"`
	Alerts map[string]*alert `json:"alerts,omitempty"` // by vendor and objective
	Untold []Notice          `json:"untold,omitempty"` // to be published, in order
}

// alert is a budget that burns.
type alert struct {
	Vendor    string              `json:"vendor"`
	Objective analytics.Objective `json:"objective"`
	Severity  analytics.Severity  `json:"severity"` // the worst since it began
	Since     time.Time           `json:"since"`
	CalmSince time.Time           `json:"calmSince,omitzero"` // no pair burns since then; zero: one does
}

// Notice is an event to be published.
type Notice struct {
	ID      string          `json:"id"`
	Channel string          `json:"channel"`
	Type    string          `json:"type"`
	At      time.Time       `json:"at"`
	Payload json.RawMessage `json:"payload"`
}

func decodeState(data []byte) (state, error) {
	s := state{V: stateVersion, Alerts: map[string]*alert{}}
	if data == nil {
		return s, nil
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("the state of the burn alerts cannot be read: %w", err)
	}
	if s.V != stateVersion {
		return s, fmt.Errorf("the state of the burn alerts has version %d, this release reads %d", s.V, stateVersion)
	}
	for key, a := range s.Alerts {
		if a == nil {
			return s, fmt.Errorf("the state of the burn alerts has nothing under %.100q", key)
		}
	}
	return s, nil
}

// next returns the state after a look at what burns, and whether anything changed. It leaves s as it is.
func (s *state) next(rows []analytics.BurnRow, since, now time.Time, cfg *Config) (state, bool) {
	n := state{V: s.V, Alerts: maps.Clone(s.Alerts), Untold: slices.Clone(s.Untold)}
	if n.Alerts == nil {
		n.Alerts = map[string]*alert{}
	}
	burns := map[string][]analytics.Burn{} // a vendor may be told of in several rows
	for _, row := range rows {
		burns[row.Key] = append(burns[row.Key], row.Burn...)
	}
	burning := map[string]bool{}
	for _, vendor := range slices.Sorted(maps.Keys(burns)) {
		for _, o := range []analytics.Objective{analytics.ForSuccess, analytics.ForLatency} {
			key := vendor + "/" + string(o)
			b, ok := worst(burns[vendor], o, cfg.MinFailures)
			if ok && n.Alerts[key] == nil && burning[vendor+"/"+string(analytics.ForSuccess)] {
				continue // what is lost is late too, and told already
			}
			if ok {
				burning[key] = true
				n.burns(key, vendor, b, now)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(n.Alerts)) {
		if burning[key] {
			continue
		}
		after, a := cfg.ResolveAfter, n.Alerts[key]
		if since.After(a.Since) || !heard(burns[a.Vendor]) {
			after = max(after, silence)
		}
		n.calm(key, now, after)
	}
	changed := len(n.Untold) != len(s.Untold) || !maps.EqualFunc(n.Alerts, s.Alerts, func(a, b *alert) bool { return a == b })
	return n, changed
}

// silence is how long nothing is known of a vendor, or nothing of the time when it began to burn, until its alerts are
// over: no news is not good news, and a node that was started just now has none.
const silence = time.Hour

// heard reports whether anything ended in any window.
func heard(burns []analytics.Burn) bool {
	return slices.ContainsFunc(burns, func(b analytics.Burn) bool { return b.Long.Total > 0 })
}

// worst returns the burn of an objective that somebody is to be told of: a page before a ticket, and the first of
// these.
func worst(burns []analytics.Burn, o analytics.Objective, minFailures uint64) (worst analytics.Burn, ok bool) {
	for _, b := range burns {
		if b.Objective != o || !b.Burning || b.Long.Bad < minFailures {
			continue
		}
		if !ok || b.Severity == analytics.SeverityPage && worst.Severity != analytics.SeverityPage {
			worst, ok = b, true
		}
	}
	return worst, ok
}

// burns takes note of a budget that burns.
func (s *state) burns(key, vendor string, b analytics.Burn, now time.Time) {
	a := s.Alerts[key]
	switch {
	case a == nil:
		a = &alert{Vendor: vendor, Objective: b.Objective, Severity: b.Severity, Since: now}
	case a.Severity != b.Severity && b.Severity == analytics.SeverityPage:
		worse := *a
		a = &worse
		a.Severity, a.CalmSince = b.Severity, time.Time{}
	case !a.CalmSince.IsZero():
		again := *a
		again.CalmSince = time.Time{}
		s.Alerts[key] = &again
		return
	default:
		return
	}
	s.Alerts[key] = a
	s.tell(a, string(a.Severity), event.BurnStarted, started(a, b), now)
}

// calm takes note of a budget that does not burn.
func (s *state) calm(key string, now time.Time, after time.Duration) {
	a := *s.Alerts[key]
	if a.CalmSince.IsZero() {
		a.CalmSince = now
		s.Alerts[key] = &a
	}
	if now.Sub(a.CalmSince) >= after {
		delete(s.Alerts, key)
		s.tell(&a, "ended", event.BurnEnded, ended(&a), now)
	}
}

// tell adds a notice under an id that is the same whoever publishes it.
func (s *state) tell(a *alert, what, eventType string, payload any, now time.Time) {
	text, err := json.Marshal(payload)
	if err != nil {
		panic(err) // cannot be: it is made of texts and numbers
	}
	s.Untold = append(s.Untold, Notice{
		ID:      fmt.Sprintf("burn-%s-%s-%d-%s", a.Vendor, a.Objective, a.Since.UnixMilli(), what),
		Channel: event.BurnChannel + a.Vendor, Type: eventType, At: now, Payload: text,
	})
}
