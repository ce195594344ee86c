package wsclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lxzan/gws"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// fake is a server that says what a test wants: answer gets each message of the client.
type fake struct {
	gws.BuiltinEventHandler
	answer func(conn *gws.Conn, message string)
	url    string
	conns  sync.WaitGroup
}

func (f *fake) OnMessage(conn *gws.Conn, m *gws.Message) {
	f.answer(conn, string(m.Bytes()))
	_ = m.Close()
}

func startFake(tb testing.TB, answer func(conn *gws.Conn, message string)) *fake {
	tb.Helper()
	f := &fake{answer: answer}
	up := gws.NewUpgrader(f, &gws.ServerOption{Logger: quiet{}})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := up.Upgrade(w, r); err == nil {
			f.conns.Go(conn.ReadLoop)
		}
	}))
	f.url = strings.Replace(srv.URL, "http", "ws", 1)
	tb.Cleanup(func() {
		srv.Close()
		f.conns.Wait()
	})
	return f
}

type quiet struct{}

func (quiet) Error(...any) {}

const welcome = `{"id":1,"connect":{"client":"c","ping":1,"pong":true}}`

// A server that falls silent is left for another connection.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	connects := make(chan struct{}, 10)
	f := startFake(t, func(conn *gws.Conn, m string) {
		if strings.Contains(m, "connect") {
			_ = conn.WriteString(welcome)
			connects <- struct{}{}
		}
	})
	c := dial(t, wsclient.Config{URL: f.url, PingSlack: time.Millisecond})
	take(t, connects)
	err := c.Publish(t.Context(), "a", wsclient.Event{Type: "x", Payload: []byte(`{}`)})
	if !errors.Is(err, wsclient.ErrDisconnected) {
		t.Errorf("a command that got no answer: %v, want ErrDisconnected", err)
	}
	take(t, connects)
}

// A ping is answered.
func TestPing(t *testing.T) {
	t.Parallel()
	pongs := make(chan string, 1)
	f := startFake(t, func(conn *gws.Conn, m string) {
		if strings.Contains(m, "connect") {
			_ = conn.WriteString(welcome + "\n{}")
			return
		}
		pongs <- m
	})
	dial(t, wsclient.Config{URL: f.url})
	if got := take(t, pongs); got != "{}" {
		t.Errorf("a ping was answered with %q", got)
	}
}

// holey is the log, except that live entries get lost and gaps cannot be read, while broken.
type holey struct {
	*journal.Journal
	broken chan struct{} // closed: whole again
}

func (h holey) whole() bool {
	select {
	case <-h.broken:
		return true
	default:
		return false
	}
}

func (h holey) Live(pattern string, fn func(journal.Entry)) (func(), error) {
	return h.Journal.Live(pattern, func(e journal.Entry) {
		if h.whole() || e.Prev != 0 {
			fn(e)
		}
	})
}

func (h holey) History(ctx context.Context, channel string, after uint64, limit int) ([]journal.Entry, error) {
	if !h.whole() {
		close(h.broken)
		return nil, errors.New("not now")
	}
	return h.Journal.History(ctx, channel, after, limit)
}

// Told to subscribe again, the client does, and recovers.
func TestInsufficientState(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	n := startNode(t, j, func(c *ws.Config) { c.Log = holey{j, make(chan struct{})} })
	c := dial(t, wsclient.Config{URL: n.url, Token: token(t, "u", 0, "**")})
	box := newInbox(t)
	box.subscribe(c, channel, nil)
	take(t, box.subscribed)
	n.publish(1, 3)
	box.want(1, 3)
	if got := take(t, box.subscribed); !got.Recovered {
		t.Errorf("back with %+v", got)
	}
}

func TestPublicationThatIsNoEvent(t *testing.T) {
	t.Parallel()
	if _, err := (wsclient.Publication{Channel: "a", Offset: 7, Data: []byte(`[]`)}).Event(); err == nil || !strings.Contains(err.Error(), "7 of a") {
		t.Errorf("decoded: %v", err)
	}
}

// FuzzReplies gives a client whatever bytes a server may send: it stays whole, and connects again
// where they were no replies.
func FuzzReplies(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, "\n\n", `{"id":2}`, `{"id":1,"error":{"code":100}}`, `{"push":{"channel":"a","pub":{"data":{"x":1},"offset":7}}}`,
		`{"push":{"channel":"a","unsubscribe":{"code":2500}}}` + "\n" + `{"push":{}}`, `<html>`, `{"push":{"pub":{"offset":-1}}}`,
		`{"id":2,"subscribe":{"recoverable":true,"publications":[null,{"offset":1}]}}`, "{\"id\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		server := startFake(t, func(conn *gws.Conn, m string) {
			switch {
			case strings.Contains(m, `"connect"`):
				_ = conn.WriteString(`{"id":1,"connect":{"client":"c"}}`)
			case strings.Contains(m, `"history"`):
				_ = conn.WriteMessage(gws.OpcodeText, data)
				_ = conn.WriteClose(3500, []byte("enough"))
			}
		})
		c, err := wsclient.Dial(t.Context(), server.url, "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, _ = c.History(ctx, "a", wsclient.HistoryQuery{})
		_ = c.Close()
	})
}
