package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type addClusterKeyInput struct {
	Body struct {
		Key event.Secret `json:"key" doc:"32 random bytes in base64."`
	}
}

type clusterKeyInput struct {
	ID string `path:"id" doc:"The key's id, as listed."`
}

func (a *API) routeClusterKeys(h huma.API) {
	op := func(id, method, path, summary, description string, scope access.Scope) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/cluster/keys" + path, Tags: []string{"cluster"}, Summary: summary,
			Description: description, DefaultStatus: http.StatusOK, Security: needs(scope),
		}
	}
	const again = " Where a node does not answer it is answered 409 " + problem.NodesDiffer + ", which names it, and can be asked again."
	handle(h, op("cluster-keys", http.MethodGet, "", "List the cluster keys that each node has, by their ids",
		"A node without keys has not answered.", access.StatusRead), a.clusterKeys)
	handle(h, op("add-cluster-key", http.MethodPost, "", "Give all nodes a cluster key, which they do not use yet",
		"First of three steps in which the key is replaced while nodes run."+again, access.ClusterWrite), a.addClusterKey)
	handle(h, op("use-cluster-key", http.MethodPost, "/{id}/use", "Have all nodes use a cluster key",
		"Second step: refused while a node does not have it."+again, access.ClusterWrite), a.useClusterKey)
	handle(h, op("remove-cluster-key", http.MethodDelete, "/{id}", "Take a cluster key away from all nodes",
		"Third step: refused while a node uses it."+again, access.ClusterWrite), a.removeClusterKey)
}

func (a *API) clusterKeys(ctx context.Context, _ *struct{}) (*body[page[cluster.NodeKeys]], error) {
	return a.onClusterKeys(func(keys ClusterKeys) ([]cluster.NodeKeys, error) {
		nodes, err := keys.List(ctx)
		var uneven *cluster.UnevenError
		if errors.As(err, &uneven) { // those that do not answer show by having none
			err = nil
		}
		return nodes, err
	})
}

func (a *API) addClusterKey(ctx context.Context, in *addClusterKeyInput) (_ *body[page[cluster.NodeKeys]], err error) {
	k, err := cluster.ParseKey(in.Body.Key.Reveal())
	defer func() { a.audit(ctx, nil, "cluster_key.add", k.ID(), "", err) }()
	if err != nil {
		p := problem.New(problem.FieldInvalid, "%v", err)
		p.Errors = []problem.Field{{Field: "key", Reason: err.Error()}}
		return nil, p
	}
	return a.onClusterKeys(func(keys ClusterKeys) ([]cluster.NodeKeys, error) { return keys.Add(ctx, k) })
}

func (a *API) useClusterKey(ctx context.Context, in *clusterKeyInput) (_ *body[page[cluster.NodeKeys]], err error) {
	defer func() { a.audit(ctx, nil, "cluster_key.use", cutText(in.ID, 100), "", err) }()
	return a.onClusterKeys(func(keys ClusterKeys) ([]cluster.NodeKeys, error) { return keys.Use(ctx, in.ID) })
}

func (a *API) removeClusterKey(ctx context.Context, in *clusterKeyInput) (_ *body[page[cluster.NodeKeys]], err error) {
	defer func() { a.audit(ctx, nil, "cluster_key.remove", cutText(in.ID, 100), "", err) }()
	return a.onClusterKeys(func(keys ClusterKeys) ([]cluster.NodeKeys, error) { return keys.Remove(ctx, in.ID) })
}

// onClusterKeys does it, and says what its error means.
func (a *API) onClusterKeys(do func(ClusterKeys) ([]cluster.NodeKeys, error)) (*body[page[cluster.NodeKeys]], error) {
	if a.cfg.ClusterKeys == nil {
		return nil, problem.New(problem.NodeAlone, "the node %s is alone, and has no cluster key", a.cfg.Node)
	}
	nodes, err := do(a.cfg.ClusterKeys)
	var uneven *cluster.UnevenError
	switch {
	case errors.As(err, &uneven):
		err = problem.New(problem.NodesDiffer, "%v", err)
	case errors.Is(err, cluster.ErrNoKey):
		err = problem.New(problem.ClusterKeyUnknown, "%v", err)
	}
	return &body[page[cluster.NodeKeys]]{page[cluster.NodeKeys]{Items: nodes}}, err
}
