package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// digests makes one delivery of those that are to be told together.
type digests struct{ sys *System }

var _ journal.Joiner = digests{}

// Join implements journal.Joiner. The last event's delivery tells all of them: its id is the same for the
// same events, and another one if an event was added. Where they cannot be told together, each is told as
// it was encoded.
func (g digests) Join(ctx context.Context, ds []*event.Delivery) (*event.Delivery, error) {
	body, err := g.encode(ctx, ds)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, journal.ErrUnavailable) {
			return nil, err
		}
		g.sys.log.Warn().Err(err).Str("integration", ds[0].Integration).Str("channel", ds[0].Channel).
			Msg("updates cannot be told in one message; each is told by itself")
		return nil, nil
	}
	joined := *ds[len(ds)-1]
	joined.Body, joined.Digest = body, nil
	for _, d := range ds {
		joined.Digest = append(joined.Digest, d.EventSeq)
	}
	return &joined, nil
}

func (g digests) encode(ctx context.Context, ds []*event.Delivery) (_ json.RawMessage, err error) {
	defer recovered(&err)
	entry, ok := g.sys.cfg.Registry.Lookup(ds[0].Integration)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, ds[0].Integration)
	}
	conn, err := entry.Connection()
	if err != nil {
		return nil, err
	}
	digester, ok := conn.(adapter.Digester)
	if !ok {
		return nil, errors.New("its vendor tells one event at a time")
	}
	events := make([]*event.Event, len(ds))
	for i, d := range ds {
		ev, err := g.sys.cfg.Journal.EventAt(ctx, d.EventSeq)
		if err != nil {
			return nil, err
		}
		if events[i], err = g.sys.match(entry, d.Recipient, ev).Event(ev); err != nil {
			return nil, err
		}
	}
	return digester.EncodeDigest(events)
}

// Joined implements journal.Joiner: it records those that another one tells.
func (g digests) Joined(ctx context.Context, ds []*event.Delivery) error {
	for _, d := range ds {
		r := event.RecordOf(d)
		r.Result = &event.Result{Outcome: event.Skipped, Reason: event.ReasonDigested, FinishedAt: g.sys.cfg.Now().UTC()}
		if err := g.sys.record(ctx, r); err != nil {
			return fmt.Errorf("record what a digest tells: %w", err)
		}
		g.sys.metrics.deliveries.WithLabelValues(d.Vendor, string(event.Skipped)).Inc()
		g.sys.ended(r)
	}
	return nil
}
