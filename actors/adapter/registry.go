package adapter

import (
	"fmt"
	"maps"
	"slices"
)

// vendors is written by init functions alone and read ever after.
var vendors = map[string]Adapter{}

// register adds a vendor; each vendor's file does it once, in init.
func register(a Adapter) {
	id := a.Describe().Vendor
	if _, dup := vendors[id]; dup {
		panic(fmt.Sprintf("adapter: vendor %q is registered twice", id))
	}
	vendors[id] = a
}

// Lookup returns the vendor's adapter, or an *UnknownVendorError.
func Lookup(vendor string) (Adapter, error) {
	if a, ok := vendors[vendor]; ok {
		return a, nil
	}
	return nil, &UnknownVendorError{Vendor: vendor}
}

// Vendors returns the ids of all vendors, sorted.
func Vendors() []string { return slices.Sorted(maps.Keys(vendors)) }

// UnknownVendorError names a vendor that has no adapter.
type UnknownVendorError struct{ Vendor string }

func (e *UnknownVendorError) Error() string {
	return fmt.Sprintf("vendor %.64q is not known; use one of %v", e.Vendor, Vendors())
}
