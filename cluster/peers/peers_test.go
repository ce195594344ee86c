package peers_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/peers"
)

// protoactor's remote sets gRPC's logger, one for the process, each time that one starts. So each node of
// these tests is a process, as in life: the test's own, and this binary again with childKey set.
const (
	childKey  = "WEDSYNC_TEST_PEER_KEY" // cluster key, or "none"
	childName = "WEDSYNC_TEST_PEER_NAME"
)

var errTaken = errors.New("taken")

func TestMain(m *testing.M) {
	if key := os.Getenv(childKey); key != "" {
		os.Exit(child(os.Getenv(childName), key))
	}
	goleak.VerifyTestMain(m,
		// protoactor's own.
		goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.(*deadLetterProcess).handleThrottle"),
	)
}

func config(node, key string, find func(string) (string, bool)) peers.Config {
	cfg := peers.Config{
		Node: node, Host: "127.0.0.1", Resolve: find, Errors: map[string]error{"taken": errTaken},
		Logger: zerolog.Nop(), MaxHandled: 8,
	}
	if key != "none" {
		k, err := cluster.ParseKey(key)
		if err != nil {
			panic(err)
		}
		ring, err := cluster.NewKeyring(nil, k)
		if err != nil {
			panic(err)
		}
		cfg.TLS = ring.TLS(node)
	}
	return cfg
}

// child is a node that says where it listens, and then, for each address that it reads, whether it is
// answered there. It ends with its input.
func child(node, key string) int {
	p, err := peers.New(config(node, key, func(addr string) (string, bool) { return addr, true }))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	handlers(p)
	fmt.Println(p.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		got, err := p.Ask(ctx, in.Text(), "echo", []byte("hi"))
		cancel()
		fmt.Printf("%s|%v\n", got, err)
	}
	return 0
}

func handlers(p *peers.Peers) {
	p.Handle("echo", func(_ context.Context, from string, body []byte) ([]byte, error) {
		return []byte(from + ":" + string(body)), nil
	})
	p.Handle("fail", func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("no such thing") })
	p.Handle("taken", func(context.Context, string, []byte) ([]byte, error) { return nil, fmt.Errorf("wrapped: %w", errTaken) })
	p.Handle("panic", func(context.Context, string, []byte) ([]byte, error) { panic("oh") })
	p.Handle("large", func(context.Context, string, []byte) ([]byte, error) { return make([]byte, peers.MaxBody+1), nil })
	p.Handle("hold", func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

// process is a child.
type process struct {
	tb   testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	addr string
}

func startChild(tb testing.TB, node, key string) *process {
	tb.Helper()
	c := &process{tb: tb, cmd: exec.Command(os.Args[0])} //nolint:noctx // ended below
	c.cmd.Env = append(os.Environ(), childKey+"="+key, childName+"="+node)
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.kill)
	c.out = bufio.NewScanner(out)
	c.addr = c.line()
	return c
}

func (c *process) line() string {
	c.tb.Helper()
	if !c.out.Scan() {
		c.tb.Fatal("the other process ended")
	}
	return c.out.Text()
}

func (c *process) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// asks has the child ask a node.
func (c *process) asks(addr string) string {
	c.tb.Helper()
	if _, err := fmt.Fprintln(c.in, addr); err != nil {
		c.tb.Fatal(err)
	}
	return c.line()
}

// town is where nodes find each other.
type town struct {
	mu sync.Mutex
	at map[string]string
}

func (t *town) find(node string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr, ok := t.at[node]
	return addr, ok
}

func (t *town) move(node, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at[node] = addr
}

func ask(tb testing.TB, p *peers.Peers, node, kind string, body []byte) ([]byte, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 15*time.Second)
	defer cancel()
	return p.Ask(ctx, node, kind, body)
}

