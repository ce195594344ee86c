package ws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ws"
)

// goSDK is the real Go SDK; what happens to it is told through events, by name.
type goSDK struct {
	t *testing.T
	*centrifuge.Client
	events chan goEvent
	seen   []string // for failures
}

type goEvent struct {
	name string
	of   any // what the SDK tells of it
}

// goKinds are the ways in which the Go SDK can speak.
var goKinds = map[string]struct{ protobuf, compressed bool }{
	"JSON": {}, "JSON compressed": {compressed: true}, "protobuf": {protobuf: true}, "protobuf compressed": {true, true},
}

func startGoSDK(t *testing.T, n *node, protobuf bool, change ...func(*centrifuge.Config)) *goSDK {
	t.Helper()
	cfg := centrifuge.Config{
		Token: all(t), ReadTimeout: 20 * time.Second, HandshakeTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		MinReconnectDelay: 20 * time.Millisecond, MaxReconnectDelay: 200 * time.Millisecond,
	}
	for _, c := range change {
		c(&cfg)
	}
	newClient := centrifuge.NewJsonClient
	if protobuf {
		newClient = centrifuge.NewProtobufClient
	}
	s := &goSDK{t: t, Client: newClient(n.url, cfg), events: make(chan goEvent, 1<<16)}
	t.Cleanup(s.Close)
	s.OnConnected(func(e centrifuge.ConnectedEvent) { s.events <- goEvent{"connected", e} })
	s.OnConnecting(func(e centrifuge.ConnectingEvent) { s.events <- goEvent{"connecting", e} })
	s.OnDisconnected(func(e centrifuge.DisconnectedEvent) { s.events <- goEvent{"disconnected", e} })
	s.OnError(func(e centrifuge.ErrorEvent) { s.events <- goEvent{"error", e} })
	s.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) { s.events <- goEvent{"server subscribed", e} })
	s.OnPublication(func(e centrifuge.ServerPublicationEvent) { s.events <- goEvent{"server publication", e} })
	if err := s.Connect(); err != nil {
		t.Fatal(err)
	}
	return s
}

// want returns the next event of that name; the others that may come before it are named, too.
func (s *goSDK) want(name string, passing ...string) any {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case e := <-s.events:
			s.seen = append(s.seen, fmt.Sprintf("%s %v", e.name, e.of))
			if e.name == name {
				return e.of
			}
			if !strings.Contains(strings.Join(passing, " ")+" connecting error", e.name) {
				s.t.Fatalf("%s %v, want %s", e.name, e.of, name)
			}
		case <-deadline:
			s.t.Fatalf("no %s came after %v", name, s.seen)
		}
	}
}

// subscribe returns the subscription once it is there.
func (s *goSDK) subscribe(channel string, change ...func(*centrifuge.SubscriptionConfig)) *centrifuge.Subscription {
	s.t.Helper()
	cfg := centrifuge.SubscriptionConfig{MinResubscribeDelay: 20 * time.Millisecond, MaxResubscribeDelay: 200 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	sub, err := s.NewSubscription(channel, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) { s.events <- goEvent{"subscribed", e} })
	sub.OnSubscribing(func(e centrifuge.SubscribingEvent) { s.events <- goEvent{"subscribing", e} })
	sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { s.events <- goEvent{"unsubscribed", e} })
	sub.OnPublication(func(e centrifuge.PublicationEvent) { s.events <- goEvent{"publication", e.Publication} })
	sub.OnJoin(func(e centrifuge.JoinEvent) { s.events <- goEvent{"join", e.ClientInfo} })
	sub.OnLeave(func(e centrifuge.LeaveEvent) { s.events <- goEvent{"leave", e.ClientInfo} })
	if err := sub.Subscribe(); err != nil {
		s.t.Fatal(err)
	}
	s.want("subscribed", "connected", "subscribing")
	return sub
}

func (s *goSDK) wantPublication(passing ...string) centrifuge.Publication {
	s.t.Helper()
	return s.want("publication", passing...).(centrifuge.Publication)
}

