package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// secretField begins the name of a secret in an adapter.Problem.
const secretField = "secrets."

// maxSecretValues is how many values of a secret are kept: the one in force, and the one before it
// that still verifies.
const maxSecretValues = 2

// held is what the index knows of an integration's secrets.
type held struct {
	entry    *Entry
	sealed   []byte
	revision uint64
}

func (r *Registry) secretsOf(id string) held {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.index.integrations[id]
	if s == nil {
		return held{}
	}
	return held{r.index.entry(id), s.sealed, s.secretsRevision}
}

// SetSecrets gives an integration's secrets new values. Names that are left out keep theirs; an
// empty value removes the secret. The value that was in force until now is kept beside the new one,
// so that what the vendor still signs with it verifies, until the next rotation or RetireSecrets. A
// value that is in force already changes nothing, so that a call can be repeated.
//
// A secret that the adapter does not know or refuses is an *InvalidError; ones that are still
// missing are not, so that they can be set one after the other.
func (r *Registry) SetSecrets(ctx context.Context, id string, values map[string]event.Secret) error {
	for name, v := range values {
		if n := len(v.Reveal()); n > MaxSecretBytes {
			return &InvalidError{What: "integration", ID: id, Err: fmt.Errorf("%s%.80s: %d bytes, at most %d are allowed", secretField, name, n, MaxSecretBytes)}
		}
	}
	return r.changeSecrets(ctx, id, func(e *Entry, secrets event.Secrets) error {
		a, err := adapter.Lookup(e.Integration.Vendor)
		if err != nil {
			return err
		}
		known := a.Describe().Secrets
		for name, v := range values {
			if !slices.ContainsFunc(known, func(f adapter.Field) bool { return f.Name == name }) {
				return fmt.Errorf("%s%.80s: %s has no such secret; it has %s", secretField, name, e.Integration.Vendor, names(known))
			}
			rotate(secrets, name, v)
		}
		return secretProblems(a, e.Integration, secrets, values)
	})
}

// RetireSecrets ends a rotation: values from before it no longer verify.
func (r *Registry) RetireSecrets(ctx context.Context, id string) error {
	return r.changeSecrets(ctx, id, func(_ *Entry, secrets event.Secrets) error {
		for name, values := range secrets {
			secrets[name] = values[:min(len(values), 1)]
		}
		return nil
	})
}

func rotate(secrets event.Secrets, name string, value event.Secret) {
	switch {
	case value.Reveal() == "":
		delete(secrets, name)
	case !value.Equal(secrets.Current(name)):
		next := append([]event.Secret{value}, secrets[name]...)
		secrets[name] = next[:min(len(next), maxSecretValues)]
	}
}

// secretProblems returns what the adapter finds wrong with the secrets of the names given.
func secretProblems(a adapter.Adapter, in event.Integration, secrets event.Secrets, given map[string]event.Secret) error {
	_, err := a.Connect(in, secrets)
	var refused *adapter.SettingsError
	if !errors.As(err, &refused) {
		return err
	}
	var problems []adapter.Problem
	for _, p := range refused.Problems {
		name, ok := strings.CutPrefix(p.Field, secretField)
		if _, mine := given[name]; ok && mine {
			problems = append(problems, p)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &adapter.SettingsError{Vendor: refused.Vendor, Problems: problems}
}

// changeSecrets stores an integration's secrets as edit leaves them, and waits until that can be
// seen. When somebody else was faster it edits what they stored.
func (r *Registry) changeSecrets(ctx context.Context, id string, edit func(*Entry, event.Secrets) error) error {
	key := recordKey{secretsBucket, integrationPrefix + id}
	for {
		if err := r.writable(key); err != nil {
			return err
		}
		was := r.secretsOf(id)
		if was.entry == nil {
			return fmt.Errorf("%s: %w", key.key, ErrNotFound)
		}
		sealed, err := r.edit(was, id, edit)
		if sealed == nil || err != nil {
			return err
		}
		var revision uint64
		if was.revision == 0 {
			revision, err = r.config.Store.Secrets.Create(ctx, key.key, sealed)
		} else {
			revision, err = r.config.Store.Secrets.Update(ctx, key.key, sealed, was.revision)
		}
		if err == nil {
			return r.awaitRevision(ctx, key, revision)
		}
		if !errors.Is(err, journal.ErrConflict) {
			return storeError(key.key, err)
		}
		if err := r.awaitOther(ctx, key, was.revision); err != nil {
			return err
		}
	}
}

// edit opens secrets, has them edited and seals them again; nil if they stayed the same.
func (r *Registry) edit(was held, id string, edit func(*Entry, event.Secrets) error) ([]byte, error) {
	before, err := r.config.Sealer.Open(id, was.sealed)
	if err != nil {
		return nil, err
	}
	after := make(event.Secrets, len(before)+1)
	for name, values := range before {
		after[name] = slices.Clone(values)
	}
	if err := edit(was.entry, after); err != nil {
		return nil, &InvalidError{What: "integration", ID: id, Err: err}
	}
	if equalSecrets(before, after) {
		return nil, nil
	}
	return r.config.Sealer.Seal(id, after)
}

func equalSecrets(a, b event.Secrets) bool {
	if len(a) != len(b) {
		return false
	}
	for name, values := range a {
		if !slices.EqualFunc(values, b[name], event.Secret.Equal) {
			return false
		}
	}
	return true
}

func names(fields []adapter.Field) string {
	if len(fields) == 0 {
		return "none"
	}
	var list []string
	for _, f := range fields {
		list = append(list, f.Name)
	}
	return strings.Join(list, ", ")
}
