package registry_test

import (
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// FuzzStoredRecords loads whatever bytes may stand in the buckets: each record is either in force or
// a problem, and what is in force can be used.
func FuzzStoredRecords(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"s","vendor":"slack","category":"slack-notifications","owner":{"a":"1"},"settings":{}}`), []byte{1})
	f.Add([]byte(`{"v":2}`), []byte{2, 3})
	f.Add([]byte(`{"v":1,"id":"s","vendor":"studiocloud","category":"x","limits":{"perSecond":-1}}`), []byte{})
	f.Add([]byte(`{"v":1,"id":"s","pattern":"a:{b}:**","targets":[{"category":"slack-notifications"},{"integration":"s"}]}`), []byte("x"))
	f.Add([]byte(`{"v":1,"id":"s","pattern":"a:{b}","targets":[{"integration":"s"}],"when":"vars.b == \"1\"","fields":{"x":"payload.y.z"}}`), []byte{})
	f.Add([]byte(`null`), []byte{1, 1, 0, 0, 0})
	sealer := newSealer(f)
	f.Fuzz(func(t *testing.T, record, sealed []byte) {
		config, secrets := newMemory(), newMemory()
		config.set("integration.s", record)
		config.set("mapping.s", record)
		secrets.set("integration.s", sealed)
		r, err := registry.Open(t.Context(), registry.Config{
			Store: registry.Store{Config: config, Secrets: secrets}, Sealer: sealer, Logger: zerolog.Nop(), Now: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		problems := map[string]bool{}
		for _, p := range r.Problems() {
			problems[p.Bucket+"/"+p.Key] = true
		}
		e, ok := r.Lookup("s")
		if ok == problems["config/integration.s"] || ok != (len(r.Integrations()) == 1) {
			t.Fatalf("in force: %t, problems: %v", ok, problems)
		}
		if (len(r.Mappings()) == 1) == problems["config/mapping.s"] {
			t.Fatalf("mappings: %v, problems: %v", r.Mappings(), problems)
		}
		for _, channel := range []string{"a", "a:1", "a:b:c"} {
			r.Resolve(&event.Event{Channel: channel, Type: "x"})
		}
		if ok {
			_, _ = e.Connection()
			if in := e.Copy(); in.ID != "s" || in.Revision == 0 {
				t.Fatalf("in force is %+v", in)
			}
		}
	})
}
