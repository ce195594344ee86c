package api

import (
	"context"

	"github.com/wedsync/wedsync/actors"
)

// Mapping is one as the API shows and takes it.
type Mapping = mapping

// Create is create-integration: under an id that the node chooses.
func (l Local) Create(ctx context.Context, in Integration) (Integration, error) {
	return shown(call(ctx, l, "create-integration", l.api.createIntegration, &createInput{in}))
}

// CreateMapping is create-mapping: under an id that the node chooses.
func (l Local) CreateMapping(ctx context.Context, m Mapping) (Mapping, error) {
	out, err := call(ctx, l, "create-mapping", l.api.createMapping, &createMappingInput{m})
	if err != nil {
		return Mapping{}, err
	}
	return out.Body, nil
}

// CompareMapping is preview-mapping, with the newest events.
func (l Local) CompareMapping(ctx context.Context, m Mapping, last int) (actors.Comparison, error) {
	in := &previewMappingInput{}
	in.Body.Mapping, in.Body.Last = m, last
	return of(call(ctx, l, "preview-mapping", l.api.previewMapping, in))
}
