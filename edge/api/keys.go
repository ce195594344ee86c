package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type keyInput struct {
	ID string `path:"id" doc:"The key's id."`
}

type listKeysInput struct {
	After string `query:"after" doc:"Cursor: the next of the page before."`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most so many."`
}

type createKeyInput struct{ Body access.Key }

type newKey struct {
	access.Key
	Text string `json:"key" doc:"What to send as \"Authorization: Bearer KEY\". It is shown now and never again."`
}

type scopeKind struct {
	Scope   access.Scope `json:"scope"`
	Allows  string       `json:"allows"`
	Unbound bool         `json:"unbound,omitempty" doc:"It is about all owners: a key that is bound to one cannot have it."`
}

func (a *API) routeKeys(h huma.API) {
	tags := []string{"keys"}
	handle(h, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: "/api/keys", Tags: tags, Security: needs(access.KeysRead),
		Summary: "List the API keys that were made, without their texts",
	}, a.listKeys)
	handle(h, huma.Operation{
		OperationID: "create-key", Method: http.MethodPost, Path: "/api/keys", Tags: tags, Security: needs(access.KeysWrite),
		Summary: "Make an API key", DefaultStatus: http.StatusCreated, Metadata: map[string]any{shownOnce: true},
		Description: "It can do no more than the key that makes it. Its text is shown in this answer alone: " +
			"repeated with the same Idempotency-Key it is answered 409 " + problem.AnswerNotKept + ".",
	}, a.createKey)
	handle(h, huma.Operation{
		OperationID: "get-key", Method: http.MethodGet, Path: "/api/keys/{id}", Tags: tags, Security: needs(access.KeysRead),
		Summary: "Show an API key, without its text",
	}, a.getKey)
	handle(h, huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: "/api/keys/{id}", Tags: tags, Security: needs(access.KeysWrite),
		Summary: "Revoke an API key, at once and on every node", DefaultStatus: http.StatusNoContent,
	}, a.revokeKey)
	handle(h, huma.Operation{
		OperationID: "list-scopes", Method: http.MethodGet, Path: "/api/scopes", Tags: tags, Security: needs(),
		Summary: "List the scopes that a key can have",
	}, listScopes)
}

func (a *API) listKeys(ctx context.Context, in *listKeysInput) (*body[page[access.Key]], error) {
	slice, next := cut(a.cfg.Keys.Keys(callerOf(ctx).Caller), in.After, in.Limit, func(k access.Key) string { return k.ID })
	return &body[page[access.Key]]{page[access.Key]{append([]access.Key{}, slice...), next}}, nil
}

func (a *API) getKey(ctx context.Context, in *keyInput) (*body[access.Key], error) {
	k, err := a.cfg.Keys.Key(callerOf(ctx).Caller, in.ID)
	return &body[access.Key]{k}, noKey(err, in.ID)
}

func (a *API) createKey(ctx context.Context, in *createKeyInput) (_ *body[newKey], err error) {
	var made access.Key
	defer func() {
		scopes := make([]string, len(in.Body.Scopes))
		for i, s := range in.Body.Scopes {
			scopes[i] = string(s)
		}
		a.audit(ctx, made.Owner, "key.create", made.ID, cutText(in.Body.Name+": "+strings.Join(scopes, " "), 500), err)
	}()
	made, text, err := a.cfg.Keys.Create(ctx, callerOf(ctx).Caller, in.Body)
	var invalid *access.InvalidError
	var exceeds *access.ExceedsError
	switch {
	case errors.As(err, &invalid):
		return nil, problem.New(problem.KeySpecInvalid, "%v", invalid)
	case errors.As(err, &exceeds):
		return nil, problem.New(problem.GrantExceeded, "%v", exceeds)
	case err != nil:
		return nil, err
	}
	return &body[newKey]{newKey{made, text.Reveal()}}, nil
}

func (a *API) revokeKey(ctx context.Context, in *keyInput) (_ *struct{}, err error) {
	var k access.Key
	defer func() { a.audit(ctx, k.Owner, "key.revoke", in.ID, k.Name, err) }()
	k, err = a.cfg.Keys.Revoke(ctx, callerOf(ctx).Caller, in.ID)
	return nil, noKey(err, in.ID)
}

// noKey words the keyring's ErrUnknown.
func noKey(err error, id string) error {
	if errors.Is(err, access.ErrUnknown) {
		return problem.New(problem.KeyUnknown, "there is no API key with the id %.80q", id)
	}
	return err
}

func listScopes(context.Context, *struct{}) (*body[page[scopeKind]], error) {
	out := page[scopeKind]{Items: []scopeKind{}}
	for _, k := range access.Scopes() {
		out.Items = append(out.Items, scopeKind(k))
	}
	return &body[page[scopeKind]]{out}, nil
}
