package journal_test

import (
	"encoding/json"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
)

// The fast path must read what a JSON decoder reads, and nothing else.
func FuzzParseAck(f *testing.F) {
	for _, seed := range []string{
		`{"stream":"EV","seq":7}`, `{"stream":"EV","seq":18446744073709551615}`, `{"stream":"EV","seq":18446744073709551616}`,
		`{"stream":"EV","seq":7,"duplicate": true}`, `{"stream":"EV", "seq":7}`, `{"stream":"EV","seq":0}`, `{"stream":"EV","seq":}`,
		`{"stream":"E\"V","seq":7}`, `{"stream":"EV","seq":-1}`, `{"stream":"EV","seq":07}`, `{"stream":"EV","domain":"d","seq":7}`,
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"EV","seq":0}`, ``, `{}`, `{"stream":"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := journal.ParseAck(data)
		var want struct {
			Error     any    `json:"error"`
			Seq       uint64 `json:"seq"`
			Duplicate bool   `json:"duplicate"`
		}
		wantErr := json.Unmarshal(data, &want)
		ok := wantErr == nil && want.Error == nil && want.Seq > 0
		if ok && err == nil && (got.Seq != want.Seq || got.Duplicate != want.Duplicate) {
			t.Errorf("%q is read as %+v, want %+v", data, got, want)
		}
		if err == nil && !ok {
			t.Errorf("%q is read as %+v; it is no acknowledgement: %v", data, got, wantErr)
		}
	})
}

func FuzzSequences(f *testing.F) {
	f.Add("$JS.ACK.EV.route_1.1.42.7.1700000000000000000.3")
	f.Add("$JS.ACK.dom.acc.EV.route_1.1.42.7.1700000000000000000.3")
	f.Add("$JS.ACK.dom.acc.EV.route_1.1.42.7.1700000000000000000.3.rnd")
	f.Add("$JS.ACK.EV.route_1.1.x.7.1700000000000000000.3")
	f.Add("")
	f.Fuzz(func(_ *testing.T, reply string) { journal.Sequences(reply) })
}

func TestSequences(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string][2]uint64{
		"$JS.ACK.EV.route_1.1.42.7.1700000000000000000.3":             {42, 7},
		"$JS.ACK.dom.acc.EV.route_1.1.42.7.1700000000000000000.3.rnd": {42, 7},
		"$JS.ACK.EV.route_1.1.x.7.1700000000000000000.3":              {0, 0},
		"$JS.ACK.EV.route_1.1.42.x.1700000000000000000.3":             {0, 0},
		"_INBOX.x": {0, 0},
	} {
		if stream, number := journal.Sequences(reply); [2]uint64{stream, number} != want {
			t.Errorf("Sequences(%q) = %d, %d, want %d", reply, stream, number, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"v":1,"id":"e","channel":"a:b","payload":{}}`, `{"v":1,"id":"d","integration":"crm","body":null}`,
		`{"delivery":{"id":"d","integration":"crm"}}`, `{"audit":{}}`, `{"format":1}`, `{"success":true}`, `{"error":{}}`, `[]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, data []byte) { journal.RunDecoders(data) })
}
