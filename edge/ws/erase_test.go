package ws_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// erase removes the events with these numbers, as the erasure of a wedding does.
func (n *node) erase(those ...int) {
	n.tb.Helper()
	var texts []string
	for _, i := range those {
		texts = append(texts, fmt.Sprintf(`{"n":%d}`, i))
	}
	got, err := n.journal.Erase(n.tb.Context(), journal.Selection{
		Event:    func(ev *event.Event) bool { return ev.Channel == channel && slices.Contains(texts, string(ev.Payload)) },
		Delivery: func(*event.Delivery) bool { return false },
	}, false)
	if err != nil || got.Events != len(those) {
		n.tb.Fatalf("erased %+v, %v; want %d events", got, err, len(those))
	}
}

// Who recovers over what was erased gets the rest, also while others still follow the channel.
func TestRecoveryOverErasedEvents(t *testing.T) {
	t.Parallel()
	for name, erased := range map[string][]int{
		"in between": {2, 3}, "the position itself": {1}, "the newest": {5}, "the newest ones": {4, 5}, "all behind it": {2, 3, 4, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, openJournal(t))
			n.publish("another", `{"n":0}`) // the log begins before the channel
			watcher := dialConnected(t, n, all(t))
			watcher.subscribe(channel)
			seqs := publishN(n, channel, 1, 5)
			wantNumbers(t, watcher, 1, 5)
			n.erase(erased...)
			var left []int
			for i := 2; i <= 5; i++ {
				if !slices.Contains(erased, i) {
					left = append(left, i)
				}
			}

			c := dialConnected(t, n, all(t))
			res := c.recover(channel, seqs[0], n.journal.Epoch())
			if got := numbers(t, res.Publications); !res.Recovered || !slices.Equal(got, left) {
				t.Fatalf("recovered %v %v, want %v", res.Recovered, got, left)
			}
			n.publish(channel, `{"n":6}`)
			wantNumbers(t, c, 6, 6)
			wantNumbers(t, watcher, 6, 6)
		})
	}
}
