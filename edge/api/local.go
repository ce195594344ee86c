package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// Local is the API for one caller in the same process, such as who looks at the admin page: the functions that
// answer requests, with their scopes, their reach, their audit records and their errors, and no HTTP between. Each
// method is one operation, named by its operation id; its errors are problems. What a page needs more gets a method
// here. It is safe for concurrent use.
type Local struct {
	api *API
	who caller
}

// Integration is one as the API shows and takes it.
type Integration = integration

// Live is what live answers.
type Live = liveReport

// LiveRow is one of its rows.
type LiveRow = liveRow

// Delivered is all that is known of a delivery.
type Delivered = traced

// As returns the API for a caller. The request tells where they are, for the audit. Mount must have been called.
func (a *API) As(who *access.Caller, r *http.Request) Local {
	return Local{a, caller{who, a.cfg.Source(r)}}
}

// Caller returns whom it is for.
func (l Local) Caller() *access.Caller { return l.who.Caller }

// Audit records what the caller did beside the API, or was refused.
func (l Local) Audit(ctx context.Context, action, target, detail string, err error) {
	l.api.audit(context.WithValue(ctx, callerKey{}, l.who), nil, action, target, detail, err)
}

// call does an operation for the caller: refused unless they have its scopes, and within the time that it may take.
func call[I, O any](ctx context.Context, l Local, operation string, f func(context.Context, *I) (*O, error), in *I) (*O, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWork)
	defer cancel()
	ctx = context.WithValue(ctx, callerKey{}, l.who)
	op := l.api.operations[operation]
	if op == nil {
		panic("api: there is no operation " + operation)
	}
	for _, s := range op.Security[0][securityScheme] {
		if err := allow(l.who.Caller, access.Scope(s)); err != nil {
			l.api.audit(ctx, nil, "access.refuse", operation, "", err)
			return nil, err
		}
	}
	if err := checkBody(in); err != nil {
		return nil, err
	}
	out, err := f(ctx, in)
	if err != nil {
		return nil, problemOf(err)
	}
	return out, nil
}

// checkBody holds the body of an input against what the document says of it, as huma does with a request.
func checkBody(in any) error {
	field := reflect.ValueOf(in).Elem().FieldByName("Body")
	if !field.IsValid() {
		return nil
	}
	text, err := json.Marshal(field.Interface())
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	if wrong := huma.NewModelValidator().Validate(field.Type(), value); len(wrong) > 0 {
		p := problem.New(problem.FieldInvalid, "some of what was entered is missing or wrong")
		for _, err := range wrong {
			if d, ok := err.(*huma.ErrorDetail); ok { //nolint:errorlint // huma hands it out as it is
				p.Errors = append(p.Errors, problem.Field{Field: d.Location, Reason: d.Message})
			}
		}
		return p
	}
	return nil
}

// of returns the body of an answer.
func of[T any](b *body[T], err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return b.Body, nil
}

func shown(out *integrationOutput, err error) (Integration, error) {
	if err != nil {
		return Integration{}, err
	}
	return out.Body, nil
}

// Integrations is list-integrations: those behind after, at most limit.
func (l Local) Integrations(ctx context.Context, after string, limit int) ([]Integration, error) {
	p, err := of(call(ctx, l, "list-integrations", l.api.listIntegrations, &listInput{After: after, Limit: limit}))
	return p.Items, err
}

// Integration is get-integration.
func (l Local) Integration(ctx context.Context, id string) (Integration, error) {
	return shown(call(ctx, l, "get-integration", l.api.getIntegration, &idInput{id}))
}

// Healths is integrations-health, of all integrations.
func (l Local) Healths(ctx context.Context) ([]event.Health, error) {
	p, err := of(call(ctx, l, "integrations-health", l.api.healths, &healthsInput{Limit: 1 << 30}))
	return p.Items, err
}

// Health is integration-health.
func (l Local) Health(ctx context.Context, id string) (event.Health, error) {
	return of(call(ctx, l, "integration-health", l.api.health, &idInput{id}))
}

// SLO is slo.
func (l Local) SLO(ctx context.Context, by analytics.Dimension, since string) (analytics.SLOReport, error) {
	return of(call(ctx, l, "slo", l.api.slo, &sloInput{By: string(by), Since: since}))
}

// SLOSeries is slo-series.
func (l Local) SLOSeries(ctx context.Context, by analytics.Dimension, key, since string) (analytics.SLOSeries, error) {
	return of(call(ctx, l, "slo-series", l.api.series, &seriesInput{string(by), since, key}))
}

// Live is live: of the last minutes, each by itself or all together.
func (l Local) Live(ctx context.Context, by analytics.Dimension, key string, last int, minutes bool) (Live, error) {
	return of(call(ctx, l, "live", l.api.live, &liveInput{string(by), key, last, minutes}))
}

// Sought is what find-deliveries selects by; what is empty selects all.
type Sought = deliveriesInput

// FindDeliveries is find-deliveries, and where the next page begins.
func (l Local) FindDeliveries(ctx context.Context, what Sought) ([]analytics.DeliveryRow, string, error) {
	p, err := of(call(ctx, l, "find-deliveries", l.api.findDeliveries, &what))
	return p.Items, p.Next, err
}

// Delivery is get-delivery.
func (l Local) Delivery(ctx context.Context, id string) (Delivered, error) {
	return of(call(ctx, l, "get-delivery", l.api.getDelivery, &deliveryInput{id}))
}

// Logged is an event as the log has it.
type Logged = logged

// History is history: the newest events of a channel.
func (l Local) History(ctx context.Context, channel string, limit int) ([]Logged, error) {
	h, err := of(call(ctx, l, "history", l.api.history, &historyInput{Name: channel, Limit: limit}))
	return h.Events, err
}
