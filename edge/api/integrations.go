package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// integration is one as the API shows and takes it: what is shown can be sent back.
type integration struct {
	V        int               `json:"v,omitempty" doc:"Version of the record; ignored in requests."`
	ID       string            `json:"id,omitempty" doc:"1 to 64 of A-Za-z0-9_-; in requests the path's."`
	Name     string            `json:"name,omitempty" maxLength:"128"`
	Vendor   string            `json:"vendor" doc:"See /api/vendors. Cannot change."`
	Category event.Category    `json:"category,omitempty" doc:"The vendor's, and may be left out; required where the vendor has none."`
	Owner    map[string]string `json:"owner,omitempty" doc:"Such as supplierId=42. Without any, it is everybody's."`
	Settings json.RawMessage   `json:"settings,omitempty" doc:"An object; which fields, /api/vendors tells."`
	Channel  string            `json:"channel,omitempty" doc:"Where inbound webhooks go, such as couple:{coupleId}."`
	Limits   event.Limits      `json:"limits,omitzero"`
	Disabled bool              `json:"disabled,omitempty" doc:"Neither sends nor receives; its deliveries are skipped."`
	Paused   *event.Pause      `json:"paused,omitempty" doc:"Nothing is sent; its deliveries wait. Left out in a request, a pause stays."`
	Revision uint64            `json:"revision,omitempty" doc:"In a request: fail unless it is still the stored one."`
	Problems []problem.Field   `json:"problems,omitempty" doc:"What is missing or wrong, so that it cannot work; ignored in requests."`
}

func view(e *registry.Entry) integration {
	in := e.Copy()
	return integration{
		V: in.V, ID: in.ID, Name: in.Name, Vendor: in.Vendor, Category: in.Category, Owner: in.Owner, Settings: in.Settings,
		Channel: in.Channel, Limits: in.Limits, Disabled: in.Disabled, Paused: in.Paused, Revision: e.Revision, Problems: problemsOf(e),
	}
}

// problemsOf says why an integration cannot be connected.
func problemsOf(e *registry.Entry) []problem.Field {
	_, err := e.Connection()
	return wrongOf(err)
}

// wrongOf says what keeps an integration from being connected.
func wrongOf(err error) []problem.Field {
	if err == nil {
		return nil
	}
	var settings *adapter.SettingsError
	if errors.As(err, &settings) {
		return fieldsOf(settings)
	}
	return []problem.Field{{Field: "vendor", Reason: problemOf(err).Detail}}
}

type idInput struct {
	ID string `path:"id" doc:"The integration."`
}

type integrationOutput struct {
	ETag string `header:"ETag"`
	Body integration
}

type putInput struct {
	ID      string `path:"id" doc:"The integration."`
	IfMatch string `header:"If-Match" doc:"The ETag of what is to be replaced."`
	Body    integration
}

type createInput struct{ Body integration }

type listInput struct {
	After    string         `query:"after" doc:"Cursor: the next of the page before."`
	Limit    int            `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most so many."`
	Vendor   string         `query:"vendor" doc:"Only those with this vendor."`
	Category event.Category `query:"category" doc:"Only those of this category."`
}

func (a *API) routeIntegrations(h huma.API) {
	tags := []string{"integrations"}
	handle(h, huma.Operation{
		OperationID: "list-integrations", Method: http.MethodGet, Path: "/api/integrations", Tags: tags, Summary: "List integrations",
		Security: needs(access.IntegrationsRead),
	}, a.listIntegrations)
	handle(h, huma.Operation{
		OperationID: "get-integration", Method: http.MethodGet, Path: "/api/integrations/{id}", Tags: tags, Summary: "Show an integration",
		Security: needs(access.IntegrationsRead),
	}, a.getIntegration)
	handle(h, huma.Operation{
		OperationID: "create-integration", Method: http.MethodPost, Path: "/api/integrations", Tags: tags, Security: needs(access.IntegrationsWrite),
		Summary: "Create an integration under an id that the node chooses", DefaultStatus: http.StatusCreated,
	}, a.createIntegration)
	handle(h, huma.Operation{
		OperationID: "put-integration", Method: http.MethodPut, Path: "/api/integrations/{id}", Tags: tags, Security: needs(access.IntegrationsWrite),
		Summary: "Create or replace an integration",
		Description: "Its secrets are set apart; until then its problems name what is missing. An API key that is bound to an owner " +
			"replaces what is there, and creates with POST.",
	}, a.putIntegration)
	handle(h, huma.Operation{
		OperationID: "delete-integration", Method: http.MethodDelete, Path: "/api/integrations/{id}", Tags: tags, Security: needs(access.IntegrationsWrite),
		Summary: "Delete an integration with its secrets", Description: "What waits for it is skipped.", DefaultStatus: http.StatusNoContent,
	}, a.deleteIntegration)
}

// entry returns an integration that the caller reaches.
func (a *API) entry(ctx context.Context, id string) (*registry.Entry, error) {
	if e, ok := a.cfg.Integrations.Lookup(id); ok && callerOf(ctx).Owns(e.Integration.Owner) {
		return e, nil
	}
	return nil, noIntegration(id)
}

func noIntegration(id string) error {
	return problem.New(problem.IntegrationUnknown, "there is no integration %.80q", id)
}

