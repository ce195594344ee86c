package registry

import (
	"context"
	"encoding/json"

	"github.com/wedsync/wedsync/actors/event"
)

// PutMapping stores a mapping, as Put does an integration. A target need not exist yet.
func (r *Registry) PutMapping(ctx context.Context, m event.Mapping) (event.Mapping, error) {
	m.V = event.Version
	if err := m.Validate(); err != nil {
		return event.Mapping{}, &InvalidError{What: "mapping", ID: m.ID, Err: err}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return event.Mapping{}, &InvalidError{What: "mapping", ID: m.ID, Err: err}
	}
	if m.Revision, err = r.put(ctx, mappingPrefix+m.ID, data, m.Revision); err != nil {
		return event.Mapping{}, err
	}
	return m, nil
}

// DeleteMapping removes a mapping; ErrNotFound if there is none.
func (r *Registry) DeleteMapping(ctx context.Context, id string) error {
	return r.remove(ctx, recordKey{configBucket, mappingPrefix + id})
}
