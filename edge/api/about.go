package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type nodeStatus struct {
	Node      string         `json:"node"`
	Version   string         `json:"version"`
	Analytics bool           `json:"analytics" doc:"Whether there is a ClickHouse."`
	Log       journal.Status `json:"log"`
}

func (a *API) routeAbout(h huma.API) {
	tags := []string{"about"}
	handle(h, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/api/status", Tags: tags, Summary: "How the node and its log stand",
		Security: needs(access.StatusRead),
	}, a.status)
	handle(h, huma.Operation{
		OperationID: "master-key", Method: http.MethodGet, Path: "/api/master-key", Tags: tags, Security: needs(access.StatusRead),
		Summary: "By which keys the secrets in the log are sealed, and which keys the nodes have; not the keys",
	}, a.masterKey)
	handle(h, huma.Operation{
		OperationID: "vendors", Method: http.MethodGet, Path: "/api/vendors", Tags: []string{"integrations"},
		Summary: "List the vendors, and what must be entered for each", Security: needs(),
	}, vendors)
	handle(h, huma.Operation{
		OperationID: "problems", Method: http.MethodGet, Path: "/api/problems", Tags: tags, Summary: "List the problems' codes",
		Security: free(),
	}, problems)
}

func (a *API) status(ctx context.Context, _ *struct{}) (*body[nodeStatus], error) {
	log, err := a.cfg.History.Status(ctx)
	if err != nil {
		return nil, err
	}
	return &body[nodeStatus]{nodeStatus{a.cfg.Node, a.cfg.Version, a.cfg.Analytics() != nil, log}}, nil
}

func (a *API) masterKey(ctx context.Context, _ *struct{}) (*body[registry.MasterKeys], error) {
	all, err := a.cfg.Controls.MasterKeys(ctx)
	if err != nil {
		return nil, err
	}
	return &body[registry.MasterKeys]{all}, nil
}

func vendors(context.Context, *struct{}) (*body[page[adapter.Description]], error) {
	out := page[adapter.Description]{Items: []adapter.Description{}}
	for _, id := range adapter.Vendors() {
		a, err := adapter.Lookup(id)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, a.Describe())
	}
	return &body[page[adapter.Description]]{out}, nil
}

func problems(context.Context, *struct{}) (*body[page[problem.Kind]], error) {
	return &body[page[problem.Kind]]{page[problem.Kind]{Items: problem.Kinds()}}, nil
}
