package edge

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// checkTime is how long a component may think about how it is.
const checkTime = time.Second

// Readiness is the body of /readyz.
type Readiness struct {
	Status     string                    `json:"status"` // "ready", "degraded", "unready" or "draining"
	Components map[string]ComponentState `json:"components"`
}

// ComponentState is how one component is.
type ComponentState struct {
	Status string `json:"status"` // "ok", "degraded" or "down"
	Detail string `json:"detail,omitempty"`
}

// healthz says that the process is alive and nothing more.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readyz says whether the node can do its work: 200 while it is ready, also where it is degraded, and
// 503 where a vital component is down or the node is on its way out.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready := s.readiness(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if ready.Status == "unready" || ready.Status == "draining" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(ready)
}

func (s *Server) readiness(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	states := make([]string, len(s.cfg.Checks))
	var wg sync.WaitGroup
	for i, c := range s.cfg.Checks {
		wg.Go(func() { states[i] = c.State(ctx) })
	}
	wg.Wait()
	ready := Readiness{Status: "ready", Components: make(map[string]ComponentState, len(states))}
	for i, c := range s.cfg.Checks {
		state := ComponentState{Status: "ok", Detail: states[i]}
		switch {
		case states[i] == "":
		case c.Vital:
			state.Status, ready.Status = "down", "unready"
		default:
			state.Status = "degraded"
			if ready.Status == "ready" {
				ready.Status = "degraded"
			}
		}
		ready.Components[c.Name] = state
	}
	if s.draining.Load() {
		ready.Status = "draining"
	}
	return ready
}
