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

	"github.com/prometheus/client_golang/prometheus"
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

// places is how many requests a node handles, and how many answers of one node it waits for.
const places = 8

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
		Logger: zerolog.Nop(), MaxHandled: places, MaxAsked: places,
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
	c := &process{tb: tb, cmd: exec.Command(os.Args[0])}
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

// near is the node of the test's own process.
type near struct {
	*peers.Peers
	t       testing.TB
	there   *town
	key     string
	metrics *prometheus.Registry
}

func newNear(tb testing.TB) near {
	tb.Helper()
	n := near{t: tb, there: &town{at: map[string]string{}}, key: cluster.GenerateKey().Reveal(), metrics: prometheus.NewRegistry()}
	cfg := config("a", n.key, n.there.find)
	cfg.Metrics = n.metrics
	var err error
	if n.Peers, err = peers.New(cfg); err != nil {
		tb.Fatal(err)
	}
	handlers(n.Peers)
	n.there.move("a", n.Addr())
	return n
}

// start starts another node of a name.
func (n near) start(node string) *process {
	n.t.Helper()
	p := startChild(n.t, node, n.key)
	n.there.move(node, p.addr)
	return p
}

// ask asks within a time in which everything is answered, or fails.
func (n near) ask(node, kind string, body []byte) ([]byte, error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 15*time.Second)
	defer cancel()
	return n.Ask(ctx, node, kind, body)
}

func TestPeers(t *testing.T) {
	t.Parallel()
	n := newNear(t)
	n.toldFromTheStart()
	n.answers()
	n.strangers()
	n.plain()
	n.unreadable()
	n.restart()
	n.bounds()
	n.told()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range 2 {
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.ask("a", "echo", nil); !errors.Is(err, peers.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

func (n near) answers() {
	n.start("b")
	for _, node := range []string{"a", "b"} { // itself, too
		if got, err := n.ask(node, "echo", []byte("hello")); err != nil || string(got) != "a:hello" {
			n.t.Errorf("%s answers %q, %v", node, got, err)
		}
		if _, err := n.ask(node, "fail", nil); err == nil || !strings.Contains(err.Error(), "no such thing") || !strings.Contains(err.Error(), "node "+node) {
			n.t.Errorf("a handler's error comes back as %v", err)
		}
		for kind, want := range map[string]error{"taken": errTaken, "unheard of": peers.ErrUnsupported, "large": peers.ErrTooLarge} {
			if _, err := n.ask(node, kind, nil); !errors.Is(err, want) {
				n.t.Errorf("%s: %v, want %v", kind, err, want)
			}
		}
		if _, err := n.ask(node, "panic", nil); err == nil {
			n.t.Error("a handler that panics answers")
		}
		body := bytes.Repeat([]byte("x"), peers.MaxBody-2)
		if got, err := n.ask(node, "echo", body); err != nil || len(got) != len(body)+2 {
			n.t.Errorf("the largest body comes back with %d bytes, %v", len(got), err)
		}
	}
	if _, err := n.ask("b", "echo", make([]byte, peers.MaxBody+1)); !errors.Is(err, peers.ErrTooLarge) {
		n.t.Errorf("a request above the bound: %v, want ErrTooLarge", err)
	}
}

// Who has another key, or none, is not answered.
func (n near) strangers() {
	for name, key := range map[string]string{"another key": cluster.GenerateKey().Reveal(), "no key": "none"} {
		if got := startChild(n.t, "x", key).asks(n.Addr()); !strings.HasPrefix(got, "|") || !strings.Contains(got, peers.ErrUnreachable.Error()) {
			n.t.Errorf("%s: %s", name, got)
		}
	}
}

// Without keys, which loopback alone allows, nodes reach each other too.
func (n near) plain() {
	b, c := startChild(n.t, "b", "none"), startChild(n.t, "c", "none")
	if got := b.asks(c.addr); got != "b:hi|<nil>" {
		n.t.Errorf("without TLS: %s", got)
	}
}

// A node that was killed is given up, and reached at its new address as soon as it is known.
func (n near) restart() {
	b := n.start("b")
	if _, err := n.ask("b", "echo", nil); err != nil {
		n.t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := n.Ask(ctx, "b", "hold", nil)
		failed <- err
	}()
	if _, err := n.ask("b", "echo", nil); err != nil { // goes behind the other
		n.t.Fatal(err)
	}
	b.kill()
	if err := <-failed; !errors.Is(err, peers.ErrUnreachable) {
		n.t.Errorf("a request to a node that was killed: %v, want ErrUnreachable", err)
	}
	if _, err := n.ask("b", "echo", nil); !errors.Is(err, peers.ErrUnreachable) {
		n.t.Errorf("a node that was killed: %v, want ErrUnreachable", err)
	}
	n.start("b")
	if got, err := n.ask("b", "echo", []byte("again")); err != nil || string(got) != "a:again" {
		n.t.Errorf("the restarted node answers %q, %v", got, err)
	}
	if _, err := n.ask("nobody", "echo", nil); !errors.Is(err, peers.ErrUnreachable) {
		n.t.Errorf("a node that nobody knows: %v, want ErrUnreachable", err)
	}
}

// A node handles, and waits for, so many requests at once, and fails the rest.
func (n near) bounds() {
	if _, err := n.Ask(context.Background(), "a", "hold", nil); err == nil {
		n.t.Error("a request without a deadline is sent")
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	errs := make(chan error)
	for range places {
		go func() {
			_, err := n.Ask(ctx, "a", "hold", nil)
			errs <- err
		}()
	}
	for b := n.start("b"); ; {
		got := b.asks(n.Addr())
		if strings.Contains(got, peers.ErrBusy.Error()) {
			break // all places are taken
		}
		if got != "b:hi|<nil>" {
			n.t.Fatal(got)
		}
	}
	if _, err := n.ask("a", "echo", nil); !errors.Is(err, peers.ErrBusy) {
		n.t.Errorf("one more answer of a node is waited for: %v, want ErrBusy", err)
	}
	if _, err := n.ask("b", "echo", nil); err != nil {
		n.t.Errorf("another node is not asked: %v", err)
	}
	cancel()
	for range places {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			n.t.Errorf("what was given up ends with %v", err)
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
