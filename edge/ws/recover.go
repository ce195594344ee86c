package ws

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/cluster/journal"
)

// recovery is what a client missed.
type recovery struct {
	complete bool
	missed   []*protocol.Publication
	position uint64 // where it stands with them
}

// recoverFrom finds what the channel of f had after the position in req, where the feed goes on from at and
// has shown others everything up to newest. It is complete only if nothing can be missing.
func (h *hub) recoverFrom(ctx context.Context, f *feed, req *protocol.SubscribeRequest, at, newest uint64) (recovery, error) {
	anew := recovery{position: at}
	if req.Epoch != "" && req.Epoch != h.journal.Epoch() {
		return anew, nil
	}
	if req.Offset == at {
		return recovery{complete: true, position: at}, nil
	}
	// The position is what was read, not what the log is known to have: were the reading behind, the
	// next entry would show it.
	r := recovery{complete: true, position: req.Offset}
	got, err := f.read(ctx, req.Offset, newest, req.Offset > at)
	if errors.Is(err, errTooMuch) {
		return anew, nil
	}
	if err != nil {
		return recovery{}, err
	}
	if req.Offset > got.end || req.Offset+1 < got.first {
		return anew, nil // of a log that is not this one; or older than what this one holds
	}
	if req.Offset < at {
		r.missed, r.position, err = got.since(req.Offset, h.cfg)
		if err != nil {
			return anew, nil
		}
	}
	return r, nil
}

// reading is what a channel has after a position, read once for all who wait for it: after a node has died,
// thousands come back to one channel with the same position.
type reading struct {
	offset, newest uint64 // of those who wait, the least and the greatest

	done       chan struct{} // closed when the rest is there
	entries    []journal.Entry
	pubs       []*protocol.Publication // those of the entries that are JSON
	first, end uint64                  // of the log, asked afterwards, so that nothing can have gone before it was read
	err        error
}

// read returns a reading that begins after the call, and reaches back to offset. With boundsOnly, the log's bounds
// are all that is needed.
func (f *feed) read(ctx context.Context, offset, newest uint64, boundsOnly bool) (*reading, error) {
	if boundsOnly {
		r := &reading{}
		var err error
		r.first, r.end, err = f.hub.journal.Bounds(ctx)
		return r, err
	}
	for {
		r := f.queue(offset, newest)
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !errors.Is(r.err, errTooMuch) || offset == r.offset {
			return r, r.err
		}
		// It was too much for another one, who does not wait any more.
	}
}

// queue adds to the reading that comes next, and has it read when the one under way has ended.
func (f *feed) queue(offset, newest uint64) *reading {
	f.reads.Lock()
	defer f.reads.Unlock()
	r := f.next
	if r == nil {
		r = &reading{offset: offset, newest: newest, done: make(chan struct{})}
		f.next = r
	}
	r.offset, r.newest = min(r.offset, offset), max(r.newest, newest)
	if !f.busy {
		f.busy = true
		f.hub.tasks.Go(f.readAll)
	}
	return r
}

// readAll reads as long as somebody waits.
func (f *feed) readAll() {
	for {
		f.reads.Lock()
		r := f.next
		f.next = nil
		f.busy = r != nil
		f.reads.Unlock()
		if r == nil {
			return
		}
		ctx, cancel := context.WithTimeout(f.hub.ctx, f.hub.cfg.CommandTimeout)
		r.run(ctx, f)
		cancel()
		close(r.done)
	}
}

func (r *reading) run(ctx context.Context, f *feed) {
	h := f.hub
	if r.entries, r.err = h.missed(ctx, f.name, r.offset, r.newest); r.err != nil {
		return
	}
	r.pubs = publicationsOf(f.name, r.entries)
	r.first, r.end, r.err = h.journal.Bounds(ctx)
}

// since returns what lies after a position, and where that ends, or errTooMuch.
func (r *reading) since(offset uint64, cfg Config) (missed []*protocol.Publication, position uint64, err error) {
	from, _ := slices.BinarySearchFunc(r.entries, offset+1, func(e journal.Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) })
	rest, size := r.entries[from:], 0
	if len(rest) == 0 {
		return nil, offset, nil
	}
	for _, e := range rest {
		size += len(e.Data)
	}
	if len(rest) > cfg.MaxRecover || size > cfg.MaxRecoverBytes {
		return nil, 0, errTooMuch
	}
	from, _ = slices.BinarySearchFunc(r.pubs, offset+1, func(p *protocol.Publication, seq uint64) int { return cmp.Compare(p.Offset, seq) })
	return r.pubs[from:], rest[len(rest)-1].Seq, nil
}

// missed reads what came after a position, at least up to newest, unless that was erased.
func (h *hub) missed(ctx context.Context, channel string, seq, newest uint64) ([]journal.Entry, error) {
	pause := repairPause
	for try := 1; ; try++ {
		entries, err := h.after(ctx, channel, seq)
		if err != nil || newest <= seq {
			return entries, err
		}
		if n := len(entries); n > 0 && entries[n-1].Seq >= newest {
			return entries, nil
		}
		if there, err := h.journal.HasEvent(ctx, newest); err != nil || !there {
			return entries, err
		}
		if try == repairTries {
			return nil, errNotThere
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
