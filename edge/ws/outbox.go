package ws

import (
	"sync"
	"time"
)

// maxJoin is how many bytes of waiting frames go into one WebSocket message. Larger ones save no
// more system calls worth having, and hold up the client's parser.
const maxJoin = 64 << 10

// keepFrames is up to what capacity a client's buffers are kept when they are empty: what a burst took is not kept
// by each of ten thousand clients.
const keepFrames = 32

// outbox is what waits to be written to one client. Frames are written in the order they were
// pushed: by the writers of all clients, or, while the client takes no more, by a goroutine that waits for it. It is
// safe for concurrent use.
type outbox struct {
	to           transport
	limit        int
	closeTimeout time.Duration
	metrics      *metrics
	writers      *writers
	behind       *outbox // writers' alone

	mu      sync.Mutex
	frames  [][]byte
	spare   [][]byte  // the other one of two buffers
	bytes   int       // waiting and being written
	busy    bool      // somebody writes, or is about to
	closing CloseCode // 0: open
	dead    bool      // the connection is gone
}

func newOutbox(to transport, cfg Config, m *metrics, w *writers) *outbox {
	return &outbox{to: to, limit: cfg.QueueBytes, closeTimeout: cfg.CloseTimeout, metrics: m, writers: w}
}

// push queues frames. When the client's queue is full, the connection is closed as slow.
func (o *outbox) push(frames ...[]byte) {
	o.mu.Lock()
	if o.closing != 0 || o.dead {
		o.mu.Unlock()
		return
	}
	for _, frame := range frames {
		// One frame may wait behind what is being written, however large it is.
		if o.bytes+len(frame) > o.limit && (len(o.frames) > 0 || o.bytes > o.limit) {
			o.mu.Unlock()
			o.close(CloseSlow)
			return
		}
		o.frames = append(o.frames, frame)
		o.bytes += len(frame)
	}
	start := !o.busy
	o.busy = true
	o.mu.Unlock()
	if start {
		o.writers.add(o)
	}
}

// close ends the connection: what waits is written, except to a slow client, then a close frame; the
// peer then has closeTimeout to close its side. Only the first call counts.
func (o *outbox) close(code CloseCode) {
	o.mu.Lock()
	if o.closing != 0 || o.dead {
		o.mu.Unlock()
		return
	}
	o.closing = code
	if code == CloseSlow {
		o.drop()
	}
	start := !o.busy
	o.busy = true
	o.mu.Unlock()
	o.to.expire(time.Now().Add(o.closeTimeout))
	if start {
		o.writers.add(o)
	}
}

// closedBy returns the code that close was called with, or 0.
func (o *outbox) closedBy() CloseCode {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing
}

// kill forgets everything; the connection is gone.
func (o *outbox) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead = true
	o.drop()
}

func (o *outbox) drop() {
	clear(o.frames)
	o.frames = o.frames[:0]
	o.bytes = 0
}

// write writes what waits, and does not wait for the client.
func (o *outbox) write() {
	batch, code := o.take()
	switch {
	case batch != nil:
		o.flush(batch)
	case code != 0:
		go o.to.end(code)
	}
}

// flush writes a batch, and has written what came meanwhile.
func (o *outbox) flush(batch [][]byte) {
	for len(batch) > 0 {
		n, size := joinable(batch)
		rest, err := o.to.send(batch[:n])
		if rest != nil {
			go func() { o.flush(o.wrote(batch, n, size, rest())) }()
			return
		}
		batch = o.wrote(batch, n, size, err)
	}
	if o.goesOn() {
		o.writers.again(o)
	}
}

// take returns what waits, or else the code of the close frame that is to be written now.
func (o *outbox) take() (batch [][]byte, code CloseCode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return nil, 0
	}
	if len(o.frames) == 0 {
		return nil, o.closing
	}
	batch = o.frames
	o.frames, o.spare = o.spare[:0], nil
	if cap(batch) <= keepFrames {
		o.spare = batch
	}
	return batch, 0
}

// wrote counts off the frames at the beginning of a batch, and returns those that are still to be written.
func (o *outbox) wrote(batch [][]byte, n, size int, err error) [][]byte {
	if err != nil {
		o.kill()
		return nil
	}
	o.metrics.wrote(n, size)
	clear(batch[:n])
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing == CloseSlow {
		return nil
	}
	o.bytes -= size
	return batch[n:]
}

// goesOn reports whether there is more to write. After the close frame nothing ever is.
func (o *outbox) goesOn() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = len(o.frames) > 0 || o.closing != 0
	return o.busy && !o.dead
}

// joinable returns how many of the frames make one message, and their bytes.
func joinable(frames [][]byte) (n, size int) {
	for _, f := range frames {
		if n > 0 && size+len(f) > maxJoin {
			break
		}
		n++
		size += len(f)
	}
	return n, size
}
