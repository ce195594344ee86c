package nodeproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config says which node to run. Binary and Dir are required.
type Config struct {
	Binary string
	Prefix []string  // command that the node is started by, such as ip netns exec NAME
	Dir    string    // the node's data folder; it stays when the node ends
	Addr   string    // host:port to listen on; default FreeAddress
	Flags  []string  // of "wedsync serve", besides --addr and --data
	Env    []string  // NAME=value, besides this process's
	Stderr io.Writer // default: nowhere
}

// Node is a wedsync process.
type Node struct {
	cfg     Config
	cmd     *exec.Cmd
	started time.Time
	done    chan struct{} // closed when it has ended; err is set before
	err     error
}

// Start starts a node and returns at once; Ready waits until it serves.
func Start(cfg Config) (*Node, error) {
	if cfg.Addr == "" {
		var err error
		if cfg.Addr, err = FreeAddress(); err != nil {
			return nil, err
		}
	}
	args := append([]string{"serve", "--addr", cfg.Addr, "--data", cfg.Dir}, cfg.Flags...)
	command := append(append(slices.Clone(cfg.Prefix), cfg.Binary), args...)
	n := &Node{cfg: cfg, cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})} //nolint:noctx // the caller ends it
	n.cmd.Env = append(os.Environ(), cfg.Env...)
	n.cmd.Stderr = cfg.Stderr
	tie(n.cmd)
	begun := make(chan error)
	go n.run(begun)
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("starting a node: %w", err)
	}
	return n, nil
}

// run starts the process and waits for it in one thread: the kernel ends it with its thread.
func (n *Node) run(begun chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n.started = time.Now()
	err := n.cmd.Start()
	begun <- err
	if err != nil {
		return
	}
	n.err = n.cmd.Wait()
	close(n.done)
}

// URL is where the node answers, such as http://127.0.0.1:20123.
func (n *Node) URL() string { return "http://" + n.cfg.Addr }

// WebSocketURL is where the node takes WebSocket clients.
func (n *Node) WebSocketURL() string { return "ws://" + n.cfg.Addr + "/connection/websocket" }

// PID is the process's.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Done is closed when the process has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

// Started is when the process began.
func (n *Node) Started() time.Time { return n.started }

// Ready returns when the node says that it is ready, degraded or not. It fails when the process ends
// before, or ctx does.
func (n *Node) Ready(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("it was not asked yet")
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/readyz answers %d", resp.StatusCode)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-n.done:
			return fmt.Errorf("the node ended before it was ready: %w", n.ended())
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready: %w (%w)", last, ctx.Err())
		}
	}
}

// Kill ends the process with SIGKILL and waits for its end. One that has ended is left as it is.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill()
	<-n.done
}

// Stop asks the process to end with SIGTERM and returns how it did: nil for exit code 0. When ctx ends
// first the process is killed.
func (n *Node) Stop(ctx context.Context) error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.done:
		return n.err
	case <-ctx.Done():
		n.Kill()
		return fmt.Errorf("the node did not stop: %w", ctx.Err())
	}
}

// ExitCode is the process's once it has ended, -1 after a signal.
func (n *Node) ExitCode() int { return n.cmd.ProcessState.ExitCode() }

func (n *Node) ended() error {
	if n.err != nil {
		return n.err
	}
	return errors.New("exit code 0")
}

// Client returns a client that has the node's own API key. The node must have been ready once.
func (n *Node) Client() (*Client, error) {
	key, err := os.ReadFile(filepath.Join(n.cfg.Dir, "api.key"))
	if err != nil {
		return nil, err
	}
	return NewClient(n.URL(), strings.TrimSpace(string(key))), nil
}

// Ports for nodes lie below those that Linux hands out to outgoing connections (32768 and up): a port
// that is free while a node restarts is not taken by one of them meanwhile.
const (
	firstPort = 16_000
	ports     = 16_000
)

// FreeAddress returns an address of loopback on which nobody listens.
func FreeAddress() (string, error) {
	var err error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(ports)))
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil { //nolint:noctx // it does not block
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("no free port found: %w", err)
}

// FreeBind returns an address with a port that is free, as the two after it were.
func FreeBind() (string, error) {
	for {
		addr, err := FreeAddress()
		if err != nil {
			return "", err
		}
		host, text, err := net.SplitHostPort(addr)
		if err != nil {
			return "", err
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			return "", err
		}
		free := true
		for next := port + 1; next <= port+2; next++ {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(next))) //nolint:noctx // it does not block
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return addr, nil
		}
	}
}