// The Go SDK publishes, receives, reads history and recovers after a restart of the node, however it speaks.
func TestGoSDK(t *testing.T) {
	t.Parallel()
	compress := func(c *ws.Config) { c.Deflate = true }
	for name, kind := range goKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, openJournal(t), compress)
			s := startGoSDK(t, n, kind.protobuf, func(c *centrifuge.Config) { c.EnableCompression = kind.compressed })
			sub := s.subscribe(channel)
			filler := strings.Repeat("ceremony ", 1000) // of which compression makes little
			if _, err := sub.Publish(t.Context(), []byte(fmt.Sprintf(`{"type":"a.b","payload":{"n":1,"x":%q}}`, filler))); err != nil {
				t.Fatal(err)
			}
			first := s.wantPublication()
			var ev event.Event
			if err := json.Unmarshal(first.Data, &ev); err != nil || ev.Source != "client:couple-7" || number(t, first.Data) != 1 {
				t.Errorf("got %s, %v", first.Data, err)
			}

			// Several commands of the SDK travel in one message, and several publications come in one.
			seqs := publishN(n, channel, 2, 200)
			for i := range 199 {
				if p := s.wantPublication(); number(t, p.Data) != i+2 || p.Offset != seqs[i] {
					t.Fatalf("got %d at %d, want %d at %d", number(t, p.Data), p.Offset, i+2, seqs[i])
				}
			}
			h, err := sub.History(t.Context(), centrifuge.WithHistoryLimit(2), centrifuge.WithHistoryReverse(true))
			if err != nil || len(h.Publications) != 2 || number(t, h.Publications[0].Data) != 200 || h.Epoch != n.journal.Epoch() {
				t.Errorf("history %+v, %v", h, err)
			}

			n.stop()
			publishN(n, channel, 201, 210)
			n = startBehind(t, n.door, n.journal, compress)
			back := s.want("subscribed", "connected", "subscribing").(centrifuge.SubscribedEvent)
			if !back.WasRecovering || !back.Recovered {
				t.Errorf("back, and not recovered: %+v", back)
			}
			publishN(n, channel, 211, 211)
			for want := 201; want <= 211; want++ {
				if p := s.wantPublication(); number(t, p.Data) != want {
					t.Fatalf("got %d, want %d", number(t, p.Data), want)
				}
			}
		})
	}
}

// What the SDK is refused it is told with the code, in protobuf, too.
func TestGoSDKRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	s := startGoSDK(t, n, true, func(c *centrifuge.Config) { c.Token = grant(t, "u", 0, []string{"a"}, nil) })
	s.want("connected")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for want, do := range map[uint32]func() error{
		ws.ErrPermissionDenied: func() error { _, err := s.Publish(ctx, "a", []byte(`{"type":"a.b","payload":{}}`)); return err },
		ws.ErrUnknownChannel:   func() error { _, err := s.History(ctx, "a::b"); return err },
	} {
		var refused *centrifuge.Error
		if err := do(); !errors.As(err, &refused) || refused.Code != want {
			t.Errorf("%v, want code %d", err, want)
		}
	}
	_ = n.server.Shutdown(ctx) // what the SDK tells counts
	if e := s.want("connecting").(centrifuge.ConnectingEvent); e.Code != uint32(ws.CloseShutdown) {
		t.Errorf("after shutdown: %+v", e)
	}
}

// The SDK gets tokens for a subscription when they are needed: at first, before one expires, and after one has.
func TestGoSDKSubscriptionTokens(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ExpiryGrace = 5 * time.Second })
	closed := make(chan struct{})
	t.Cleanup(func() { close(closed) }) // the SDK minds (race) being closed while it sends a token, so it gets none before
	s := startGoSDK(t, n, true, func(c *centrifuge.Config) { c.Token = grant(t, "u", 0, nil, nil) })
	const tokens = 3
	asked, calls := make(chan string, 10), 0
	s.subscribe(channel, func(c *centrifuge.SubscriptionConfig) {
		c.Token = subToken(t, "u", channel, -time.Hour) // which the server refuses, so that the SDK asks
		c.GetToken = func(e centrifuge.SubscriptionTokenEvent) (string, error) {
			asked <- e.Channel
			if calls++; calls > tokens {
				<-closed
			}
			return subToken(t, "u", e.Channel, 2*time.Second), nil
		}
	})
	for range tokens + 1 {
		if name := <-asked; name != channel {
			t.Errorf("asked for a token for %s", name)
		}
	}
	n.publish(channel, `{"n":1}`)
	s.wantPublication()
}

// The server subscribes the SDK, which recovers after a restart of the node.
func TestGoSDKServerSide(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	s := startGoSDK(t, n, false, func(c *centrifuge.Config) { c.Token = serverSideToken(t, channel) })
	if e := s.want("server subscribed", "connected").(centrifuge.ServerSubscribedEvent); e.Channel != channel || !e.Recoverable {
		t.Errorf("subscribed %+v", e)
	}
	publishN(n, channel, 1, 1)
	s.want("server publication", "connected")
	n.stop()
	publishN(n, channel, 2, 3)
	n = startBehind(t, n.door, n.journal)
	if e := s.want("server subscribed", "connected").(centrifuge.ServerSubscribedEvent); !e.Recovered {
		t.Errorf("back, and not recovered: %+v", e)
	}
	publishN(n, channel, 4, 4)
	for want := 2; want <= 4; want++ {
		if p := s.want("server publication", "connected").(centrifuge.ServerPublicationEvent); p.Channel != channel || number(t, p.Data) != want {
			t.Errorf("got %+v, want %d", p, want)
		}
	}
}
