package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// rules are a target's that say when something is sent.
type rules struct {
	quiet    *delivery.Quiet // nil: none
	window   time.Duration   // 0: each event is told by itself
	critical []string
}

// newRules reads the rules of a mapping's targets, or returns an *event.FieldError.
func newRules(m *event.Mapping) ([]*rules, error) {
	all := make([]*rules, len(m.Targets))
	for i, t := range m.Targets {
		if t.Digest != nil {
			all[i] = &rules{window: time.Duration(t.Digest.Window), critical: t.Critical}
		}
		if t.QuietHours == nil {
			continue
		}
		quiet, err := delivery.NewQuiet(*t.QuietHours)
		if err != nil {
			var field *event.FieldError
			errors.As(err, &field)
			return nil, fmt.Errorf("mapping %s: %w", m.ID, field.In(fmt.Sprintf("targets[%d].quietHours", i)))
		}
		if all[i] == nil {
			all[i] = &rules{critical: t.Critical}
		}
		all[i].quiet = &quiet
	}
	return all, nil
}

// Held reports whether rules say when the event is sent, so that it must not overtake what they hold, and
// until when it is held itself, if it is routed now; zero: it is not.
func (m Match) Held(eventType string, now time.Time) (until time.Time, ruled bool) {
	if m.rules == nil || slices.Contains(m.rules.critical, eventType) {
		return time.Time{}, false
	}
	until = now
	if m.Digests(eventType) {
		until = now.Add(m.rules.window)
	}
	if m.rules.quiet != nil {
		until = m.rules.quiet.Until(until)
	}
	if until.After(now) {
		return until, true
	}
	return time.Time{}, true
}

// Digests reports whether the event is told together with others: the rules say so, and the vendor can.
func (m Match) Digests(eventType string) bool {
	if m.rules == nil || m.rules.window == 0 || slices.Contains(m.rules.critical, eventType) {
		return false
	}
	conn, err := m.Entry.Connection()
	_, can := conn.(adapter.Digester)
	return err == nil && can
}
