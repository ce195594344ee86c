package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// Deliver puts an event of the log before one integration, whatever the mappings say, and returns the
// delivery once that is durable. It is made like any other: in its channel's order, signed, retried and
// recorded; and once, also where a mapping leads there too. It fails with ErrUnknown, with
// ErrPassedOver (disabled, or the event came of that integration), or with what the adapter has against
// the event, such as adapter.ErrUnsupported.
func (s *System) Deliver(ctx context.Context, id string, ev *event.Event) (*event.Delivery, error) {
	if ev.Seq == 0 {
		return nil, errors.New("actors: deliver: the event has no place in the log; append it first")
	}
	entry, ok := s.cfg.Registry.Lookup(id)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, id)
	}
	if reason := s.passOver(ev, &entry.Integration); reason != "" {
		return nil, fmt.Errorf("%w: %q: %s", ErrPassedOver, id, reason)
	}
	d := deliveryOf(ev, &entry.Integration, nil, s.cfg.Now().UTC())
	var err error
	if d.Body, err = s.encode(registry.Match{Entry: entry}, ev); err != nil {
		return nil, fmt.Errorf("actors: deliver %s to %s: %w", ev.ID, id, err)
	}
	p := plan{sys: s, deliveries: []*event.Delivery{d}}
	if err := p.commit(ctx); err != nil {
		return nil, fmt.Errorf("actors: deliver %s to %s: %w", ev.ID, id, err)
	}
	return d, nil
}
