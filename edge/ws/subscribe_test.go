package ws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ws"
)

// number returns n of an event's payload {"n":…}.
func number(tb testing.TB, data []byte) int {
	tb.Helper()
	var ev struct{ Payload struct{ N int } }
	if err := json.Unmarshal(data, &ev); err != nil {
		tb.Fatalf("publication %q: %v", data, err)
	}
	return ev.Payload.N
}

func numbers(tb testing.TB, pubs []*protocol.Publication) []int {
	tb.Helper()
	out := []int{}
	for _, p := range pubs {
		out = append(out, number(tb, p.Data))
	}
	return out
}

// publishN publishes {"n":from} to {"n":to} and returns the sequences.
func publishN(n *node, channel string, from, to int) []uint64 {
	var seqs []uint64
	for i := from; i <= to; i++ {
		seqs = append(seqs, n.publish(channel, fmt.Sprintf(`{"n":%d}`, i)))
	}
	return seqs
}

func TestSubscribeAndReceive(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	before := n.publish(channel, `{"n":0}`)
	c := dialConnected(t, n, grant(t, "couple-7", 0, []string{"supplier:dashboard:*"}, nil))
	res := c.subscribe(channel)
	if !res.Recoverable || !res.Positioned || res.Recovered || res.WasRecovering ||
		res.Epoch != n.journal.Epoch() || res.Offset < before || len(res.Publications) != 0 {
		t.Errorf("subscribe result %v", res)
	}
	n.publish("supplier:dashboard:43", `{"n":9}`)
	ev := newEvent(channel, "guest_count.changed", "{\n \"guests\": 120\n}")
	stored, err := n.journal.Append(context.Background(), ev)
	if err != nil {
		t.Fatal(err)
	}
	push := c.mustNext().Push
	if push.GetChannel() != channel || push.GetPub().GetOffset() != stored.Seq || push.Pub.Channel != "" {
		t.Errorf("push %v, want offset %d", push, stored.Seq)
	}
	// The data is the event as the log has it.
	var got event.Event
	if err := json.Unmarshal(push.Pub.Data, &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != ev.ID || got.Type != ev.Type || !strings.Contains(string(got.Payload), "120") || got.Channel != channel {
		t.Errorf("data %s", push.Pub.Data)
	}
	if seen := metric(t, n, "wedsync_ws_subscriptions"); seen != 1 {
		t.Errorf("wedsync_ws_subscriptions is %v", seen)
	}
}

func TestSubscribeRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxSubscriptions = 2 })
	c := dialConnected(t, n, grant(t, "u", 0, []string{"a:*", "b:{id}:c:**"}, nil))
	for _, tt := range []struct {
		channel string
		want    uint32
	}{
		{"b:1:c", ws.ErrPermissionDenied},
		{"a", ws.ErrPermissionDenied},
		{"a:1:2", ws.ErrPermissionDenied},
		{"a:**", ws.ErrPermissionDenied},
		{"**", ws.ErrPermissionDenied},
		{"b:*:c:*", 0},
		{"", ws.ErrUnknownChannel},
		{"a::b", ws.ErrUnknownChannel},
		{"a b", ws.ErrUnknownChannel},
		{"**:a", ws.ErrUnknownChannel},
		{"a:1", 0},
		{"a:1", ws.ErrAlreadySubscribed},
		{"a:2", ws.ErrLimitExceeded},
	} {
		r := c.do(fmt.Sprintf(`"subscribe":{"channel":%q}`, tt.channel))
		if r.Error.GetCode() != tt.want {
			t.Errorf("subscribe to %q: %v, want error %d", tt.channel, r, tt.want)
		}
	}
	if got := metric(t, n, "wedsync_ws_commands_total", "command", "subscribe", "code", "106"); got != 1 {
		t.Errorf("the metric counts %v subscriptions too many", got)
	}
	c.ok(`"unsubscribe":{"channel":"b:*:c:*"}`)
	c.subscribe("a:2")
	nobody := dialConnected(t, n, grant(t, "u", 0, nil, nil))
	if r := nobody.do(`"subscribe":{"channel":"a:1"}`); r.Error.GetCode() != ws.ErrPermissionDenied {
		t.Errorf("a token without channels: %v", r)
	}
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, all(t))
	c.subscribe("a")
	c.subscribe("b")
	if got := metric(t, n, "wedsync_ws_feeds"); got != 2 {
		t.Errorf("feeds %v, want 2", got)
	}
	c.ok(`"unsubscribe":{"channel":"a"}`)
	c.ok(`"unsubscribe":{"channel":"never"}`)
	if got := metric(t, n, "wedsync_ws_feeds"); got != 1 {
		t.Errorf("feeds %v, want 1: nobody listens to a", got)
	}
	n.publish("a", `{"n":1}`)
	n.publish("b", `{"n":2}`)
	if p := c.mustNext().Push; p.GetChannel() != "b" {
		t.Errorf("got %v, want only what b got", p)
	}
	c.subscribe("a")
	n.publish("a", `{"n":3}`)
	if p := c.mustNext().Push; p.GetChannel() != "a" || number(t, p.Pub.Data) != 3 {
		t.Errorf("got %v, want the third", p)
	}
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxRecover = 5 })
	epoch := n.journal.Epoch()
	seqs := publishN(n, channel, 1, 8)
	last := seqs[7]
	token := all(t)
	// Another subscriber keeps the channel open, so that the feed's own position is in play.
	other := dialConnected(t, n, token)
	other.subscribe(channel)
	elsewhere := n.publish("elsewhere", `{}`)

	for name, tt := range map[string]struct {
		offset    uint64
		epoch     string
		recovered bool
		missed    []int
		position  uint64
	}{
		"three missed":           {seqs[4], epoch, true, []int{6, 7, 8}, seqs[4]},
		"as many as allowed":     {seqs[2], epoch, true, []int{4, 5, 6, 7, 8}, seqs[2]},
		"one too many":           {seqs[1], epoch, false, nil, last},
		"from the beginning":     {0, epoch, false, nil, last},
		"none missed":            {last, epoch, true, nil, last},
		"stands further":         {elsewhere, epoch, true, nil, elsewhere},
		"another epoch":          {seqs[4], "another", false, nil, last},
		"any epoch":              {seqs[4], "", true, []int{6, 7, 8}, seqs[4]},
		"of a log that is ahead": {elsewhere + 100, epoch, false, nil, last},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialConnected(t, n, token)
			res := c.recover(channel, tt.offset, tt.epoch)
			if !res.WasRecovering || res.Recovered != tt.recovered {
				t.Errorf("was recovering %v, recovered %v; want recovered %v", res.WasRecovering, res.Recovered, tt.recovered)
			}
			if got := numbers(t, res.Publications); fmt.Sprint(got) != fmt.Sprint(append([]int{}, tt.missed...)) {
				t.Errorf("recovered %v, want %v", got, tt.missed)
			}
			if res.Offset != tt.position || res.Epoch != epoch {
				t.Errorf("position %d %s, want %d %s", res.Offset, res.Epoch, tt.position, epoch)
			}
		})
	}
}