func (a *API) listIntegrations(ctx context.Context, in *listInput) (*body[page[integration]], error) {
	c := callerOf(ctx)
	all := slices.DeleteFunc(a.cfg.Integrations.Integrations(), func(x event.Integration) bool {
		return !c.Owns(x.Owner) || in.Vendor != "" && x.Vendor != in.Vendor || in.Category != "" && x.Category != in.Category
	})
	slice, next := cut(all, in.After, in.Limit, func(x event.Integration) string { return x.ID })
	out := page[integration]{Items: make([]integration, 0, len(slice)), Next: next}
	for _, x := range slice {
		if e, ok := a.cfg.Integrations.Lookup(x.ID); ok {
			out.Items = append(out.Items, view(e))
		}
	}
	return &body[page[integration]]{out}, nil
}

// cut returns the page of a list, ordered by id, that begins behind after.
func cut[T any](all []T, after string, limit int, id func(T) string) (items []T, next string) {
	from, found := slices.BinarySearchFunc(all, after, func(x T, after string) int { return cmp.Compare(id(x), after) })
	if found {
		from++
	}
	all = all[from:]
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], id(all[limit-1])
}

func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

func (a *API) getIntegration(ctx context.Context, in *idInput) (*integrationOutput, error) {
	e, err := a.entry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &integrationOutput{etag(e.Revision), view(e)}, nil
}

func (a *API) putIntegration(ctx context.Context, in *putInput) (_ *integrationOutput, err error) {
	done := a.onIntegration(ctx, "integration.put", in.ID)
	defer func() { done("", err) }()
	if err := checkPut(in.ID, in.Body.ID, in.IfMatch, &in.Body.Revision); err != nil {
		return nil, err
	}
	if callerOf(ctx).Bound() {
		if _, err := a.entry(ctx, in.ID); err != nil {
			return nil, err
		}
	}
	return a.storeIntegration(ctx, in.ID, &in.Body)
}

func (a *API) createIntegration(ctx context.Context, in *createInput) (_ *integrationOutput, err error) {
	id := newID("int_")
	done := a.onIntegration(ctx, "integration.put", id)
	defer func() { done("", err) }()
	if in.Body.ID != "" || in.Body.Revision != 0 {
		return nil, problem.New(problem.FieldInvalid, "id and revision are the node's to choose; PUT takes an id of yours")
	}
	return a.storeIntegration(ctx, id, &in.Body)
}

// newID returns an id that was never used.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()[:16]) }

func (a *API) storeIntegration(ctx context.Context, id string, b *integration) (*integrationOutput, error) {
	wanted := event.Integration{
		ID: id, Name: b.Name, Vendor: b.Vendor, Category: b.Category, Owner: b.Owner, Settings: b.Settings,
		Channel: b.Channel, Limits: b.Limits, Disabled: b.Disabled, Paused: b.Paused, Revision: b.Revision,
	}
	if err := settle(callerOf(ctx), &wanted); err != nil {
		return nil, err
	}
	stored, err := a.put(ctx, wanted)
	if err != nil {
		return nil, err
	}
	e, err := a.entry(ctx, id)
	if err != nil {
		return nil, err // deleted at once by somebody else
	}
	return &integrationOutput{etag(stored.Revision), view(e)}, nil
}

// put stores an integration; a pause that it does not mention stays. Where no revision is asked for it
// does so on top of whatever others store meanwhile.
func (a *API) put(ctx context.Context, in event.Integration) (event.Integration, error) {
	asked, pause := in.Revision, in.Paused
	for {
		e, exists := a.cfg.Integrations.Lookup(in.ID)
		switch {
		case exists && !callerOf(ctx).Owns(e.Integration.Owner):
			return in, noIntegration(in.ID)
		case asked > 0 && (!exists || e.Revision != asked):
			return in, problem.New(problem.PreconditionFailed, "the integration %q is not at revision %d", in.ID, asked)
		case exists:
			in.Revision = e.Revision
			if pause == nil {
				in.Paused = e.Copy().Paused
			}
		}
		stored, err := a.cfg.Integrations.Put(ctx, in)
		if err == nil || asked > 0 || !errors.Is(err, registry.ErrConflict) {
			return stored, err
		}
		if err := ctx.Err(); err != nil {
			return stored, err
		}
	}
}

// checkPut compares what the path, the body and the headers say, and takes the revision of If-Match.
func checkPut(path, body, ifMatch string, revision *uint64) error {
	if body != "" && body != path {
		return problem.New(problem.FieldInvalid, "the body has the id %.80q, the path %.80q", body, path)
	}
	switch path {
	case "health", "channel-config":
		return problem.New(problem.FieldInvalid, "the id %q is an address of the API itself; take another", path)
	}
	if ifMatch == "" || ifMatch == "*" {
		return nil
	}
	n, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(ifMatch, "W/"), `"`), 10, 64)
	if err != nil || n == 0 {
		return problem.New(problem.PreconditionFailed, "If-Match %.80q is no ETag of this API", ifMatch)
	}
	*revision = n
	return nil
}

func (a *API) deleteIntegration(ctx context.Context, in *idInput) (_ *struct{}, err error) {
	done := a.onIntegration(ctx, "integration.delete", in.ID)
	defer func() { done("", err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, a.known(a.cfg.Integrations.Delete(ctx, in.ID), in.ID)
}

// known words the registry's ErrNotFound.
func (a *API) known(err error, id string) error {
	if errors.Is(err, registry.ErrNotFound) {
		return noIntegration(id)
	}
	return err
}
