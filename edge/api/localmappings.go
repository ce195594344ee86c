package api

import "context"

func shownMapping(out *mappingOutput, err error) (Mapping, error) {
	if err != nil {
		return Mapping{}, err
	}
	return out.Body, nil
}

// Mappings is list-mappings: those behind after, at most limit.
func (l Local) Mappings(ctx context.Context, after string, limit int) ([]Mapping, error) {
	p, err := of(call(ctx, l, "list-mappings", l.api.listMappings, &listMappingsInput{after, limit}))
	return p.Items, err
}

// Mapping is get-mapping.
func (l Local) Mapping(ctx context.Context, id string) (Mapping, error) {
	return shownMapping(call(ctx, l, "get-mapping", l.api.getMapping, &mappingInput{id}))
}

// PutMapping is put-mapping. A revision in it must still be the stored one.
func (l Local) PutMapping(ctx context.Context, m Mapping) (Mapping, error) {
	return shownMapping(call(ctx, l, "put-mapping", l.api.putMapping, &putMappingInput{ID: m.ID, Body: m}))
}

// DeleteMapping is delete-mapping.
func (l Local) DeleteMapping(ctx context.Context, id string) error {
	_, err := call(ctx, l, "delete-mapping", l.api.deleteMapping, &mappingInput{id})
	return err
}