// A client that asks for it is refused rather than subscribed with a hole.
func TestRejectUnrecovered(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, all(t))
	r := c.do(`"subscribe":{"channel":"a","recover":true,"offset":1,"epoch":"another","flag":2}`)
	if r.Error.GetCode() != ws.ErrUnrecoverable {
		t.Errorf("reply %v, want error %d", r, ws.ErrUnrecoverable)
	}
	if got := metric(t, n, "wedsync_ws_subscriptions"); got != 0 {
		t.Errorf("subscriptions %v, want none", got)
	}
	c.subscribe("a")
}

// Recovery is bounded by size, too: one reply has to fit a client's queue.
func TestRecoveryBytes(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxRecoverBytes = 10 << 10 })
	big := fmt.Sprintf(`{"n":1,"x":%q}`, strings.Repeat("x", 4<<10))
	first := n.publish(channel, big)
	second := n.publish(channel, big)
	n.publish(channel, big)
	n.publish(channel, big)
	if res := dialConnected(t, n, all(t)).recover(channel, first, ""); res.Recovered {
		t.Error("recovered 12 KiB of 10 allowed")
	}
	if res := dialConnected(t, n, all(t)).recover(channel, second, ""); !res.Recovered || len(res.Publications) != 2 {
		t.Errorf("recovered %v, %d publications; want 2", res.Recovered, len(res.Publications))
	}
}

