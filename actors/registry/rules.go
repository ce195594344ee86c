package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// rules are a target's that say when something is sent.
type rules struct {
	quiet    delivery.Quiet
	critical []string
}

// newRules reads the rules of a mapping's targets, or returns an *event.FieldError.
func newRules(m *event.Mapping) ([]*rules, error) {
	all := make([]*rules, len(m.Targets))
	for i, t := range m.Targets {
		if t.QuietHours == nil {
			continue
		}
		quiet, err := delivery.NewQuiet(*t.QuietHours)
		if err != nil {
			var field *event.FieldError
			errors.As(err, &field)
			return nil, fmt.Errorf("mapping %s: %w", m.ID, field.In(fmt.Sprintf("targets[%d].quietHours", i)))
		}
		all[i] = &rules{quiet, t.Critical}
	}
	return all, nil
}

// Held reports whether rules say when the event is sent, so that it must not overtake what they hold, and
// until when it is held itself, if it is routed now; zero: it is not.
func (m Match) Held(eventType string, now time.Time) (until time.Time, ruled bool) {
	if m.rules == nil || slices.Contains(m.rules.critical, eventType) {
		return time.Time{}, false
	}
	if until = m.rules.quiet.Until(now); until.After(now) {
		return until, true
	}
	return time.Time{}, true
}
