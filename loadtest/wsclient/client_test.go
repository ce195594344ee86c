package wsclient_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

func TestPublishSubscribeHistory(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c, err := wsclient.Dial(t.Context(), n.url, token(t, "couple-7", 0, "supplier:**"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	box := newInbox(t)
	sub := box.subscribe(c, channel, nil)
	if !c.Connected() {
		t.Error("it is not connected")
	}
	if got := take(t, box.subscribed); !got.Recoverable || got.WasRecovering || got.Position.Epoch != n.journal.Epoch() || got.Position != sub.Position() {
		t.Errorf("subscribed %+v at %+v", got, sub.Position())
	}
	at := time.Date(2026, 6, 13, 14, 0, 0, 0, time.UTC)
	err = c.Publish(t.Context(), channel, wsclient.Event{
		Type: "timeline.updated", Payload: []byte(`{"n":1}`), ID: "m-1", OccurredAt: at, CorrelationID: "corr", WeddingID: "w",
	})
	if err != nil {
		t.Fatal(err)
	}
	p := box.want(1, 1)
	ev, err := p.Event()
	if err != nil || ev.ID != "m-1" || ev.Source != "client:couple-7" || !ev.OccurredAt.Equal(at) || ev.CorrelationID != "corr" || ev.WeddingID != "w" {
		t.Errorf("event %+v, %v", ev, err)
	}
	if p.Channel != channel || p.Recovered || sub.Position().Offset != p.Offset {
		t.Errorf("publication %+v, position %+v", p, sub.Position())
	}

	n.publish(2, 4)
	pubs, end, err := c.History(t.Context(), channel, wsclient.HistoryQuery{Limit: 2})
	if err != nil || len(pubs) != 2 || pubs[0].Offset != p.Offset || end.Offset <= pubs[1].Offset || end.Epoch != n.journal.Epoch() {
		t.Errorf("history %+v to %+v, %v", pubs, end, err)
	}
	pubs, _, err = c.History(t.Context(), channel, wsclient.HistoryQuery{Limit: 9, Since: &wsclient.Position{Offset: pubs[1].Offset}})
	if err != nil || len(pubs) != 2 {
		t.Errorf("history since: %+v, %v", pubs, err)
	}
	pubs, _, err = c.History(t.Context(), channel, wsclient.HistoryQuery{Limit: 1, Newest: true})
	if err != nil || len(pubs) != 1 || pubs[0].Offset != end.Offset {
		t.Errorf("newest: %+v, %v", pubs, err)
	}

	box.want(2, 4)
	if err := sub.Unsubscribe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := sub.Unsubscribe(t.Context()); err != nil {
		t.Errorf("second unsubscribe: %v", err)
	}
	n.publish(5, 5)
	again := newInbox(t)
	again.subscribe(c, channel, &wsclient.Position{Offset: p.Offset, Epoch: n.journal.Epoch()})
	if got := take(t, again.subscribed); !got.WasRecovering || !got.Recovered || got.Position.Offset != p.Offset {
		t.Errorf("subscribed since: %+v", got)
	}
	if last := again.want(2, 5); !last.Recovered {
		t.Errorf("%+v came live", last)
	}
	if len(box.pubs) != 0 || len(box.lost) != 0 {
		t.Error("something came after Unsubscribe")
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dial(t, wsclient.Config{URL: n.url, Token: token(t, "u", 0, "**")})
	box := newInbox(t)
	sub := box.subscribe(c, "supplier:*:*", nil)
	if got := take(t, box.subscribed); got.Recoverable || sub.Position() != (wsclient.Position{}) {
		t.Errorf("%+v at %+v", got, sub.Position())
	}
	n.publish(1, 1)
	if p := box.want(1, 1); p.Channel != channel {
		t.Errorf("on %q, want %q", p.Channel, channel)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dial(t, wsclient.Config{URL: n.url, Token: token(t, "u", 0, "a")})
	wantError := func(what string, err error, code uint32) {
		t.Helper()
		var refused *wsclient.Error
		if !errors.As(err, &refused) || refused.Code != code || !strings.Contains(err.Error(), refused.Message) {
			t.Errorf("%s: %v, want code %d", what, err, code)
		}
	}
	_, err := c.Subscribe(t.Context(), newInbox(t).request("b", nil))
	wantError("subscribe", err, ws.ErrPermissionDenied)
	_, _, err = c.History(t.Context(), "b", wsclient.HistoryQuery{})
	wantError("history", err, ws.ErrPermissionDenied)
	wantError("publish", c.Publish(t.Context(), "b", wsclient.Event{Type: "x", Payload: []byte(`{}`)}), ws.ErrPermissionDenied)
	wantError("publish", c.Publish(t.Context(), "a", wsclient.Event{Type: "X", Payload: []byte(`{}`)}), 422)
	if err := c.Publish(t.Context(), "a", wsclient.Event{Type: "x", Payload: []byte(`{`)}); err == nil {
		t.Error("published what is not JSON")
	}
	if _, err := c.Subscribe(t.Context(), wsclient.Subscribe{Channel: "a"}); err == nil {
		t.Error("subscribed without a function for publications")
	}
	newInbox(t).subscribe(c, "a", nil)
	if _, err := c.Subscribe(t.Context(), newInbox(t).request("a", nil)); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("second subscription: %v", err)
	}
}

// Connections break in every way while events go on: each event is seen once and in order.
func TestRecovers(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dial(t, wsclient.Config{URL: n.url, Token: token(t, "u", 0, "**")})
	box := newInbox(t)
	box.subscribe(c, channel, nil)
	take(t, box.subscribed)
	n.publish(1, 50)
	box.want(1, 50)
	for round := 1; round <= 6; round++ {
		if round%2 == 0 {
			n.door.cut()
		} else {
			n.stop()
			n.publish(round*50+1, round*50+20)
			n = startBehind(t, n.door, n.journal)
		}
		from := round*50 + 1
		if round%2 != 0 {
			from += 20
		}
		n.publish(from, round*50+50)
		box.want(round*50+1, round*50+50)
		if got := take(t, box.subscribed); !got.WasRecovering || !got.Recovered {
			t.Errorf("round %d: %+v", round, got)
		}
	}
	if len(box.lost) != 0 || c.Err() != nil {
		t.Errorf("lost, or closed: %v", c.Err())
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	var d net.Dialer
	c, err := wsclient.Config{
		URL: "ws://elsewhere.test/connection/websocket", Token: token(t, "couple-7", 0, "supplier:**"),
		Network: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "elsewhere.test:80" {
				t.Errorf("asked for %s", addr)
			}
			return d.DialContext(ctx, network, strings.TrimPrefix(strings.TrimSuffix(n.url, "/connection/websocket"), "ws://"))
		},
	}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestDialFailures(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	for _, url := range []string{"", "http://x", "ws://", "::"} {
		if _, err := wsclient.Dial(t.Context(), url, ""); err == nil || !strings.Contains(err.Error(), "URL") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
	for _, cfg := range []wsclient.Config{{URL: n.url, DialTimeout: -1}, {URL: n.url, MinDelay: 2, MaxDelay: 1}} {
		if _, err := cfg.Dial(t.Context()); err == nil {
			t.Errorf("%+v is no configuration", cfg)
		}
	}
	_, err := wsclient.Dial(t.Context(), n.url, "nonsense")
	var closed *wsclient.CloseError
	if !errors.As(err, &closed) || closed.Code != uint16(ws.CloseInvalidToken) || !closed.Terminal() {
		t.Errorf("invalid token: %v", err)
	}
	_, err = wsclient.Dial(t.Context(), n.url, token(t, "u", -time.Hour))
	var refused *wsclient.Error
	if !errors.As(err, &refused) || refused.Code != ws.ErrTokenExpired {
		t.Errorf("expired token: %v", err)
	}
	_, err = wsclient.Config{URL: n.url, Header: http.Header{"Origin": {"https://evil.example"}}}.Dial(t.Context())
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("foreign origin: %v", err)
	}
	n.stop()
	if _, err := wsclient.Dial(t.Context(), n.url, ""); err == nil {
		t.Error("connected to nobody")
	}

	// Somebody listens, and says nothing.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := wsclient.Dial(ctx, "ws://"+mute.Addr().String()+"/", ""); err == nil || time.Since(begin) > 4*time.Second {
		t.Errorf("a mute server: %v after %v", err, time.Since(begin))
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dial(t, wsclient.Config{URL: n.url, Token: token(t, "u", 0, "**")})
	box := newInbox(t)
	sub := box.subscribe(c, channel, nil)
	if c.Err() != nil {
		t.Errorf("alive, and %v", c.Err())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := take(t, box.lost); !errors.Is(err, wsclient.ErrClosed) || !errors.Is(c.Err(), wsclient.ErrClosed) {
		t.Errorf("lost to %v, closed with %v", err, c.Err())
	}
	if err := c.Publish(t.Context(), "a", wsclient.Event{Type: "x", Payload: []byte(`{}`)}); !errors.Is(err, wsclient.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := c.Subscribe(t.Context(), box.request("a", nil)); !errors.Is(err, wsclient.ErrClosed) {
		t.Errorf("subscribe: %v", err)
	}
	if err := sub.Unsubscribe(t.Context()); err != nil {
		t.Errorf("unsubscribe: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	// While it looks for a server, too.
	away := dial(t, wsclient.Config{URL: n.url, Token: token(t, "u", 0, "**")})
	n.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := away.Subscribe(ctx, newInbox(t).request(channel, nil)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("subscribe without a server: %v", err)
	}
	if err := away.Publish(ctx, channel, wsclient.Event{Type: "x", Payload: []byte(`{}`)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish without a server: %v", err)
	}
	if away.Connected() {
		t.Error("it is connected, without a server")
	}
	_ = away.Close()
}

// A token that expires is renewed on the same connection; one that has expired, before the next.
func TestNewToken(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ExpiryGrace = time.Second })
	asked := make(chan struct{}, 10)
	next := make(chan string, 10)
	next <- token(t, "u", 2*time.Second, channel, "a")
	c := dial(t, wsclient.Config{
		URL: n.url, Token: token(t, "u", -time.Minute),
		NewToken: func(context.Context) (string, error) {
			asked <- struct{}{}
			if s := <-next; s != "" {
				return s, nil
			}
			return "", errors.New("no token today")
		},
	})
	take(t, asked)
	box, other := newInbox(t), newInbox(t)
	box.subscribe(c, channel, nil)
	other.subscribe(c, "a", nil)
	// Renewed, and narrower.
	next <- token(t, "u", 2*time.Second, channel)
	take(t, asked)
	var refused *wsclient.Error
	if err := take(t, other.lost); !errors.As(err, &refused) || refused.Code != ws.UnsubscribeRevoked {
		t.Errorf("lost to %v, want code %d", err, ws.UnsubscribeRevoked)
	}
	// No token: closed, and back with the one after it.
	take(t, box.subscribed)
	next <- ""
	take(t, asked)
	next <- token(t, "u", time.Hour, channel)
	take(t, asked)
	n.publish(1, 1)
	box.want(1, 1)
	if got := take(t, box.subscribed); !got.Recovered {
		t.Errorf("back with %+v", got)
	}
}

// A close code that forbids to return ends the client, and it says so.
func TestTerminalClose(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ExpiryGrace = time.Hour })
	c := dial(t, wsclient.Config{
		URL: n.url, Token: token(t, "u", 2*time.Second, "**"),
		NewToken: func(context.Context) (string, error) { return token(t, "somebody else", time.Hour, "**"), nil },
	})
	box := newInbox(t)
	box.subscribe(c, channel, nil)
	var closed *wsclient.CloseError
	if err := take(t, box.lost); !errors.As(err, &closed) || closed.Code != uint16(ws.CloseInvalidToken) {
		t.Errorf("lost to %v", err)
	}
	<-c.Done()
	if !errors.As(c.Err(), &closed) || !strings.Contains(c.Err().Error(), "invalid token") {
		t.Errorf("closed with %v", c.Err())
	}
}

// unsteady is the log, except that some calls fail.
type unsteady struct {
	*journal.Journal
	fail chan error
}

func (u unsteady) Bounds(ctx context.Context) (uint64, uint64, error) {
	select {
	case err := <-u.fail:
		return 0, 0, err
	default:
		return u.Journal.Bounds(ctx)
	}
}

func TestTemporaryRefusal(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	u := unsteady{j, make(chan error, 3)}
	for range 3 {
		u.fail <- errors.New("not now")
	}
	n := startNode(t, j, func(c *ws.Config) { c.Log = u })
	c := dial(t, wsclient.Config{URL: n.url, Token: token(t, "u", 0, "**")})
	newInbox(t).subscribe(c, channel, nil)
	if len(u.fail) != 0 {
		t.Errorf("%d tries were left", len(u.fail))
	}
}
