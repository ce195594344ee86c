package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// Replay sends a dead letter once more on its way, through the same lane, breaker and limits and
// under the same id, encoded anew so that what was mended takes effect: with the fields of the mapping
// that leads there now, or as the event is where none does any more. It fails, and leaves the
// letter where it is, where the letter does not exist (journal.ErrNotFound), its integration is gone
// (ErrUnknown) or the event still cannot be encoded.
func (s *System) Replay(ctx context.Context, seq uint64) (*event.Delivery, error) {
	buried, err := s.cfg.Journal.DeadLetter(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("actors: dead letter %d: %w", seq, err)
	}
	letter := buried.Letter
	entry, ok := s.cfg.Registry.Lookup(letter.Delivery.Integration)
	if !ok {
		return nil, fmt.Errorf("%w: %q, to which dead letter %d belongs", ErrUnknown, letter.Delivery.Integration, seq)
	}
	d := letter.Delivery
	d.Replay++
	d.RoutedAt, d.NotBefore = s.cfg.Now().UTC(), time.Time{}
	d.Quiet, d.Critical = nil, true                 // whoever replays it wants it sent now
	if letter.Event.ID != "" && len(d.Digest) < 2 { // a digest tells more than the letter's event
		letter.Event.Seq = letter.EventSeq
		if d.Body, err = s.encode(s.match(entry, d.Recipient, &letter.Event), &letter.Event); err != nil {
			return nil, fmt.Errorf("actors: dead letter %d still cannot be encoded: %w", seq, err)
		}
	}
	if d.Profile != "" {
		if err := s.briefAgain(ctx, &d); err != nil {
			return nil, fmt.Errorf("actors: replay of dead letter %d: %w", seq, err)
		}
	}
	if err := s.cfg.Journal.Enqueue(ctx, &d); err != nil {
		return nil, fmt.Errorf("actors: replay of dead letter %d: %w", seq, err)
	}
	if err := s.cfg.Journal.Exhume(ctx, seq); err != nil {
		return nil, fmt.Errorf("actors: dead letter %d was replayed and is still listed: %w", seq, err)
	}
	return &d, nil
}

// match returns how an event comes to an integration and recipient that it goes to whatever the mappings
// say.
func (s *System) match(entry *registry.Entry, recipient string, ev *event.Event) registry.Match {
	for _, m := range s.cfg.Registry.Resolve(ev) {
		if m.Entry.Integration.ID == entry.Integration.ID && m.Recipient == recipient {
			return m
		}
	}
	return registry.Match{Entry: entry}
}
