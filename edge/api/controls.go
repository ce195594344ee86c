package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type pauseInput struct {
	ID   string `path:"id" doc:"The integration."`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for others to read."`
	}
}

type testInput struct {
	ID   string `path:"id" doc:"The integration."`
	Body struct {
		Type string `json:"type,omitempty" doc:"Of the sample, see /api/vendors. Default: the vendor's first."`
	}
}

type secretsInput struct {
	ID   string                  `path:"id" doc:"The integration."`
	Body map[string]event.Secret `doc:"New values by name. Names left out keep theirs; an empty value removes the secret."`
}

type rotateInput struct {
	ID   string `path:"id" doc:"The integration."`
	Name string `path:"name" doc:"The secret, such as signing."`
}

type madeSecret struct {
	Name   string `json:"name"`
	Secret string `json:"secret" doc:"To be entered at the vendor's. It cannot be read again."`
}

type healthsInput struct {
	After string      `query:"after" doc:"Cursor: the next of the page before."`
	Limit int         `query:"limit" default:"1000" minimum:"1" maximum:"20000" doc:"At most so many."`
	State event.State `query:"state" doc:"Only those in this state."`
}

func (a *API) routeControls(h huma.API) {
	op := func(id, method, path, summary string, scope access.Scope) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/integrations/" + path, Tags: []string{"integrations"}, Summary: summary,
			DefaultStatus: http.StatusOK, Security: needs(scope),
		}
	}
	handle(h, op("pause-integration", http.MethodPost, "{id}/pause", "Send nothing for now; deliveries wait", access.IntegrationsWrite), a.pause)
	handle(h, op("resume-integration", http.MethodPost, "{id}/resume", "Send again, what waited first", access.IntegrationsWrite), a.resume)
	handle(h, op("reset-breaker", http.MethodPost, "{id}/reset-breaker", "Close the breaker: try at once what waits", access.IntegrationsWrite), a.resetBreaker)
	handle(h, op("reinstate-integration", http.MethodPost, "{id}/reinstate", "Let one that was suspended work again", access.IntegrationsWrite), a.reinstate)
	test := op("test-integration", http.MethodPost, "{id}/test", "Send the vendor a sample now, and tell what came of it", access.IntegrationsWrite)
	test.Description = "The vendor receives a real message, with an event id that begins with test-. It goes past breaker, limits and a pause, and is not recorded among the deliveries."
	handle(h, test, a.test)
	secrets := op("set-secrets", http.MethodPut, "{id}/secrets", "Set secrets", access.SecretsWrite)
	secrets.Description = "They cannot be read again. What was in force until now goes on verifying what comes in, until the next change."
	handle(h, secrets, a.setSecrets)
	rotate := op("rotate-secret", http.MethodPost, "{id}/secrets/{name}/rotate", "Make a new secret, and show it once", access.SecretsWrite)
	rotate.Description = "For secrets that are makeable, see /api/vendors. What is sent is signed with the new and the old one, and both verify what comes in, " +
		"until the next change or until the old ones are retired."
	rotate.Metadata = map[string]any{shownOnce: true}
	handle(h, rotate, a.rotateSecret)
	handle(h, op("retire-secrets", http.MethodPost, "{id}/secrets/retire", "End a rotation: secrets from before neither sign nor verify any more", access.SecretsWrite), a.retireSecrets)
	handle(h, op("integration-health", http.MethodGet, "{id}/health", "How an integration does", access.IntegrationsRead), a.health)
	handle(h, op("integrations-health", http.MethodGet, "health", "How all integrations do", access.IntegrationsRead), a.healths)
}

