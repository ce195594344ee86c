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
	hours    *event.QuietHours // nil: none
	quiet    delivery.Quiet    // the same, if there are any
	window   time.Duration     // 0: each event is told by itself
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
		all[i].hours, all[i].quiet = t.QuietHours, quiet
	}
	return all, nil
}

// Critical reports whether the event passes what quiet hours or a digest hold.
func (m Match) Critical(eventType string) bool {
	return m.rules != nil && slices.Contains(m.rules.critical, eventType)
}

// Quiet returns the hours in which the event is not sent; nil when it always is.
func (m Match) Quiet(eventType string) *event.QuietHours {
	if m.rules == nil || m.Critical(eventType) {
		return nil
	}
	return m.rules.hours
}

// Held returns until when the rules hold the event if it is routed now; zero: they do not.
func (m Match) Held(eventType string, now time.Time) time.Time {
	until := now
	if m.Digests(eventType) {
		until = now.Add(m.rules.window)
	}
	if m.Quiet(eventType) != nil {
		until = m.rules.quiet.Until(until)
	}
	if until.After(now) {
		return until
	}
	return time.Time{}
}

// Digests reports whether the event is told together with others: the rules say so, and the vendor can.
func (m Match) Digests(eventType string) bool {
	if m.rules == nil || m.rules.window == 0 || m.Critical(eventType) {
		return false
	}
	conn, err := m.Entry.Connection()
	_, can := conn.(adapter.Digester)
	return err == nil && can
}
