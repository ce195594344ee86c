package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// problemOf says what a backend's error means to the caller. It is the one place that knows.
func problemOf(err error) *problem.Problem {
	var invalid *registry.InvalidError
	var channel *event.ChannelError
	var field *event.FieldError
	switch {
	case errors.As(err, &invalid):
		return invalidProblem(invalid)
	case errors.As(err, &field):
		p := problem.New(problem.FieldInvalid, "%v", field)
		p.Errors = []problem.Field{{Field: field.Field, Reason: field.Reason}}
		return p
	case errors.As(err, &channel):
		if strings.ContainsAny(channel.Name, "*{}") {
			return problem.New(problem.ChannelWildcard, "%q has wildcards; write the channel's full name", channel.Name)
		}
		return problem.New(problem.ChannelInvalid, "%v", channel)
	case errors.Is(err, actors.ErrUnknown):
		return problem.New(problem.IntegrationUnknown, "there is no such integration").Because(err)
	case errors.Is(err, actors.ErrNotOwned):
		return problem.New(problem.EngineUnavailable, "no node that can be reached holds the integration at the moment; try again").After(time.Second).Because(err)
	case errors.Is(err, registry.ErrConflict), errors.Is(err, journal.ErrConflict):
		return problem.New(problem.Conflict, "somebody else changed it in the meantime; read it again").Because(err)
	case errors.Is(err, registry.ErrSeal):
		return problem.New(problem.SecretsUnreadable, "the stored secrets do not open with this node's master key; start it with the key that sealed them, or delete the integration").Because(err)
	case errors.Is(err, registry.ErrClosed), errors.Is(err, access.ErrClosed), errors.Is(err, journal.ErrClosed):
		return problem.New(problem.ShuttingDown, "the node is stopping").After(5 * time.Second).Because(err)
	case errors.Is(err, journal.ErrFull):
		return problem.New(problem.LogFull, "the log has no room").After(30 * time.Second).Because(err)
	case errors.Is(err, journal.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem.New(problem.LogUnavailable, "the log did not answer in time; it may have been done all the same").After(time.Second).Because(err)
	}
	return problem.Of(err)
}

// invalidProblem names every field that is wrong.
func invalidProblem(invalid *registry.InvalidError) *problem.Problem {
	code := problem.IntegrationInvalid
	if invalid.What == "mapping" {
		code = problem.MappingInvalid
	}
	p := problem.New(code, "%v", invalid.Err)
	var expression *registry.ExpressionError
	if errors.As(invalid, &expression) {
		p.Detail = "an expression of the mapping is wrong"
		p.Errors = []problem.Field{{
			Field: expression.Field, Reason: expression.Where(), Line: expression.Line, Column: expression.Column, Text: expression.Text,
		}}
	}
	var field *event.FieldError
	if errors.As(invalid, &field) {
		p.Errors = []problem.Field{{Field: field.Field, Reason: field.Reason}}
	}
	var settings *adapter.SettingsError
	if errors.As(invalid, &settings) {
		p.Detail = "some of what " + settings.Vendor + " needs is missing or wrong"
		p.Errors = fieldsOf(settings)
	}
	return p
}

func fieldsOf(e *adapter.SettingsError) []problem.Field {
	fields := make([]problem.Field, len(e.Problems))
	for i, f := range e.Problems {
		fields[i] = problem.Field{Field: f.Field, Reason: f.Reason}
	}
	return fields
}

// transform is where every answer of huma passes: its own refusals become problems of the table. They
// quote the value that was wrong, which may be a secret; that is left out.
func transform(ctx huma.Context, _ string, v any) (any, error) {
	r, w := humago.Unwrap(ctx)
	switch v := v.(type) {
	case *problem.Problem:
		return v.For(w, r), nil
	case *huma.ErrorModel:
		return refusal(v).For(w, r), nil
	}
	return v, nil
}

func refusal(m *huma.ErrorModel) *problem.Problem {
	code := problem.FieldInvalid
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		code = problem.BodyTooLarge
	case http.StatusUnsupportedMediaType:
		code = problem.UnsupportedMediaType
	case http.StatusRequestTimeout:
		code = problem.BodyUnreadable
	case http.StatusBadRequest:
		code = problem.JSONMalformed
	case http.StatusInternalServerError:
		code = problem.Internal
	}
	p := problem.New(code, "%s", m.Detail)
	p.Status = m.Status // huma has chosen it already
	for _, e := range m.Errors {
		if e != nil && code != problem.Internal {
			p.Errors = append(p.Errors, problem.Field{Field: e.Location, Reason: e.Message})
		}
	}
	return p
}
