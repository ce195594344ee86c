package registry

import (
	"context"
	"encoding/json"

	"github.com/wedsync/wedsync/actors/event"
)

// CheckMapping returns an *InvalidError unless the mapping can be stored; it wraps an *ExpressionError
// where an expression is wrong.
func CheckMapping(m event.Mapping) error {
	_, err := checkMapping(m)
	return err
}

func checkMapping(m event.Mapping) (*route, error) {
	err := m.Validate()
	var r *route
	if err == nil {
		r, err = newRoute(m)
	}
	if err != nil {
		return nil, &InvalidError{What: "mapping", ID: m.ID, Err: err}
	}
	return r, nil
}

// PutMapping stores a mapping, as Put does an integration. A target need not exist yet; expressions are
// compiled, and refused as CheckMapping does.
func (r *Registry) PutMapping(ctx context.Context, m event.Mapping) (event.Mapping, error) {
	m.V = event.Version
	if err := CheckMapping(m); err != nil {
		return event.Mapping{}, err
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
