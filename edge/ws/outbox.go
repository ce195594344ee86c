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

// maxStarting is how many writers may wait for a processor. With a goroutine ready for each of ten thousand clients,
// whatever else happens would wait behind all of them, the next publication too, which they could have written along.
const maxStarting = 64

// outbox is what waits to be written to one client. Frames are written in the order they were
// pushed, by one goroutine that exists while there are any. It is safe for concurrent use.
type outbox struct {
	to           transport
	limit        int
	closeTimeout time.Duration
	metrics      *metrics
	starting     chan struct{} // has an element for each writer of all clients that does not run yet

	mu      sync.Mutex
	frames  [][]byte
	spare   [][]byte  // the other one of two buffers
	bytes   int       // waiting and being written
	busy    bool      // a goroutine is writing
	closing CloseCode // 0: open
	dead    bool      // the connection is gone
}

func newOutbox(to transport, cfg Config, m *metrics, starting chan struct{}) *outbox {
	return &outbox{to: to, limit: cfg.QueueBytes, closeTimeout: cfg.CloseTimeout, metrics: m, starting: starting}
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
		o.start()
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
		o.start()
	}
}

// start begins to write, and waits for its turn to do so.
func (o *outbox) start() {
	o.starting <- struct{}{}
	go o.flush()
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

// flush writes until nothing waits.
func (o *outbox) flush() {
	<-o.starting
	for {
		batch, last := o.take()
		if batch == nil {
			if last != 0 {
				o.to.end(last)
			}
			return
		}
		for len(batch) > 0 {
			n, size := joinable(batch)
			if o.to.send(batch[:n]) != nil {
				o.kill()
				return
			}
			o.metrics.wrote(n, size)
			clear(batch[:n])
			batch = batch[n:]
			if !o.wrote(size) {
				break
			}
		}
	}
}

// take returns what waits. When it returns nothing the writer ends; code says that it has to write
// the close frame before.
func (o *outbox) take() (batch [][]byte, code CloseCode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return nil, 0
	}
	if len(o.frames) == 0 {
		o.busy = o.closing != 0 // after the close frame nothing is ever written
		return nil, o.closing
	}
	batch = o.frames
	o.frames, o.spare = o.spare[:0], nil
	if cap(batch) <= keepFrames {
		o.spare = batch
	}
	return batch, 0
}

// wrote counts off what was written and reports whether to go on with the batch.
func (o *outbox) wrote(size int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing == CloseSlow {
		return false
	}
	o.bytes -= size
	return true
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