func TestPatternSubscription(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, grant(t, "u", 0, []string{"supplier:**"}, nil))
	res := c.subscribe("supplier:dashboard:*")
	if res.Recoverable || res.Positioned || res.Epoch != "" {
		t.Errorf("subscribe result %v: a pattern has no position", res)
	}
	if r := c.recover("supplier:{kind}:9", 1, n.journal.Epoch()); r.Recovered || !r.WasRecovering {
		t.Errorf("a pattern recovers nothing: %v", r)
	}
	n.publish("supplier:dashboard:1:x", `{}`)
	seq := n.publish("supplier:dashboard:1", `{"n":1}`)
	n.publish("supplier:dashboard:2", `{"n":2}`)
	for i, want := range []string{"supplier:dashboard:1", "supplier:dashboard:2"} {
		p := c.mustNext().Push
		var ev event.Event
		if err := json.Unmarshal(p.GetPub().GetData(), &ev); err != nil {
			t.Fatal(err)
		}
		// The SDK finds the subscription by the push's channel; the event tells its own.
		if p.Channel != "supplier:dashboard:*" || p.Pub.Channel != want || ev.Channel != want {
			t.Errorf("push %d on %q, of %q, event of %q; want %q", i, p.Channel, p.Pub.Channel, ev.Channel, want)
		}
		if i == 0 && p.Pub.Offset != seq {
			t.Errorf("offset %d, want %d", p.Pub.Offset, seq)
		}
	}
	n.publish("supplier:other:9", `{"n":3}`)
	if p := c.mustNext().Push; p.Channel != "supplier:{kind}:9" || p.Pub.Channel != "supplier:other:9" {
		t.Errorf("push %v", p)
	}
}

// While events keep coming, clients come, recover from where they were, and go: each of them sees
// every event once and in order.
func TestRecoveryWhileEventsFlow(t *testing.T) {
	t.Parallel()
	const events, clients = 2000, 8
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxRecover = events })
	token := all(t)
	var followers sync.WaitGroup
	for range clients {
		followers.Go(func() {
			if err := follow(t, n, token, events); err != nil {
				t.Error(err)
			}
		})
	}
	publishN(n, channel, 1, events)
	followers.Wait()
}

// follow reads a channel of events 1, 2, … up to last, with a new connection after every 100 or so.
func follow(t *testing.T, n *node, token string, last int) error {
	t.Helper()
	at, seen := uint64(0), 0
	for round := 0; seen < last; round++ {
		c := dialConnected(t, n, token)
		r := c.do(fmt.Sprintf(`"subscribe":{"channel":%q,"recover":true,"offset":%d,"epoch":%q}`, channel, at, n.journal.Epoch()))
		if r.Error.GetTemporary() {
			continue // as an SDK would
		}
		if !r.Subscribe.GetRecovered() {
			return fmt.Errorf("after %d: %v", seen, r)
		}
		pubs := r.Subscribe.Publications
		for got := 0; seen < last && got < 100+round; got++ {
			for len(pubs) == 0 {
				r, err := c.next()
				if err != nil {
					return err
				}
				if r.Push != nil {
					pubs = append(pubs, r.Push.Pub)
				}
			}
			if i := number(t, pubs[0].Data); i != seen+1 || pubs[0].Offset <= at {
				return fmt.Errorf("after %d at %d came %d at %d", seen, at, i, pubs[0].Offset)
			}
			seen, at = seen+1, pubs[0].Offset
			pubs = pubs[1:]
		}
		_ = c.conn.Close()
	}
	return nil
}