func (a *API) pause(ctx context.Context, in *pauseInput) (_ *integrationOutput, err error) {
	done := a.onIntegration(ctx, "integration.pause", in.ID)
	defer func() { done("", err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	err = a.cfg.Controls.Pause(ctx, in.ID, event.Pause{Reason: in.Body.Reason, By: callerOf(ctx).Actor(), At: a.cfg.Now().UTC()})
	if err != nil {
		return nil, a.known(err, in.ID)
	}
	return a.getIntegration(ctx, &idInput{in.ID})
}

func (a *API) resume(ctx context.Context, in *idInput) (_ *integrationOutput, err error) {
	done := a.onIntegration(ctx, "integration.resume", in.ID)
	defer func() { done("", err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := a.cfg.Controls.Resume(ctx, in.ID); err != nil {
		return nil, a.known(err, in.ID)
	}
	return a.getIntegration(ctx, in)
}

func (a *API) resetBreaker(ctx context.Context, in *idInput) (_ *body[event.Health], err error) {
	done := a.onIntegration(ctx, "integration.reset_breaker", in.ID)
	defer func() { done("", err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := a.cfg.Engine.ResetBreaker(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.health(ctx, in)
}

func (a *API) reinstate(ctx context.Context, in *idInput) (_ *body[event.Health], err error) {
	done := a.onIntegration(ctx, "integration.reinstate", in.ID)
	defer func() { done("", err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := a.cfg.Engine.Reinstate(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.health(ctx, in)
}

func (a *API) test(ctx context.Context, in *testInput) (_ *body[event.Attempt], err error) {
	var came event.Attempt
	done := a.onIntegration(ctx, "integration.test", in.ID)
	defer func() { done(strings.TrimSpace(came.Verdict+" "+came.Reason), err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	came, err = a.cfg.Engine.Test(ctx, in.ID, in.Body.Type)
	if errors.Is(err, actors.ErrUntestable) {
		return nil, problem.New(problem.FieldInvalid, "%v", err)
	}
	return &body[event.Attempt]{came}, err
}

func (a *API) setSecrets(ctx context.Context, in *secretsInput) (_ *integrationOutput, err error) {
	names := slices.Sorted(maps.Keys(in.Body))
	done := a.onIntegration(ctx, "integration.set_secrets", in.ID)
	defer func() { done(cutText(strings.Join(names, " "), 500), err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, problem.New(problem.SecretsInvalid, "name at least one secret")
	}
	if err := a.cfg.Controls.SetSecrets(ctx, in.ID, in.Body); err != nil {
		var invalid *registry.InvalidError
		if errors.As(err, &invalid) {
			p := invalidProblem(invalid)
			q := problem.New(problem.SecretsInvalid, "%s", p.Detail)
			q.Errors = p.Errors
			return nil, q
		}
		return nil, a.known(err, in.ID)
	}
	return a.getIntegration(ctx, &idInput{in.ID})
}

func (a *API) rotateSecret(ctx context.Context, in *rotateInput) (_ *body[madeSecret], err error) {
	done := a.onIntegration(ctx, "integration.rotate_secret", in.ID)
	defer func() { done(cutText(in.Name, 100), err) }()
	e, err := a.entry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	vendor, err := adapter.Lookup(e.Integration.Vendor)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(vendor.Describe().Secrets, func(f adapter.Field) bool { return f.Name == in.Name && f.Makeable }) {
		return nil, problem.New(problem.SecretsInvalid, "%s has no secret %.80q that can be made here; the vendor gives it, so set it", e.Integration.Vendor, in.Name)
	}
	made := adapter.NewSecret()
	if err := a.cfg.Controls.SetSecrets(ctx, in.ID, map[string]event.Secret{in.Name: made}); err != nil {
		return nil, a.known(err, in.ID)
	}
	return &body[madeSecret]{madeSecret{in.Name, made.Reveal()}}, nil
}

func (a *API) retireSecrets(ctx context.Context, in *idInput) (_ *integrationOutput, err error) {
	done := a.onIntegration(ctx, "integration.retire_secrets", in.ID)
	defer func() { done("", err) }()
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := a.cfg.Controls.RetireSecrets(ctx, in.ID); err != nil {
		return nil, a.known(err, in.ID)
	}
	return a.getIntegration(ctx, in)
}

func cutText(s string, n int) string { return s[:min(len(s), n)] }

func (a *API) health(ctx context.Context, in *idInput) (*body[event.Health], error) {
	if _, err := a.entry(ctx, in.ID); err != nil {
		return nil, err
	}
	h, err := a.cfg.Engine.Health(ctx, in.ID)
	return &body[event.Health]{h}, err
}

func (a *API) healths(ctx context.Context, in *healthsInput) (*body[page[event.Health]], error) {
	c := callerOf(ctx)
	all := slices.DeleteFunc(a.cfg.Engine.Healths(ctx), func(h event.Health) bool {
		return in.State != "" && h.State != in.State || !a.reachable(c, h.Integration)
	})
	slice, next := cut(all, in.After, in.Limit, func(h event.Health) string { return h.Integration })
	if slice == nil {
		slice = []event.Health{}
	}
	return &body[page[event.Health]]{page[event.Health]{slice, next}}, nil
}
