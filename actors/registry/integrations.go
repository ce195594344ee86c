package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// Put stores an integration: a new one, or in place of the one with its id. With a Revision above
// zero it fails with ErrConflict if that is no longer the revision stored; with zero it replaces
// whatever is there. It returns the integration as stored, with its category and new revision.
//
// Settings that the vendor's adapter refuses are an *InvalidError; secrets may follow later with
// SetSecrets, and until then Entry.Connection tells what is missing. An integration's vendor cannot
// change, as its secrets would go to another vendor.
func (r *Registry) Put(ctx context.Context, in event.Integration) (event.Integration, error) {
	in = cloneIntegration(in)
	if len(in.Settings) == 0 {
		in.Settings = json.RawMessage(`{}`)
	}
	if err := r.check(&in); err != nil {
		return event.Integration{}, &InvalidError{What: "integration", ID: in.ID, Err: err}
	}
	return r.write(ctx, in)
}

// check completes and checks an integration that is to be stored.
func (r *Registry) check(in *event.Integration) error {
	a, err := adapter.Lookup(in.Vendor)
	if err != nil {
		return err
	}
	if in.Category, err = categoryOf(a.Describe(), in.Category); err != nil {
		return err
	}
	if err := checkIntegration(*in); err != nil {
		return err
	}
	held := r.secretsOf(in.ID)
	if held.entry != nil && held.entry.Integration.Vendor != in.Vendor {
		return fmt.Errorf("vendor: it is an integration with %s; delete it first, or take another id", held.entry.Integration.Vendor)
	}
	// Secrets that do not open are not a reason to refuse settings.
	secrets, _ := r.config.Sealer.Open(in.ID, held.sealed)
	return settingsProblems(a, *in, secrets)
}

// categoryOf is the vendor's category or, of a vendor that has none, the one given.
func categoryOf(vendor adapter.Description, given event.Category) (event.Category, error) {
	switch {
	case vendor.Category == "" && !slices.Contains(event.Categories(), given):
		return "", fmt.Errorf("category: %.80q; %s can be anything, so give one of %v", given, vendor.Vendor, event.Categories())
	case vendor.Category == "" || given == "" || given == vendor.Category:
		return cmp.Or(vendor.Category, given), nil
	}
	return "", fmt.Errorf("category: %s is of %q, not %q; leave it out", vendor.Vendor, vendor.Category, given)
}

// settingsProblems returns what the adapter finds wrong with the settings, leaving out what it finds
// wrong with the secrets.
func settingsProblems(a adapter.Adapter, in event.Integration, secrets event.Secrets) error {
	_, err := a.Connect(in, secrets)
	var refused *adapter.SettingsError
	if !errors.As(err, &refused) {
		return err
	}
	var problems []adapter.Problem
	for _, p := range refused.Problems {
		if !strings.HasPrefix(p.Field, secretField) {
			problems = append(problems, p)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &adapter.SettingsError{Vendor: refused.Vendor, Problems: problems}
}

// write stores a checked integration and waits until it can be seen.
func (r *Registry) write(ctx context.Context, in event.Integration) (event.Integration, error) {
	in.V = event.Version
	if e, ok := r.Lookup(in.ID); ok && in.Resumed.IsZero() {
		in.Resumed = e.Integration.Resumed
	}
	data, err := json.Marshal(in)
	if err != nil {
		return event.Integration{}, &InvalidError{What: "integration", ID: in.ID, Err: fmt.Errorf("settings: %w", err)}
	}
	revision, err := r.put(ctx, integrationPrefix+in.ID, data, in.Revision)
	if err != nil {
		return event.Integration{}, err
	}
	in.Revision = revision
	return in, nil
}

// Delete removes an integration and its secrets; ErrNotFound if there is none. Its secrets go first:
// what is left if it fails between the two is an integration that lacks them, and can be deleted again.
func (r *Registry) Delete(ctx context.Context, id string) error {
	key := integrationPrefix + id
	if !r.isStored(recordKey{configBucket, key}) {
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	err := r.remove(ctx, recordKey{secretsBucket, key})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return r.remove(ctx, recordKey{configBucket, key})
}

// Pause stops sending to an integration: its deliveries wait. The reason and who paused it must be
// given; a zero At is now. What the system pauses does not replace a pause that is in force.
func (r *Registry) Pause(ctx context.Context, id string, p event.Pause) error {
	if p.Reason == "" || p.By == "" {
		return &InvalidError{What: "integration", ID: id, Err: errors.New("pause: a reason and who paused it must be given")}
	}
	if p.At.IsZero() {
		p.At = r.config.Now()
	}
	return r.change(ctx, id, func(in *event.Integration) bool {
		if in.Paused != nil && !p.Wanted() {
			return false
		}
		in.Paused = &p
		return true
	})
}

// Resume ends an integration's pause, if there is one.
func (r *Registry) Resume(ctx context.Context, id string) error {
	return r.change(ctx, id, func(in *event.Integration) bool {
		paused := in.Paused != nil
		if in.Paused.Wanted() {
			in.Resumed = r.config.Now().UTC()
		}
		in.Paused = nil
		return paused
	})
}

// change stores an integration as edit leaves it, unless that returns false. When somebody else was
// faster it edits what they stored.
func (r *Registry) change(ctx context.Context, id string, edit func(*event.Integration) bool) error {
	key := recordKey{configBucket, integrationPrefix + id}
	for {
		if err := r.writable(key); err != nil {
			return err
		}
		e, ok := r.Lookup(id)
		if !ok {
			return fmt.Errorf("%s: %w", key.key, ErrNotFound)
		}
		in := e.Copy()
		if !edit(&in) {
			return nil
		}
		_, err := r.write(ctx, in)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if err := r.awaitOther(ctx, key, e.Revision); err != nil {
			return err
		}
	}
}
