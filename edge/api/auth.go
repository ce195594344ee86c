package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/problem"
)

// MinKeyBytes is how long a key must be at least: a key is looked up by a fast hash, so it must be
// one that nobody can guess.
const MinKeyBytes = 20

// Key is an API key: who holds it, and its hash. The zero Key lets nobody in.
type Key struct {
	name string
	hash [sha256.Size]byte
}

// NewKey returns the key of that secret. The name stands in audit records.
func NewKey(name string, secret event.Secret) (Key, error) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) || len(name) > 64 {
		return Key{}, fmt.Errorf("api key name %.70q: must have 1 to 64 printable characters without spaces", name)
	}
	if n := len(secret); n < MinKeyBytes {
		return Key{}, fmt.Errorf("api key %s: it has %d bytes; at least %d are needed, and random ones", name, n, MinKeyBytes)
	}
	return Key{name: name, hash: sha256.Sum256([]byte(secret))}, nil
}

// caller is who makes a request.
type caller struct {
	name string // of the key
	from netip.Addr
}

// authenticate returns whose key the request shows. It takes the same time for every wrong one.
func (a *API) authenticate(r *http.Request) (name string, err error) {
	if a.cfg.Insecure {
		return "insecure", nil
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", problem.New(problem.KeyMissing, `send the API key in the header "Authorization: Bearer KEY"`)
	}
	hash := sha256.Sum256([]byte(token))
	for i := range a.cfg.Keys {
		k := &a.cfg.Keys[i]
		if subtle.ConstantTimeCompare(hash[:], k.hash[:]) == 1 && k.name != "" {
			name = k.name
		}
	}
	if name == "" {
		return "", problem.New(problem.KeyInvalid, "this API key is not one of this node's")
	}
	return name, nil
}

type callerKey struct{}

// maxWork is how long a request of a guarded handler may take.
const maxWork = 20 * time.Second

// guarded lets in who shows a key, and notes who it is.
func (a *API) guarded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, err := a.authenticate(r)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), maxWork)
		defer cancel()
		h(w, r.WithContext(context.WithValue(ctx, callerKey{}, caller{name, a.cfg.Source(r)})))
	}
}

// audit records what the caller did, or was refused.
func (a *API) audit(ctx context.Context, action, target, detail string, err error) {
	c, _ := ctx.Value(callerKey{}).(caller)
	rec := event.Audit{At: a.cfg.Now(), Actor: "admin:" + c.name, Action: action, Target: target, Outcome: "ok", Detail: detail}
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
