package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// ErrUntestable means that there is no vendor to send a test to.
var ErrUntestable = errors.New("actors: nothing can be tested")

// Test sends an integration's vendor one of its adapter's samples, at once and outside the log, and
// returns what came of it: the vendor receives a real message. Neither breaker nor limits nor a pause are
// asked or told, and nothing is recorded. An empty type means the first sample. It fails with ErrUnknown, with
// ErrUntestable where there is no sample of that type or the target is a channel of our own, or with what
// keeps the message from being made, such as an *adapter.SettingsError.
func (s *System) Test(ctx context.Context, id, eventType string) (event.Attempt, error) {
	entry, ok := s.cfg.Registry.Lookup(id)
	if !ok {
		return event.Attempt{}, fmt.Errorf("%w: %q", ErrUnknown, id)
	}
	in := &entry.Integration
	a, err := adapter.Lookup(in.Vendor)
	if err != nil {
		return event.Attempt{}, err
	}
	ev, err := sampleOf(a.Describe(), eventType)
	if err != nil {
		return event.Attempt{}, err
	}
	now := s.cfg.Now().UTC()
	ev.ID, ev.OccurredAt, ev.AcceptedAt = "test-"+uuid.NewString(), now, now
	d := deliveryOf(&ev, in, in.Owner, now)
	if d.Body, err = s.encode(registry.Match{Entry: entry}, &ev); err != nil {
		return event.Attempt{}, fmt.Errorf("actors: test of %s: %w", id, err)
	}
	conn, err := entry.Connection()
	if err != nil {
		return event.Attempt{}, err
	}
	timeout := time.Duration(in.Limits.Timeout)
	if timeout == 0 {
		timeout = s.cfg.Timeout
	}
	attempt, _, _ := s.exchange(ctx, conn, d, timeout)
	attempt.Number = 1
	return attempt, nil
}

func sampleOf(vendor adapter.Description, eventType string) (event.Event, error) {
	if vendor.Internal {
		return event.Event{}, fmt.Errorf("%w: %s is a channel of our own, and a sample would be shown there; preview it instead", ErrUntestable, vendor.Vendor)
	}
	for _, ev := range vendor.Samples {
		if eventType == "" || ev.Type == eventType {
			return ev, nil
		}
	}
	var types []string
	for _, ev := range vendor.Samples {
		types = append(types, ev.Type)
	}
	return event.Event{}, fmt.Errorf("%w: %s has no sample of %.80q; it has %v", ErrUntestable, vendor.Vendor, eventType, types)
}
