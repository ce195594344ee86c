package natstest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Relay stands between clients and a server. It is safe for concurrent use.
type Relay struct {
	to    string
	ln    net.Listener
	mute  atomic.Bool
	shut  atomic.Bool
	block atomic.Pointer[[]byte]
	up    gate // for what clients say
	down  gate // for what the server says
	live  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Between starts a relay to an address, which ends with the test.
func Between(tb testing.TB, to string) *Relay {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is there at once
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{to: to, ln: ln, conns: map[net.Conn]struct{}{}}
	r.live.Go(r.accept)
	tb.Cleanup(r.close)
	return r
}

// URL is where clients connect.
func (r *Relay) URL() string { return "nats://" + r.ln.Addr().String() }

// Mute loses what the server says, from now on; connections stay.
func (r *Relay) Mute(on bool) { r.mute.Store(on) }

// Suppress loses those messages of the server that hold the text; "" loses nothing.
func (r *Relay) Suppress(text string) {
	b := []byte(text)
	if text == "" {
		r.block.Store(nil)
		return
	}
	r.block.Store(&b)
}

// Hold holds up what clients say, what the server says, or both, as when one of them is stopped; connections
// stay. It arrives when it is not held up any more.
func (r *Relay) Hold(up, down bool) {
	r.up.shut(up)
	r.down.shut(down)
}

// Shut ends all connections and takes no new ones, or takes them again.
func (r *Relay) Shut(on bool) {
	r.shut.Store(on)
	if on {
		r.Cut()
	}
}

// Cut ends all connections.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close()
	}
}

func (r *Relay) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	_ = r.ln.Close()
	r.Hold(false, false)
	r.Cut()
	r.live.Wait()
}

func (r *Relay) accept() {
	for {
		client, err := r.ln.Accept()
		if err != nil {
			return
		}
		if r.shut.Load() {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", r.to) //nolint:noctx // it listens, or does not, at once
		if err != nil {
			_ = client.Close()
			continue
		}
		if !r.keep(client, server) {
			return
		}
		r.live.Go(func() { r.pass(server, client, false) })
		r.live.Go(func() { r.pass(client, server, true) })
	}
}

func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.closed {
			_ = c.Close()
			continue
		}
		r.conns[c] = struct{}{}
	}
	return !r.closed
}

// pass copies from one side to the other, message by message where they can be lost, until either ends.
func (r *Relay) pass(to, from net.Conn, lossy bool) {
	defer func() {
		_, _ = to.Close(), from.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, from)
	}()
	in, buf := bufio.NewReaderSize(from, 64<<10), make([]byte, 64<<10)
	for {
		piece, gate := buf, &r.up
		var err error
		if lossy {
			gate = &r.down
			piece, err = message(in)
		} else {
			var n int
			n, err = in.Read(piece)
			piece = piece[:n]
		}
		if err != nil {
			return
		}
		gate.pass()
		if lossy && r.lost(piece) {
			continue
		}
		if _, err := to.Write(piece); err != nil {
			return
		}
	}
}

// message reads what a server says next (NATS documentation, "NATS protocol"): a line, and behind MSG and HMSG as
// many bytes as its last field says, and a line's end.
func message(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(line, []byte("MSG ")) && !bytes.HasPrefix(line, []byte("HMSG ")) {
		return line, nil
	}
	fields := bytes.Fields(line)
	size, err := strconv.ParseUint(string(fields[len(fields)-1]), 10, 31)
	if err != nil {
		return nil, err
	}
	all := make([]byte, len(line)+int(size)+len("\r\n")) // #nosec G115 -- 31 bits
	_, err = io.ReadFull(in, all[copy(all, line):])
	return all, err
}

func (r *Relay) lost(piece []byte) bool {
	text := r.block.Load()
	return r.mute.Load() || text != nil && bytes.Contains(piece, *text)
}
