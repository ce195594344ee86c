package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/edge/ingest"
)

// Large events come in several answers, each of which says where the next one begins.
func TestHistoryOfLargeEvents(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	const small, large = 40, 70
	for range small {
		into[ingest.Receipt](t, n.do(t, "POST", "/api/channels/a/publish", `{"type":"a.b","payload":{}}`))
	}
	text := strings.Repeat("x", 60<<10)
	for range large {
		into[ingest.Receipt](t, n.do(t, "POST", "/api/channels/a/publish", fmt.Sprintf(`{"type":"a.b","payload":{"a":%q,"b":%q,"c":%q}}`, text, text, text)))
	}
	type history struct {
		Events []struct{ Seq uint64 }
		Next   uint64
	}
	const most = 12 << 20 // 4 MiB, and what was read at once beyond
	answers, seq := 0, uint64(1)
	for next := seq; next != 0; answers++ {
		a := n.do(t, "GET", fmt.Sprintf("/api/channels/a/history?limit=1000&after=%d", next), "")
		if len(a.body) > most {
			t.Errorf("an answer has %d bytes", len(a.body))
		}
		h := into[history](t, a)
		for _, e := range h.Events {
			if seq++; e.Seq != seq {
				t.Fatalf("event %d came where %d was due", e.Seq, seq)
			}
		}
		next = h.Next
	}
	if seq != small+large || answers < 3 {
		t.Errorf("%d events came in %d answers", seq, answers)
	}
	a := n.do(t, "GET", "/api/channels/a/history?limit=1000", "")
	h := into[history](t, a)
	if last := len(h.Events); len(a.body) > most || last < 20 || last > large || h.Events[last-1].Seq != small+large || h.Events[0].Seq != uint64(small+large-last+1) {
		t.Errorf("of the newest, %d came in %d bytes", last, len(a.body))
	}
	type found struct{ Items []struct{ Events int } }
	if f := into[found](t, n.do(t, "GET", "/api/channels", "")); len(f.Items) != 1 || f.Items[0].Events > large/2 {
		t.Errorf("channels were looked for among too much: %+v", f)
	}
	if h := into[history](t, n.do(t, "GET", "/api/channels/a/history?limit=2", "")); len(h.Events) != 2 {
		t.Errorf("%d came, two were asked for", len(h.Events))
	}
}
