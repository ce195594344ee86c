package api

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// API serves /api. It is safe for concurrent use.
type API struct {
	cfg    Config
	limits ingest.Limits // of a publish body

	insecure *access.Caller // who everybody is where Insecure says so

	operations map[string]*huma.Operation // by id; written by Mount

	numbersAway atomic.Bool // ClickHouse did not answer last; it has been logged
}

// New returns the API, or an error that names what is wrong with the configuration.
func New(cfg Config) (*API, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &API{cfg: cfg, limits: ingest.Limits{}.Around(), insecure: access.Everybody("insecure"), operations: map[string]*huma.Operation{}}, nil
}

// Mount puts the API into the mux.
func (a *API) Mount(mux *http.ServeMux) {
	h := huma.NewAPI(config(a.cfg.Version), doors{mux, a, map[string]*fork{}})
	a.routeChannels(h)
	a.routeListeners(h)
	a.routeIntegrations(h)
	a.routeControls(h)
	a.routeMappings(h)
	a.routePreviews(h)
	a.routeProfiles(h)
	a.routeDead(h)
	a.routeDeliveries(h)
	a.routeAnalytics(h)
	a.routeLive(h)
	a.routeAudit(h)
	a.routeKeys(h)
	a.routeWeddings(h)
	a.routeMembers(h)
	a.routeClusterKeys(h)
	a.routeAbout(h)
	a.routeBackup(h)
	mux.HandleFunc("POST /api/channels/{name}/publish", a.publish)
	document(h.OpenAPI())
}

// handle registers an operation whose errors are told by problemOf.
func handle[I, O any](h huma.API, op huma.Operation, f func(context.Context, *I) (*O, error)) {
	op.Responses = map[string]*huma.Response{"default": problemResponse(h.OpenAPI())}
	if writes(&op) {
		op.Parameters = append(op.Parameters, idempotencyParam())
	}
	huma.Register(h, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// body is an answer with a body.
type body[T any] struct{ Body T }

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page, for the parameter after. Without it there is none."`
}

var _ huma.StatusError = (*problem.Problem)(nil)
