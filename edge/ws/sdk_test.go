package ws_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

func TestSDKPublishesAndReceives(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	token := grant(t, "couple-7", time.Hour, []string{"supplier:dashboard:*"}, []string{"supplier:dashboard:42"})
	s := startSDK(t)
	s.connect(n, token)
	sub := s.subscribe(channel)
	if !sub.Recoverable || !sub.Positioned || sub.Position.Epoch != n.journal.Epoch() {
		t.Errorf("subscribed %+v", sub)
	}
	goClient := dialClient(t, n, token)
	got := make(chan wsclient.Publication, 10)
	subscribeClient(t, goClient, wsclient.Subscribe{Channel: channel, Publication: func(p wsclient.Publication) { got <- p }})

	// From the SDK to both.
	s.ref++
	s.do("publish", "ref", s.ref, "channel", channel,
		"data", map[string]any{"type": "timeline.updated", "payload": map[string]string{"ceremony": "16:00"}})
	pub := s.want("publication", "done")
	byGo := <-got
	var ev event.Event
	if err := json.Unmarshal(pub.Data, &ev); err != nil || ev.Source != "client:couple-7" || string(ev.Payload) != `{"ceremony":"16:00"}` {
		t.Errorf("the SDK got %s, %v", pub.Data, err)
	}
	if e, err := byGo.Event(); err != nil || e.ID != ev.ID || byGo.Offset != pub.Offset {
		t.Errorf("the Go client got %+v, %v; the SDK %s at %d", e, err, ev.ID, pub.Offset)
	}

	// From the Go client to both.
	if err := goClient.Publish(t.Context(), channel, wsclient.Event{Type: "guest_count.changed", Payload: []byte(`{"n":7}`)}); err != nil {
		t.Fatal(err)
	}
	pub = s.want("publication", "done")
	if number(t, pub.Data) != 7 || (<-got).Offset != pub.Offset {
		t.Errorf("the SDK got %s", pub.Data)
	}

	// History by the SDK, and leaving.
	h := s.call("history", "channel", channel, "limit", 10)
	var history struct{ Publications []struct{ Offset uint64 } }
	if err := json.Unmarshal(h.Result, &history); err != nil || len(history.Publications) != 2 {
		t.Errorf("history %s, %v", h.Result, err)
	}
	s.do("unsubscribe", "channel", channel)
	s.want("unsubscribed")
	n.publish(channel, `{"n":8}`)
	<-got
	if h := s.call("history", "channel", channel, "limit", 1, "reverse", true); !strings.Contains(string(h.Result), `"n":8`) {
		t.Errorf("newest: %s", h.Result)
	}
	for _, note := range s.seen[len(s.seen)-2:] {
		if note == "publication" {
			t.Error("a publication came after unsubscribe")
		}
	}
}

func TestSDKRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	s := startSDK(t)
	s.connect(n, grant(t, "u", 0, []string{"a:*"}, []string{"a:1"}))
	s.do("subscribe", "channel", "b")
	if e := s.want("unsubscribed", "subscribing"); e.Code != int(ws.ErrPermissionDenied) {
		t.Errorf("subscribe to b: %+v", e)
	}
	s.do("subscribe", "channel", "a::b")
	if e := s.want("unsubscribed", "subscribing"); e.Code != int(ws.ErrUnknownChannel) {
		t.Errorf("subscribe to a::b: %+v", e)
	}
	good := map[string]any{"type": "x", "payload": map[string]any{}}
	if e := s.call("publish", "channel", "a:2", "data", good); e.Code != int(ws.ErrPermissionDenied) {
		t.Errorf("publish on a:2: %+v", e)
	}
	if e := s.call("publish", "channel", "a:1", "data", map[string]any{"payload": map[string]any{}}); e.Code != 422 || !strings.Contains(e.Reason, "type_invalid") {
		t.Errorf("publish without a type: %+v", e)
	}
	if e := s.call("rpc"); e.Code != int(ws.ErrNotAvailable) {
		t.Errorf("rpc: %+v", e)
	}
	if e := s.call("presence", "channel", "a:1"); e.Code != int(ws.ErrPermissionDenied) {
		t.Errorf("presence: %+v", e)
	}
	if e := s.call("publish", "channel", "a:1", "data", good); e.Event != "done" {
		t.Errorf("publish on a:1: %+v", e)
	}
	s.do("send", "ref", 99)
	if e := s.want("disconnected", "done"); e.Code != int(ws.CloseNotAvailable) {
		t.Errorf("send: %+v", e)
	}
}

