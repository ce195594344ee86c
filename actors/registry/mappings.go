package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// CheckMapping returns an *InvalidError unless the mapping can be stored, as far as that does not depend on
// the integrations that are there; it wraps an *ExpressionError where an expression is wrong, and an
// *event.FieldError where a target is.
func CheckMapping(m event.Mapping) error {
	_, err := checkMapping(m, func(string) string { return "" })
	return err
}

// checkMapping is CheckMapping with the integrations' vendors; "" is one that is not there.
func checkMapping(m event.Mapping, vendorOf func(id string) string) (*route, error) {
	err := m.Validate()
	if err == nil {
		err = checkRecipients(&m, vendorOf)
	}
	var r *route
	if err == nil {
		r, err = newRoute(m)
	}
	if err != nil {
		return nil, &InvalidError{What: "mapping", ID: m.ID, Err: err}
	}
	return r, nil
}

// checkRecipients checks that the services take the recipients that are named.
func checkRecipients(m *event.Mapping, vendorOf func(id string) string) error {
	for i, t := range m.Targets {
		vendors := []string{vendorOf(t.Integration)}
		if t.Category != "" {
			vendors = slices.DeleteFunc(adapter.Vendors(), func(v string) bool {
				a, err := adapter.Lookup(v)
				return err != nil || a.Describe().Category != t.Category
			})
		}
		for _, vendor := range vendors {
			for n, r := range t.Recipients {
				if err := checkRecipient(vendor, r); err != nil {
					field := &event.FieldError{Field: fmt.Sprintf("targets[%d].recipients[%d]", i, n), Reason: err.Error()}
					return fmt.Errorf("mapping %s: %w", m.ID, field)
				}
			}
		}
	}
	return nil
}

func checkRecipient(vendor, address string) error {
	a, err := adapter.Lookup(vendor)
	if err != nil {
		return nil // not there yet: its deliveries will tell
	}
	to, ok := a.(adapter.Addresser)
	if !ok {
		return fmt.Errorf("%s sends to nobody but whom its settings name; leave recipients out", vendor)
	}
	return to.CheckRecipient(address)
}

// vendorOf returns an integration's vendor; "" where there is none.
func (r *Registry) vendorOf(id string) string {
	if e, ok := r.Lookup(id); ok {
		return e.Integration.Vendor
	}
	return ""
}

// PutMapping stores a mapping, as Put does an integration. A target need not exist yet; expressions are
// compiled, and refused as CheckMapping does.
func (r *Registry) PutMapping(ctx context.Context, m event.Mapping) (event.Mapping, error) {
	m.V = event.Version
	if _, err := checkMapping(m, r.vendorOf); err != nil {
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

func cloneTargets(targets []event.Target) []event.Target {
	all := slices.Clone(targets)
	for i, t := range all {
		all[i].Types, all[i].Recipients, all[i].Critical = slices.Clone(t.Types), slices.Clone(t.Recipients), slices.Clone(t.Critical)
		if t.QuietHours != nil {
			quiet := *t.QuietHours
			all[i].QuietHours = &quiet
		}
		if t.Digest != nil {
			digest := *t.Digest
			all[i].Digest = &digest
		}
	}
	return all
}