func TestPeers(t *testing.T) {
	there := &town{at: map[string]string{}}
	key := cluster.GenerateKey().Reveal()
	a, err := peers.New(config("a", key, there.find))
	if err != nil {
		t.Fatal(err)
	}
	handlers(a)
	there.move("a", a.Addr())
	t.Run("ask", func(t *testing.T) { testAsk(t, a, there, key) })
	t.Run("strangers", func(t *testing.T) { testStrangers(t, a) })
	t.Run("plain", func(t *testing.T) {
		b, c := startChild(t, "b", "none"), startChild(t, "c", "none")
		if got := b.asks(c.addr); got != "b:hi|<nil>" {
			t.Errorf("without TLS: %s", got)
		}
	})
	t.Run("restart", func(t *testing.T) { testRestart(t, a, there, key) })
	t.Run("bounds", func(t *testing.T) { testBounds(t, a, there, key) })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range 2 {
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := ask(t, a, "a", "echo", nil); !errors.Is(err, peers.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

func testAsk(t *testing.T, a *peers.Peers, there *town, key string) {
	there.move("b", startChild(t, "b", key).addr)
	if got, err := ask(t, a, "b", "echo", []byte("hello")); err != nil || string(got) != "a:hello" {
		t.Errorf("the answer is %q, %v", got, err)
	}
	if _, err := ask(t, a, "b", "fail", nil); err == nil || !strings.Contains(err.Error(), "no such thing") || !strings.Contains(err.Error(), "node b") {
		t.Errorf("a handler's error comes back as %v", err)
	}
	for kind, want := range map[string]error{"taken": errTaken, "unheard of": peers.ErrUnsupported, "large": peers.ErrTooLarge} {
		if _, err := ask(t, a, "b", kind, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", kind, err, want)
		}
	}
	if _, err := ask(t, a, "b", "panic", nil); err == nil {
		t.Error("a handler that panics answers")
	}
	if _, err := ask(t, a, "b", "echo", make([]byte, peers.MaxBody+1)); !errors.Is(err, peers.ErrTooLarge) {
		t.Errorf("a request above the bound: %v, want ErrTooLarge", err)
	}
	body := bytes.Repeat([]byte("x"), peers.MaxBody-2)
	if got, err := ask(t, a, "b", "echo", body); err != nil || len(got) != len(body)+2 {
		t.Errorf("the largest body comes back with %d bytes, %v", len(got), err)
	}
	if got, err := ask(t, a, "a", "echo", []byte("me")); err != nil || string(got) != "a:me" {
		t.Errorf("asking itself: %q, %v", got, err)
	}
}

// Who has another key, or none, is not answered.
func testStrangers(t *testing.T, a *peers.Peers) {
	for name, key := range map[string]string{"another key": cluster.GenerateKey().Reveal(), "no key": "none"} {
		if got := startChild(t, "x", key).asks(a.Addr()); !strings.HasPrefix(got, "|") || !strings.Contains(got, peers.ErrUnreachable.Error()) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A node that was killed is given up, and reached at its new address as soon as it is known.
func testRestart(t *testing.T, a *peers.Peers, there *town, key string) {
	b := startChild(t, "b", key)
	there.move("b", b.addr)
	if _, err := ask(t, a, "b", "echo", nil); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := a.Ask(ctx, "b", "hold", nil)
		failed <- err
	}()
	if _, err := ask(t, a, "b", "echo", nil); err != nil { // goes behind the other
		t.Fatal(err)
	}
	b.kill()
	if err := <-failed; !errors.Is(err, peers.ErrUnreachable) {
		t.Errorf("a request to a node that was killed: %v, want ErrUnreachable", err)
	}
	if _, err := ask(t, a, "b", "echo", nil); !errors.Is(err, peers.ErrUnreachable) {
		t.Errorf("a node that was killed: %v, want ErrUnreachable", err)
	}
	there.move("b", startChild(t, "b", key).addr)
	if got, err := ask(t, a, "b", "echo", []byte("again")); err != nil || string(got) != "a:again" {
		t.Errorf("the restarted node answers %q, %v", got, err)
	}
	if _, err := ask(t, a, "nobody", "echo", nil); !errors.Is(err, peers.ErrUnreachable) {
		t.Errorf("a node that nobody knows: %v, want ErrUnreachable", err)
	}
}

func testBounds(t *testing.T, a *peers.Peers, there *town, key string) {
	there.move("b", startChild(t, "b", key).addr)
	if _, err := a.Ask(context.Background(), "b", "hold", nil); err == nil {
		t.Error("a request without a deadline is sent")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	errs := make(chan error)
	const asked = 20
	for range asked {
		go func() {
			_, err := a.Ask(ctx, "b", "hold", nil)
			errs <- err
		}()
	}
	var busy, late int
	for range asked {
		switch err := <-errs; {
		case errors.Is(err, peers.ErrBusy):
			busy++
		case err != nil: // the deadline, seen here or there
			late++
		}
	}
	if busy != asked-8 || late != 8 {
		t.Errorf("%d were refused and %d ran into the deadline, want %d and 8", busy, late, asked-8)
	}
	for { // its handlers end a moment later than here
		_, err := ask(t, a, "b", "echo", nil)
		if err == nil {
			break
		}
		if !errors.Is(err, peers.ErrBusy) {
			t.Fatalf("after it: %v", err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	find := func(string) (string, bool) { return "", false }
	for name, cfg := range map[string]peers.Config{
		"no node":           {Host: "127.0.0.1", Resolve: find},
		"public and no TLS": {Node: "a", Host: "10.0.0.1", Resolve: find},
		"a name and no TLS": {Node: "a", Host: "localhost", Resolve: find},
	} {
		if _, err := peers.New(cfg); err == nil {
			t.Errorf("%s: it starts", name)
		}
	}
}