// A token that is not ours ends it for good: the SDK does not come back.
func TestSDKInvalidToken(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	s := startSDK(t)
	s.do("connect", "url", n.url, "token", "nonsense")
	if e := s.want("disconnected", "connecting"); e.Code != int(ws.CloseInvalidToken) || e.Reason != ws.CloseInvalidToken.Reason() {
		t.Errorf("%+v, want code %d", e, ws.CloseInvalidToken)
	}
}

// Trusted clients subscribe to patterns; events tell their channel.
func TestSDKPattern(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	s := startSDK(t)
	s.connect(n, grant(t, "u", 0, []string{"**"}, nil))
	if e := s.subscribe("supplier:*:*"); e.Recoverable || e.Positioned {
		t.Errorf("subscribed %+v: a pattern has no position", e)
	}
	n.publish("supplier:dashboard:9", `{}`)
	var ev event.Event
	p := s.want("publication")
	if err := json.Unmarshal(p.Data, &ev); err != nil || ev.Channel != "supplier:dashboard:9" || p.Channel != "supplier:*:*" {
		t.Errorf("%+v %s, %v", p, p.Data, err)
	}
}

func recoverAll(c *ws.Config) { c.MaxRecover, c.MaxRecoverBytes = 1_000_000, 1<<30 }

// However the connection is lost while events go on, the SDK returns, recovers what it missed, and has
// everything once and in order.
func TestSDKRecovers(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, s *sdk, n *node) *node{
		"the client's network": func(_ *testing.T, s *sdk, n *node) *node {
			s.do("drop")
			return n
		},
		"the server's side": func(_ *testing.T, _ *sdk, n *node) *node {
			n.door.cut()
			return n
		},
		"the node restarts": func(t *testing.T, _ *sdk, n *node) *node {
			t.Helper()
			n.stop()
			return startBehind(t, n.door, n.journal, recoverAll)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, openJournal(t), recoverAll)
			s := startSDK(t)
			s.connect(n, all(t))
			s.subscribe(channel)
			const rounds, each = 4, 200
			stop := make(chan struct{})
			done := make(chan struct{})
			last := 0
			go func() { // events go on all the time
				defer close(done)
				steady := time.NewTicker(100 * time.Microsecond)
				defer steady.Stop()
				for {
					select {
					case <-stop:
						return
					case <-steady.C:
						last++
						_, err := n.journal.Append(t.Context(), newEvent(channel, "x", fmt.Sprintf(`{"n":%d}`, last)))
						if err != nil {
							t.Error(err)
							return
						}
					}
				}
			}()
			seen, recoveries := 0, 0
			server := n
			take := func(e sdkEvent) {
				switch e.Event {
				case "publication":
					if got := number(t, e.Data); got != seen+1 {
						t.Fatalf("after %d came %d", seen, got)
					}
					seen++
				case "subscribed":
					recoveries++
					if !e.WasRecovering || !e.Recovered {
						t.Fatalf("back, and not recovered: %+v", e)
					}
				case "disconnected", "unsubscribed":
					t.Fatalf("ended: %+v", e)
				}
			}
			for range rounds {
				for target := seen + each; seen < target; {
					take(s.next())
				}
				before := recoveries
				server = lose(t, s, server)
				for recoveries == before {
					take(s.next())
				}
			}
			close(stop)
			<-done
			for seen < last {
				take(s.next())
			}
			if recoveries != rounds {
				t.Errorf("recovered %d times in %d rounds", recoveries, rounds)
			}
		})
	}
}

