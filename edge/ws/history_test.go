package ws_test

import (
	"fmt"
	"testing"

	"github.com/wedsync/wedsync/edge/ws"
)

// A channel is paged in both directions, among others that have more, and each page ends where the next one begins.
func TestHistoryPages(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	const events, page = 300, 70
	for i := range events { // rare at first, and dense in the end
		for range max(0, 40-i) {
			n.publish("noise:"+fmt.Sprint(i%3), `{}`)
		}
		n.publish(channel, fmt.Sprintf(`{"n":%d}`, i))
	}
	c := dialConnected(t, n, all(t))
	for _, reverse := range []bool{false, true} {
		since, seen := "", 0
		for {
			h := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":%d,"reverse":%t%s}`, channel, page, reverse, since)).History
			for _, p := range h.Publications {
				want := seen
				if reverse {
					want = events - 1 - seen
				}
				if got := number(t, p.Data); got != want {
					t.Fatalf("reverse %t: got %d, want %d", reverse, got, want)
				}
				seen++
			}
			if len(h.Publications) < page {
				break
			}
			since = fmt.Sprintf(`,"since":{"offset":%d,"epoch":%q}`, h.Publications[page-1].Offset, h.Epoch)
		}
		if seen != events {
			t.Errorf("reverse %t: %d of %d events", reverse, seen, events)
		}
	}
	for since, code := range map[string]uint32{`{"offset":0}`: ws.ErrBadRequest, `{"offset":5,"epoch":"x"}`: ws.ErrUnrecoverable} {
		if r := c.do(fmt.Sprintf(`"history":{"channel":%q,"limit":1,"reverse":true,"since":%s}`, channel, since)); r.Error.GetCode() != code {
			t.Errorf("since %s: %v, want error %d", since, r, code)
		}
	}
	far := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":1,"reverse":true,"since":{"offset":18446744073709551615}}`, channel)).History
	if len(far.Publications) != 1 || number(t, far.Publications[0].Data) != events-1 {
		t.Errorf("before the end of time: %v", far)
	}
	if h := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":5,"reverse":true,"since":{"offset":1}}`, channel)).History; len(h.Publications) != 0 {
		t.Errorf("before the first one: %v", h)
	}
}
