package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// An operation says who may call it in its Security: needs(scope), needs() for every key, or free().
// One that does not say it cannot be served.

const securityScheme = "key"

func needs(scopes ...access.Scope) []map[string][]string {
	list := make([]string, len(scopes))
	for i, s := range scopes {
		list[i] = string(s)
	}
	return []map[string][]string{{securityScheme: list}}
}

func free() []map[string][]string { return []map[string][]string{} }

// doors is the mux as huma sees it: each operation is served behind the check of its key.
type doors struct {
	*http.ServeMux
	api   *API
	forks map[string]*fork // by method
}

// Handle serves an operation.
func (d doors) Handle(op *huma.Operation, h func(huma.Context)) {
	serve := func(w http.ResponseWriter, r *http.Request) { h(humago.NewContext(op, r, w)) }
	switch path := op.Path; {
	case path == openAPIPath+"-3.0.json", path == openAPIPath+"-3.0.yaml": // one version is enough
		return
	case path == openAPIPath+".json", path == openAPIPath+".yaml":
	case op.Security == nil:
		panic("api: the operation " + op.OperationID + " does not say who may call it: set Security")
	case len(op.Security) > 0:
		serve = d.api.guarded(op, serve)
		d.api.operations[op.OperationID] = op
	}
	if !d.join(op, serve) {
		d.HandleFunc(op.Method+" "+op.Path, serve)
	}
}

// caller is who makes a request.
type caller struct {
	*access.Caller
	from netip.Addr
}

type callerKey struct{}

// callerOf returns who makes the request: of one that came past no guard, somebody who may do nothing.
func callerOf(ctx context.Context) caller {
	if c, ok := ctx.Value(callerKey{}).(caller); ok {
		return c
	}
	return caller{Caller: access.Nobody()}
}

// authenticate returns whose key the request shows.
func (a *API) authenticate(r *http.Request) (*access.Caller, error) {
	if a.cfg.Insecure {
		return a.insecure, nil
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, problem.New(problem.KeyMissing, `send the API key in the header "Authorization: Bearer KEY"`)
	}
	c, err := a.cfg.Keys.Find(token)
	switch {
	case errors.Is(err, access.ErrExpired):
		return nil, problem.New(problem.KeyExpired, "this API key has expired; have a new one made")
	case err != nil:
		return nil, problem.New(problem.KeyInvalid, "this API key is not known; it may have been revoked")
	}
	return c, nil
}

// allow returns a problem unless the caller has the scope.
func allow(c *access.Caller, s access.Scope) error {
	if c.Has(s) {
		return nil
	}
	return problem.New(problem.ScopeMissing, "this needs the scope %s; the API key has %s", s, c.Scopes())
}

// maxWork is how long a request of a guarded handler may take, where the operation's Metadata has no
// other time under takes.
const (
	maxWork = 20 * time.Second
	takes   = "takes"
)

// guarded lets in who shows a key with the operation's scope, and notes who it is.
func (a *API) guarded(op *huma.Operation, h http.HandlerFunc) http.HandlerFunc {
	scopes := op.Security[0][securityScheme]
	once := writes(op)
	limit, long := op.Metadata[takes].(time.Duration)
	if !long {
		limit = maxWork
	}
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := a.authenticate(r)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		if long {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit)) // else the server's own
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		ctx = context.WithValue(ctx, callerKey{}, caller{who, a.cfg.Source(r)})
		for _, s := range scopes {
			if err := allow(who, access.Scope(s)); err != nil {
				a.audit(ctx, nil, "access.refuse", op.OperationID, "", err)
				problem.Write(w, r, err)
				return
			}
		}
		r = r.WithContext(ctx)
		if key, given := idempotencyKey(r); given && once {
			a.once(w, r, attempt{who: who, key: key, secret: op.Metadata[shownOnce] != nil}, h)
			return
		}
		h(w, r)
	}
}

// audit records what the caller did, or was refused, for whoever it belonged to; nobody's is the caller's.
func (a *API) audit(ctx context.Context, owner map[string]string, action, target, detail string, err error) {
	c := callerOf(ctx)
	if len(owner) == 0 {
		owner = c.Owner()
	}
	rec := event.Audit{At: a.cfg.Now(), Actor: c.Actor(), Action: action, Target: target, Outcome: "ok", Detail: detail, Owner: owner}
	if err != nil {
		rec.Outcome = problemOf(err).Code
	}
	if c.from.IsValid() {
		rec.From = c.from.String()
	}
	a.cfg.Auditor.Audit(rec)
}

func connectionAddr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap().WithZone("")
}