// Another log at the same address, or too much missed: the SDK is told that it has to reload.
func TestSDKCannotRecover(t *testing.T) {
	t.Parallel()
	t.Run("another log", func(t *testing.T) {
		t.Parallel()
		n := startNode(t, openJournal(t))
		s := startSDK(t)
		s.connect(n, all(t))
		s.subscribe(channel)
		publishN(n, channel, 1, 1)
		s.want("publication")
		n.stop()
		n = startBehind(t, n.door, openJournal(t))
		if e := s.want("subscribed", "connecting", "connected", "subscribing", "error"); !e.WasRecovering || e.Recovered || e.Position.Epoch != n.journal.Epoch() {
			t.Errorf("%+v, want not recovered, at the new log's epoch", e)
		}
		publishN(n, channel, 1, 1)
		if e := s.want("publication"); number(t, e.Data) != 1 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("too much", func(t *testing.T) {
		t.Parallel()
		n := startNode(t, openJournal(t))
		s := startSDK(t)
		s.connect(n, all(t))
		s.subscribe(channel)
		n.stop()
		seqs := publishN(n, channel, 1, 1001)
		startBehind(t, n.door, n.journal)
		e := s.want("subscribed", "connecting", "connected", "subscribing", "error")
		if !e.WasRecovering || e.Recovered || e.Position.Offset != seqs[1000] {
			t.Errorf("%+v, want not recovered, at %d", e, seqs[1000])
		}
	})
}

// A client that does not read is cut off, comes back when it does, and recovers.
func TestSDKSlow(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.QueueBytes, c.CloseTimeout, c.MaxRecoverBytes = 256<<10, 200*time.Millisecond, 64<<20
	})
	s := startSDK(t)
	s.connect(n, all(t))
	s.subscribe(channel)
	s.do("pause")
	big := strings.Repeat("x", 60<<10)
	last := 0
	for metric(t, n, "wedsync_ws_connections_closed_total", "code", "3008") == 0 {
		last++
		n.publish(channel, fmt.Sprintf(`{"n":%d,"x":%q}`, last, big))
		if last > 900 {
			t.Fatal("a client that reads nothing is still there after 54 MB")
		}
	}
	s.do("resume")
	for i := 1; i <= last; i++ {
		e := s.want("publication", "connecting", "connected", "subscribing", "subscribed", "error")
		if got := number(t, e.Data); got != i {
			t.Fatalf("got %d, want %d of %d", got, i, last)
		}
	}
}

func TestSDKRenewsItsToken(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ExpiryGrace = 2 * time.Second })
	short := func() string { return grant(t, "u", 2*time.Second, []string{"**"}, nil) }
	s := startSDK(t)
	s.do("connect", "url", n.url, "token", short(), "renew", true)
	s.want("connected", "connecting")
	s.subscribe(channel)
	for range 2 { // each renewed before the grace is over, on the same connection
		s.want("token_wanted")
		s.do("token", "token", short())
	}
	s.want("token_wanted")
	s.do("token", "token", grant(t, "u", time.Hour, []string{"**"}, nil))
	n.publish(channel, `{"n":1}`)
	s.want("publication")

	// An expired token at connect: the SDK asks for another and comes in.
	late := startSDK(t)
	late.do("connect", "url", n.url, "token", grant(t, "u", -time.Hour, nil, nil), "renew", true)
	late.want("token_wanted", "connecting", "error")
	late.do("token", "token", short())
	late.want("connected", "connecting")
	// It is asked for another, and gives none in time: closed, and let in again with a good one.
	late.want("token_wanted")
	if e := late.want("connecting"); e.Code != int(ws.CloseExpired) {
		t.Errorf("%+v, want code %d", e, ws.CloseExpired)
	}
	late.do("token", "token", "") // the one that is waited for no more
	late.want("token_wanted", "error", "connecting")
	late.do("token", "token", grant(t, "u", time.Hour, nil, nil))
	late.want("connected", "connecting", "error")
}
