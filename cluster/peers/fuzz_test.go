package peers

import "testing"

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":7,"from":"n1","kind":"health","left":5000000000,"body":"aGk="}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			return // above the bound
		}
		if back, err := decode(again.GetValue()); err != nil || back.ID != m.ID || back.Kind != m.Kind {
			t.Fatalf("%s comes back as %+v, %v", data, back, err)
		}
	})
}
