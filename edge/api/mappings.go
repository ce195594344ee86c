package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// mapping is one as the API shows and takes it.
type mapping struct {
	V        int               `json:"v,omitempty" doc:"Version of the record; ignored in requests."`
	ID       string            `json:"id,omitempty" doc:"1 to 64 of A-Za-z0-9_-; in requests the path's."`
	Pattern  string            `json:"pattern" doc:"Which channels, such as supplier:dashboard:{supplierId}."`
	Types    []string          `json:"types,omitempty" doc:"Which event types; without any, all."`
	Targets  []event.Target    `json:"targets" nullable:"false" doc:"Categories, whose integrations of the captured owner are meant, or integrations; and by which rules they are told. See docs/notifications.md."`
	When     string            `json:"when,omitempty" doc:"An expression: events for which it is false are not delivered by this mapping. See docs/mappings.md."`
	Fields   map[string]string `json:"fields,omitempty" doc:"Expressions by the payload field that each makes, or makes anew, in what is delivered."`
	Revision uint64            `json:"revision,omitempty" doc:"In a request: fail unless it is still the stored one."`
}

func viewMapping(m event.Mapping) mapping {
	return mapping{V: m.V, ID: m.ID, Pattern: m.Pattern, Types: m.Types, Targets: m.Targets, When: m.When, Fields: m.Fields, Revision: m.Revision}
}

// event returns the mapping that a request describes, under its id.
func (m *mapping) event(id string) event.Mapping {
	return event.Mapping{ID: id, Pattern: m.Pattern, Types: m.Types, Targets: m.Targets, When: m.When, Fields: m.Fields, Revision: m.Revision}
}

type mappingInput struct {
	ID string `path:"id" doc:"The mapping."`
}

type mappingOutput struct {
	ETag string `header:"ETag"`
	Body mapping
}

type putMappingInput struct {
	ID      string `path:"id" doc:"The mapping."`
	IfMatch string `header:"If-Match" doc:"The ETag of what is to be replaced."`
	Body    mapping
}

type createMappingInput struct{ Body mapping }

type listMappingsInput struct {
	After string `query:"after" doc:"Cursor: the next of the page before."`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most so many."`
}

// routeMappings serves mappings, and serves them as what they are to who thinks of notifications: a channel
// pattern, its targets and their rules.
func (a *API) routeMappings(h huma.API) {
	a.routeMappingsAt(h, "/api/mappings", "mapping", "mappings", "a mapping", "")
	a.routeMappingsAt(h, channelConfig, "channel-config", "channel-configs", "a channel's notifications",
		"The same as a mapping of that id: what is stored by either is shown by both.")
}

// routeMappingsAt names the operations after one and many, and speaks of them as what.
func (a *API) routeMappingsAt(h huma.API, path, one, many, what, about string) {
	op := func(id, method, path, summary string, scope access.Scope) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{"mappings"}, Summary: summary, Description: about, Security: needs(scope),
		}
	}
	item := path + "/{id}"
	handle(h, op("list-"+many, http.MethodGet, path, "List "+strings.ReplaceAll(many, "-", " "), access.MappingsRead), a.listMappings)
	handle(h, op("get-"+one, http.MethodGet, item, "Show "+what, access.MappingsRead), a.getMapping)
	create := op("create-"+one, http.MethodPost, path, "Create "+what+" under an id that the node chooses", access.MappingsWrite)
	create.DefaultStatus = http.StatusCreated
	handle(h, create, a.createMapping)
	put := op("put-"+one, http.MethodPut, item, "Create or replace "+what, access.MappingsWrite)
	put.Description = strings.TrimSpace(about + " An API key that is bound to an owner replaces what is there, and creates with POST.")
	handle(h, put, a.putMapping)
	remove := op("delete-"+one, http.MethodDelete, item, "Delete "+what, access.MappingsWrite)
	remove.DefaultStatus = http.StatusNoContent
	handle(h, remove, a.deleteMapping)
}

func noMapping(id string) error {
	return problem.New(problem.MappingUnknown, "there is no mapping %.80q", id)
}

// mapping returns a mapping that the caller reaches.
func (a *API) mapping(ctx context.Context, id string) (event.Mapping, error) {
	m, found := a.findMapping(id)
	if found && a.reachesMapping(callerOf(ctx), &m) {
		return m, nil
	}
	return event.Mapping{}, noMapping(id)
}

func (a *API) findMapping(id string) (event.Mapping, bool) {
	for _, m := range a.cfg.Mappings.Mappings() {
		if m.ID == id {
			return m, true
		}
	}
	return event.Mapping{}, false
}

func (a *API) listMappings(ctx context.Context, in *listMappingsInput) (*body[page[mapping]], error) {
	c := callerOf(ctx)
	all := slices.DeleteFunc(a.cfg.Mappings.Mappings(), func(m event.Mapping) bool { return !a.reachesMapping(c, &m) })
	slice, next := cut(all, in.After, in.Limit, func(m event.Mapping) string { return m.ID })
	out := page[mapping]{Items: make([]mapping, len(slice)), Next: next}
	for i, m := range slice {
		out.Items[i] = viewMapping(m)
	}
	return &body[page[mapping]]{out}, nil
}

func (a *API) getMapping(ctx context.Context, in *mappingInput) (*mappingOutput, error) {
	m, err := a.mapping(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &mappingOutput{etag(m.Revision), viewMapping(m)}, nil
}

func (a *API) putMapping(ctx context.Context, in *putMappingInput) (_ *mappingOutput, err error) {
	done := a.onMapping(ctx, "mapping.put", in.ID)
	defer func() { done("", err) }()
	if err := checkPut(in.ID, in.Body.ID, in.IfMatch, &in.Body.Revision); err != nil {
		return nil, err
	}
	m, there := a.findMapping(in.ID)
	if c := callerOf(ctx); there && !a.reachesMapping(c, &m) || !there && c.Bound() {
		return nil, noMapping(in.ID)
	}
	return a.storeMapping(ctx, in.ID, &in.Body)
}

func (a *API) createMapping(ctx context.Context, in *createMappingInput) (_ *mappingOutput, err error) {
	id := newID("map_")
	done := a.onMapping(ctx, "mapping.put", id)
	defer func() { done("", err) }()
	if in.Body.ID != "" || in.Body.Revision != 0 {
		return nil, problem.New(problem.FieldInvalid, "id and revision are the node's to choose; PUT takes an id of yours")
	}
	return a.storeMapping(ctx, id, &in.Body)
}

func (a *API) storeMapping(ctx context.Context, id string, b *mapping) (*mappingOutput, error) {
	wanted := b.event(id)
	if err := a.mappingProblem(callerOf(ctx), &wanted); err != nil {
		return nil, err
	}
	stored, err := a.cfg.Mappings.PutMapping(ctx, wanted)
	if err != nil {
		if b.Revision > 0 && errors.Is(err, registry.ErrConflict) {
			return nil, problem.New(problem.PreconditionFailed, "the mapping %q is not at revision %d", id, b.Revision)
		}
		return nil, err
	}
	return &mappingOutput{etag(stored.Revision), viewMapping(stored)}, nil
}

func (a *API) deleteMapping(ctx context.Context, in *mappingInput) (_ *struct{}, err error) {
	done := a.onMapping(ctx, "mapping.delete", in.ID)
	defer func() { done("", err) }()
	if _, err := a.mapping(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := a.cfg.Mappings.DeleteMapping(ctx, in.ID); err != nil {
		if errors.Is(err, registry.ErrNotFound) {
			return nil, noMapping(in.ID)
		}
		return nil, err
	}
	return nil, nil
}
