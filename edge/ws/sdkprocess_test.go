package ws_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// sdk is the real centrifuge SDK in a Node.js process; loadtest/js/client.mjs says what it does.
type sdk struct {
	t      *testing.T
	in     io.Writer
	events chan sdkEvent
	seen   []string // for failures
	ref    int
}

type sdkEvent struct {
	Event, Channel, Reason, Type, Client string
	Code, Ref                            int
	Recoverable, Positioned, Recovered   bool
	WasRecovering                        bool `json:"was_recovering"`
	Position                             wsclient.Position
	Offset                               uint64
	Data, Result                         json.RawMessage
}

// startSDK runs the client; ops are sent with do.
func startSDK(t *testing.T) *sdk {
	t.Helper()
	dir := filepath.Join("..", "..", "loadtest", "js")
	for _, module := range []string{"centrifuge", "ws"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", module)); err != nil {
			t.Fatalf("the npm package %s is not installed (%v); run: make deps", module, err)
		}
	}
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("Node.js is missing (%v); install version 20 or newer, then run: make deps", err)
	}
	cmd := exec.Command(path, "client.mjs")
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sdk{t: t, in: in, events: make(chan sdkEvent, 1<<16)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.events)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var e sdkEvent
			if err := json.Unmarshal(line, &e); err != nil {
				e = sdkEvent{Event: "unreadable", Reason: fmt.Sprintf("%s: %v", line, err)}
			}
			s.events <- e
		}
	}()
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v\n%s", err, stderr.String())
		}
		if t.Failed() {
			t.Logf("the SDK told: %s", strings.Join(s.seen, " "))
		}
	})
	s.want("ready")
	return s
}

// do sends an operation; pairs are field names and values.
func (s *sdk) do(op string, pairs ...any) {
	s.t.Helper()
	m := map[string]any{"op": op}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	line, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.in.Write(append(line, '\n')); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sdk) next() sdkEvent {
	s.t.Helper()
	select {
	case e, ok := <-s.events:
		if !ok {
			s.t.Fatal("the SDK's process ended")
		}
		note := e.Event
		if e.Code != 0 {
			note += fmt.Sprintf("(%d %s)", e.Code, e.Reason)
		}
		s.seen = append(s.seen, note)
		return e
	case <-time.After(30 * time.Second):
		s.t.Fatal("the SDK told nothing for 30 s")
	}
	panic("unreachable")
}

// want returns the next event of that kind and fails at any that is not in passing.
func (s *sdk) want(kind string, passing ...string) sdkEvent {
	s.t.Helper()
	for {
		e := s.next()
		if e.Event == kind {
			return e
		}
		allowed := false
		for _, p := range passing {
			allowed = allowed || e.Event == p
		}
		if !allowed {
			s.t.Fatalf("got %+v, want %s", e, kind)
		}
	}
}

// call runs an operation that is answered, and returns the answer.
func (s *sdk) call(op string, pairs ...any) sdkEvent {
	s.t.Helper()
	s.ref++
	s.do(op, append(pairs, "ref", s.ref)...)
	for {
		if e := s.next(); e.Ref == s.ref && (e.Event == "done" || e.Event == "failed") {
			return e
		}
	}
}

func (s *sdk) connect(n *node, token string) {
	s.t.Helper()
	s.do("connect", "url", n.url, "token", token)
	s.want("connected", "connecting")
}

func (s *sdk) subscribe(channel string, pairs ...any) sdkEvent {
	s.t.Helper()
	s.do("subscribe", append(pairs, "channel", channel)...)
	return s.want("subscribed", "subscribing")
}

func dialClient(tb testing.TB, n *node, token string, change ...func(*wsclient.Config)) *wsclient.Client {
	tb.Helper()
	cfg := wsclient.Config{URL: n.url, Token: token, MinDelay: 5 * time.Millisecond, MaxDelay: 50 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	c, err := cfg.Dial(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func subscribeClient(tb testing.TB, c *wsclient.Client, s wsclient.Subscribe) *wsclient.Subscription {
	tb.Helper()
	sub, err := c.Subscribe(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	return sub
}
