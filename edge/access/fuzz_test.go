package access_test

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
)

// FuzzDecode: whatever the log holds is refused, or is a key of that id that reaches no channel but
// those that its patterns name.
func FuzzDecode(f *testing.F) {
	good, err := access.Encode(access.Key{
		ID: "a", Name: "n", Scopes: all(access.ChannelsRead), Owner: map[string]string{"x": "1"}, Channels: []string{"c:{x}"},
	}, event.SecretOf("wsk_a_text"))
	must(f, err)
	f.Add(good)
	f.Add([]byte(`{"v":1,"id":"a","owner":{"x":""},"channels":["{","a"],"scopes":["admin","?"],"hash":"` + strings.Repeat("00", 32) + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, c, err := access.Decode("a", data)
		if err != nil {
			return
		}
		if k.ID != "a" {
			t.Fatalf("%s became %+v", data, k)
		}
		if c.Bound() && len(k.Channels) == 0 && c.Reaches("c:1") {
			t.Fatalf("%s reaches a channel", data)
		}
		_, _, _ = c.Scopes(), c.Actor(), c.Covers("c:*", k.Owner)
	})
}

// FuzzIDOf: a text leads to the id that it begins with, or to none.
func FuzzIDOf(f *testing.F) {
	f.Add("wsk_abc_def_ghi")
	f.Add("wsk__")
	f.Fuzz(func(t *testing.T, text string) {
		if id := access.IDOf(text); id != "" && !strings.HasPrefix(text, "wsk_"+id+"_") || strings.Contains(id, "_") {
			t.Fatalf("%q leads to %q", text, id)
		}
	})
}
