package registry

import (
	"bytes"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/cluster/journal"
)

// Names of the log's buckets, as errors and problems give them.
const (
	configBucket  = "config"
	secretsBucket = "secrets"
)

// recordKey names a stored record.
type recordKey struct{ bucket, key string }

// Problem is a stored record that cannot be read and is ignored: it is damaged, or a newer release
// wrote it. What was read under that key before, if anything, stays in force until a restart.
type Problem struct {
	Bucket   string `json:"bucket"` // "config" or "secrets"
	Key      string `json:"key"`
	Revision uint64 `json:"revision"`
	Reason   string `json:"reason"`
}

// Problems returns the stored records that are ignored, by bucket and key.
func (r *Registry) Problems() []Problem {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Problem, 0, len(r.problems))
	for _, p := range r.problems {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Problem) int {
		return strings.Compare(a.Bucket+"/"+a.Key, b.Bucket+"/"+b.Key)
	})
	return all
}

// read decodes a change without the lock and returns what brings it into the index under the lock
// and reports whether anything is different now; nil for a key that is not the registry's. The id is
// that of the integration it is about, "" for a mapping.
func (r *Registry) read(bucket string, c journal.Change) (apply func() bool, integration string) {
	key := recordKey{bucket, c.Key}
	good := func(apply func() bool) func() bool {
		return func() bool {
			delete(r.problems, key)
			return apply()
		}
	}
	bad := func(err error) func() bool {
		p := Problem{Bucket: bucket, Key: c.Key, Revision: c.Revision, Reason: err.Error()}
		return func() bool {
			if r.problems[key] != p {
				r.problems[key] = p
				r.log.Error().Str("bucket", bucket).Str("key", c.Key).Uint64("revision", c.Revision).
					Str("reason", p.Reason).Msg("a stored configuration record cannot be read and is ignored")
			}
			return false
		}
	}
	if id, ok := strings.CutPrefix(c.Key, mappingPrefix); ok && bucket == configBucket {
		if c.Deleted {
			return good(func() bool { return r.index.dropMapping(id) }), ""
		}
		m, err := decodeMapping(id, c.Data, c.Revision)
		if err != nil {
			return bad(err), ""
		}
		route, err := newRoute(m)
		if err != nil {
			return bad(err), ""
		}
		return good(func() bool { return r.index.putMapping(route) }), ""
	}
	id, ok := strings.CutPrefix(c.Key, integrationPrefix)
	if !ok {
		return nil, ""
	}
	switch {
	case c.Deleted && bucket == configBucket:
		return good(func() bool { return r.index.dropIntegration(id) }), id
	case c.Deleted:
		return good(func() bool { return r.index.putSecrets(id, nil, 0) }), id
	case bucket == configBucket:
		in, err := decodeIntegration(id, c.Data, c.Revision)
		if err != nil {
			return bad(err), id
		}
		data := bytes.Clone(c.Data)
		return good(func() bool { return r.index.putIntegration(in, data) }), id
	default:
		if err := checkSealed(c.Data); err != nil {
			return bad(err), id
		}
		sealed := bytes.Clone(c.Data)
		return good(func() bool { return r.index.putSecrets(id, sealed, c.Revision) }), id
	}
}

// keys returns the keys of a bucket that the registry holds something of.
func (r *Registry) keys(bucket string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var keys []string
	for key := range r.problems {
		if key.bucket == bucket {
			keys = append(keys, key.key)
		}
	}
	for id, s := range r.index.integrations {
		if bucket == configBucket && s.data != nil || bucket == secretsBucket && s.sealed != nil {
			keys = append(keys, integrationPrefix+id)
		}
	}
	if bucket == configBucket {
		for id := range r.index.mappings {
			keys = append(keys, mappingPrefix+id)
		}
	}
	return keys
}
