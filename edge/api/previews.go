package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

type previewInput struct {
	ID   string `path:"id" doc:"The integration."`
	Body previewedEvent
}

// previewedEvent is an event to be previewed: one that is stored, or one as it could be published.
type previewedEvent struct {
	Channel    string          `json:"channel" example:"supplier:dashboard:42"`
	Seq        uint64          `json:"seq,omitempty" doc:"Of an event that is stored; then nothing but the channel is given beside it."`
	Type       string          `json:"type,omitempty" example:"timeline.updated"`
	Payload    json.RawMessage `json:"payload,omitempty" doc:"An object; it is checked and cleaned as if it were published."`
	ID         string          `json:"id,omitempty" maxLength:"128" doc:"Default: a new UUIDv7."`
	OccurredAt time.Time       `json:"occurredAt,omitzero" doc:"Default: now."`
	WeddingID  string          `json:"weddingId,omitempty" maxLength:"128" doc:"Default: the payload's weddingId or coupleId."`
	Source     string          `json:"source,omitempty" maxLength:"160" doc:"Default: api. webhook: and an integration's id shows what comes of that one's own events."`
}

type previewMappingInput struct {
	Body struct {
		Mapping mapping `json:"mapping" doc:"As it would be put. In the place of the stored one of its id, if there is one."`
		Last    int     `json:"last,omitempty" default:"100" minimum:"1" maximum:"1000" doc:"So many of the newest events that the stored and the changed pattern select; fewer where they have more than 4 MiB."`
	}
}

func (a *API) routePreviews(h huma.API) {
	handle(h, huma.Operation{
		OperationID: "preview-integration", Method: http.MethodPost, Path: "/api/integrations/{id}/preview", Tags: []string{"integrations"},
		Security:      needs(access.IntegrationsRead, access.ChannelsRead),
		Metadata:      map[string]any{changesNothing: true},
		Summary:       "Show the request that an event would become",
		Description:   "Or why it would not be sent. Secrets, and what is made of them, are masked. Nobody is called and nothing is stored. HTTP itself adds headers such as User-Agent and Content-Length.",
		DefaultStatus: http.StatusOK,
	}, a.previewIntegration)
	handle(h, huma.Operation{
		OperationID: "preview-mapping", Method: http.MethodPost, Path: "/api/mappings/preview", Tags: []string{"mappings"},
		Security:      needs(access.MappingsRead, access.ChannelsRead),
		Metadata:      map[string]any{changesNothing: true},
		Summary:       "Show what a changed mapping would have done otherwise",
		Description:   "With the newest events of the channels that it selects, or that the stored one does. Nobody is called and nothing is stored.",
		DefaultStatus: http.StatusOK,
	}, a.previewMapping)
}

func (a *API) previewIntegration(ctx context.Context, in *previewInput) (*body[actors.Preview], error) {
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := reachChannel(callerOf(ctx).Caller, in.Body.Channel); err != nil {
		return nil, err
	}
	ev, err := a.previewed(ctx, &in.Body)
	if err != nil {
		return nil, err
	}
	p, err := a.cfg.Engine.Preview(ev, in.ID)
	if _, unknown := a.mapping(ctx, p.Mapping); unknown != nil {
		p.Mapping = "" // somebody else's
	}
	return &body[actors.Preview]{p}, err
}

// previewed reads the stored event, or makes the one that would be.
func (a *API) previewed(ctx context.Context, b *previewedEvent) (*event.Event, error) {
	if b.Seq == 0 {
		return a.cfg.Publisher.Prepare(ingest.Draft{
			Channel: b.Channel, Type: b.Type, Payload: b.Payload, ID: b.ID, OccurredAt: b.OccurredAt,
			Source: cmp.Or(b.Source, "api"), WeddingID: b.WeddingID,
		})
	}
	if b.Type != "" || b.Payload != nil || b.ID != "" || !b.OccurredAt.IsZero() || b.WeddingID != "" || b.Source != "" {
		return nil, problem.New(problem.FieldInvalid, "with seq only the channel is given: the rest is the stored event's")
	}
	if err := event.CheckChannel(b.Channel); err != nil {
		return nil, err
	}
	ev, err := a.cfg.History.EventAt(ctx, b.Seq)
	switch {
	case errors.Is(err, journal.ErrNotFound):
	case err != nil:
		return nil, err
	case ev.Channel == b.Channel:
		return ev, nil
	}
	return nil, problem.New(problem.EventUnknown, "the log has no event %d on %s", b.Seq, b.Channel)
}

func (a *API) previewMapping(ctx context.Context, in *previewMappingInput) (*body[actors.Comparison], error) {
	m := in.Body.Mapping.event(in.Body.Mapping.ID)
	if err := registry.CheckMapping(m); err != nil {
		return nil, err
	}
	who, asked := callerOf(ctx), m.ID
	if err := a.mappingProblem(who, &m); err != nil {
		return nil, err
	}
	if stored, there := a.findMapping(asked); there && !a.reachesMapping(who, &stored) {
		m.ID = newID("map_") // somebody else's goes on as it is, as if it were not there
	}
	patterns := []string{m.Pattern}
	if stored, err := a.mapping(ctx, m.ID); err == nil && stored.Pattern != m.Pattern {
		patterns = append(patterns, stored.Pattern)
	}
	events, err := a.newestOf(ctx, patterns, in.Body.Last)
	if err != nil {
		return nil, err
	}
	c, err := a.cfg.Engine.Compare(ctx, m, events)
	shown := func(id string) string {
		if id == m.ID {
			return asked
		}
		if _, unknown := a.mapping(ctx, id); unknown != nil {
			return "" // somebody else's
		}
		return id
	}
	for i := range c.Differences {
		d := &c.Differences[i]
		d.Before.Mapping, d.After.Mapping = shown(d.Before.Mapping), shown(d.After.Mapping)
	}
	return &body[actors.Comparison]{c}, err
}

// newestOf returns the newest events of the channels that any of the patterns selects, the oldest first.
func (a *API) newestOf(ctx context.Context, patterns []string, limit int) ([]*event.Event, error) {
	var entries []journal.Entry
	for _, p := range patterns {
		more, err := newest(limit, func(limit int) ([]journal.Entry, error) { return a.cfg.History.HistoryOf(ctx, p, limit) })
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	slices.SortFunc(entries, func(a, b journal.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	entries = slices.CompactFunc(entries, func(a, b journal.Entry) bool { return a.Seq == b.Seq })
	entries = entries[max(0, len(entries)-limit):]
	events := make([]*event.Event, 0, len(entries))
	for _, e := range entries {
		ev := &event.Event{Seq: e.Seq}
		if json.Unmarshal(e.Data, ev) == nil { // the router leaves out what cannot be read, too
			events = append(events, ev)
		}
	}
	return events, nil
}
