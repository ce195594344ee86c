package peers_test

import (
	"testing"

	"github.com/wedsync/wedsync/cluster/peers"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":7,"from":"n1","kind":"health","left":5000000000,"body":"aGk="}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := peers.Decode(data)
		if err != nil {
			return
		}
		again, err := peers.Encode(m)
		if err != nil {
			return // above the bound
		}
		if back, err := peers.Decode(again); err != nil || back.ID != m.ID || back.Kind != m.Kind {
			t.Fatalf("%s comes back as %+v, %v", data, back, err)
		}
	})
}
