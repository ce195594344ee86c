package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/edge/problem"
)

const (
	ofIntegration = "/api/integrations/{id}/"
	channelConfig = "/api/integrations/channel-config"
)

// fork serves the operations of one method on /api/integrations/{id}/... and on one channel-config. A
// ServeMux takes no two patterns of which neither is the more special: health of {id}, and {id} of
// channel-config.
type fork struct {
	config http.HandlerFunc
	other  map[string]http.HandlerFunc // by the last segment
}

// join serves an operation in its method's fork, and reports false where that has no need of one.
func (d doors) join(op *huma.Operation, serve http.HandlerFunc) bool {
	last, other := strings.CutPrefix(op.Path, ofIntegration)
	config := op.Path == channelConfig+"/{id}"
	if !config && (!other || strings.Contains(last, "/")) || op.Method == http.MethodPost { // a config is not posted to, and has nothing below it
		return false
	}
	f := d.forks[op.Method]
	if f == nil {
		f = &fork{other: map[string]http.HandlerFunc{}}
		d.forks[op.Method] = f
		d.HandleFunc(op.Method+" "+ofIntegration+"{last}", f.serve)
	}
	named := func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = op.Method + " " + op.Path
		serve(w, r)
	}
	if config {
		f.config = named
	} else {
		f.other[last] = named
	}
	return true
}

func (f *fork) serve(w http.ResponseWriter, r *http.Request) {
	last := r.PathValue("last")
	if r.PathValue("id") == "channel-config" && f.config != nil {
		r.SetPathValue("id", last)
		f.config(w, r)
		return
	}
	if serve, ok := f.other[last]; ok {
		serve(w, r)
		return
	}
	problem.Write(w, r, problem.New(problem.NotFound, "there is nothing at %.200q; the addresses are in /api/openapi.json", r.URL.Path))
}
