package ws

import (
	"runtime"
	"sync"
)

const (
	// maxReady is how many clients may wait for a writer. Who has something for more waits, too: the next publication
	// that comes meanwhile is then written along.
	maxReady = 64
	// turn is to how many clients a writer writes before it lets others have the processor.
	turn = 32
)

// writers write to clients what waits for them, in the order in which it began to. There are no more of them than
// processors: with a goroutine for each of ten thousand clients, whatever else happens would wait behind all of them.
// None waits for a client. It is safe for concurrent use.
type writers struct {
	most int

	mu          sync.Mutex
	first, last *outbox // whose turn has yet to come, linked by outbox.behind
	ready       int     // how many these are
	full        bool    // since there were maxReady of them, until half of them are written
	room        sync.Cond
	busy        int // writers that run
}

func newWriters() *writers {
	w := &writers{most: runtime.GOMAXPROCS(0)}
	w.room.L = &w.mu
	return w
}

// add has an outbox written, and waits for its place. It may be added again once its write was called.
func (w *writers) add(o *outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.full { // also who comes when there is some room again: else they could have it before those who wait, for ever
		w.room.Wait()
	}
	w.append(o)
}

// again is add for who has just written, and waits for nothing.
func (w *writers) again(o *outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.append(o)
}

func (w *writers) append(o *outbox) {
	if w.last == nil {
		w.first = o
	} else {
		w.last.behind = o
	}
	w.last = o
	w.ready++
	w.full = w.full || w.ready >= maxReady
	if w.busy < w.most {
		w.busy++
		go w.work()
	}
}

func (w *writers) work() {
	for written := 1; ; written++ {
		o := w.take()
		if o == nil {
			return
		}
		o.write()
		if written%turn == 0 {
			runtime.Gosched()
			yield() // to other processes: the kernel would let this one go on for milliseconds
		}
	}
}

// take returns the outbox whose turn it is. When there is none, the writer that asked ends.
func (w *writers) take() *outbox {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.first
	if o == nil {
		w.busy--
		return nil
	}
	if w.first, o.behind = o.behind, nil; w.first == nil {
		w.last = nil
	}
	if w.ready--; w.full && w.ready <= maxReady/2 { // not for one at a time
		w.full = false
		w.room.Broadcast()
	}
	return o
}
