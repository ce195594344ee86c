package ws

import (
	"sync"

	"github.com/wedsync/wedsync/cluster/journal"
)

// inbox gathers the live entries that come while a feed fans out those before them, so that each client is told of
// all of them at once. It is safe for concurrent use.
type inbox struct {
	mu      sync.Mutex
	entries []journal.Entry
	size    int  // their bytes
	busy    bool // a goroutine works
	closed  bool
}

// put adds an entry, and has somebody begin to work where nobody does.
func (b *inbox) put(e journal.Entry, begin func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.size > maxHeld {
		return // the next one, or the sweep, shows that this one is missing
	}
	b.entries = append(b.entries, e)
	b.size += len(e.Data)
	if !b.busy {
		b.busy = true
		begin()
	}
}

// next returns what has come since it was called last. When that is nothing, who works ends.
func (b *inbox) next() []journal.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	entries := b.entries
	b.entries, b.size = nil, 0
	b.busy = entries != nil
	return entries
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.entries, b.size = nil, 0
}
