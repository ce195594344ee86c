package ws

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

// maxHeld bounds what a feed holds back while a gap is read; beyond it, its subscribers have to
// recover by themselves. It also bounds what waits to be fanned out; what is more is a gap.
const maxHeld = 16 << 20

// A gap is read up to repairTries times, with growing pauses from repairPause: another server of the
// log may answer a moment behind the one that told of the newer entry.
const (
	repairTries   = 6
	repairPause   = 20 * time.Millisecond
	repairTimeout = 30 * time.Second // longer than the log takes to elect a leader
)

var (
	errHeldTooMuch = errors.New("too much came while a gap was read")
	errNotThere    = errors.New("the log does not have what its own entries point to")
)

// publication is an entry as all subscribers of a feed get it.
type publication struct {
	seq, prev uint64
	frames    *frames // nil: nothing to send, but the position moves
}

// feed follows one channel, or all channels of one pattern, for its subscribers.
type feed struct {
	hub     *hub
	name    string
	pattern bool
	opened  chan struct{} // closed when opening ended
	err     error         // of opening; read after opened
	holders int           // guarded by hub.mu
	swept   uint64        // the log was looked through up to there for what the feed was not shown; the sweep's alone

	inbox inbox // what was not looked at yet

	reads sync.Mutex
	next  *reading // for those who wait; nil: nobody does
	busy  bool     // somebody reads, and goes on with next

	mu   sync.Mutex
	subs []*subscription
	// watchers are how many of them are told who comes and goes.
	watchers int
	first    uint64 // where the log ended when the feed was opened
	last     uint64 // all entries of the channel up to here were fanned out or are from before the feed
	newest   uint64 // the newest entry that was fanned out; 0: none yet
	// While holding, entries are kept: the feed is opening, or a gap is being read.
	holding bool
	held    []journal.Entry
	size    int // bytes held
	stop    func()
	closed  bool
	fresh   []publication // to be sent before mu is given up
	frames  [][]byte      // deliver's buffer
}

func newFeed(h *hub, name string, pattern bool) *feed {
	return &feed{hub: h, name: name, pattern: pattern, opened: make(chan struct{}), holding: !pattern}
}

// open begins to follow. What the log had before open is before the feed, what comes once open has
// returned is in it, and what comes meanwhile is where its sequence puts it.
func (f *feed) open(ctx context.Context) error {
	stop, err := f.hub.journal.Live(f.name, f.take)
	if err != nil {
		return fmt.Errorf("following %s: %w", f.name, err)
	}
	var last uint64
	if !f.pattern {
		if _, last, err = f.hub.journal.Bounds(ctx); err != nil {
			stop()
			return fmt.Errorf("following %s: %w", f.name, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = stop
	f.first, f.last = last, last
	if !f.pattern {
		f.release()
	}
	return nil
}

// close ends the feed and returns whom it still had.
func (f *feed) close() []*subscription {
	f.inbox.close()
	f.mu.Lock()
	f.closed = true
	f.held, f.size = nil, 0
	stop, subs := f.stop, f.subs
	f.stop, f.subs = nil, nil
	f.mu.Unlock()
	if stop != nil {
		stop()
	}
	return subs
}

// take is what the log calls with each live entry, in order.
func (f *feed) take(e journal.Entry) {
	f.inbox.put(e, func() { f.hub.tasks.Go(f.work) })
}

// work fans out what comes, until nothing is left.
func (f *feed) work() {
	for entries := f.inbox.next(); entries != nil; entries = f.inbox.next() {
		f.absorb(entries)
	}
}

func (f *feed) absorb(entries []journal.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		switch {
		case f.closed:
			return
		case f.pattern:
			f.publish(e)
		case f.holding:
			f.hold(e)
		default:
			f.follow(e)
		}
	}
	f.fanOut()
}

func (f *feed) hold(e journal.Entry) {
	if f.size > maxHeld {
		return // the repair will see that this one is missing
	}
	f.held = append(f.held, e)
	f.size += len(e.Data)
}

// follow publishes the next entry, or begins to repair the gap before it.
func (f *feed) follow(e journal.Entry) {
	switch {
	case e.Seq <= f.last:
	case e.Prev > f.last:
		f.holding = true
		f.hold(e)
		f.hub.tasks.Go(f.repair)
	default:
		f.last = e.Seq
		f.publish(e)
	}
}

// release fans out what was held, as far as there is no gap.
func (f *feed) release() {
	defer f.fanOut()
	held := f.held
	f.holding, f.held, f.size = false, nil, 0
	for i, e := range held {
		f.follow(e)
		if f.holding {
			for _, rest := range held[i+1:] {
				f.hold(rest)
			}
			return
		}
	}
}

// repair reads the gap before the first entry held and goes on from there.
func (f *feed) repair() {
	ctx, cancel := context.WithTimeout(f.hub.ctx, repairTimeout)
	defer cancel()
	err := f.readGap(ctx)
	if err == nil {
		f.hub.metrics.gaps.WithLabelValues("mended").Inc()
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.closed {
			f.release()
		}
		return
	}
	if f.hub.ctx.Err() == nil {
		f.hub.giveUp(f, err)
	}
}

// readGap fans out what the log has up to the entry before the first one held.
func (f *feed) readGap(ctx context.Context) error {
	pause := repairPause
	for try := 1; ; {
		at, upTo, err := f.gap()
		if err != nil || at >= upTo {
			return err
		}
		page, err := f.hub.journal.History(ctx, f.name, at, few)
		away := errors.Is(err, journal.ErrUnavailable) && ctx.Err() == nil
		if err != nil && !away {
			return err
		}
		if f.fill(page) >= upTo {
			return nil
		}
		if len(page) == few {
			continue
		}
		if try++; try > repairTries && !away {
			return fmt.Errorf("%w: entry %d", errNotThere, upTo)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gap returns the sequences between which something is missing: the last one that was fanned out,
// and the one before the first held.
func (f *feed) gap() (at, upTo uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return 0, 0, nil
	case f.size > maxHeld:
		return 0, 0, errHeldTooMuch
	}
	return f.last, f.held[0].Prev, nil
}

// fill fans out entries read from the log and returns how far it came.
func (f *feed) fill(entries []journal.Entry) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		if e.Seq > f.last && !f.closed {
			f.last = e.Seq
			f.publish(e)
		}
	}
	f.fanOut()
	return f.last
}

// publish has fanOut give an entry to every subscriber, encoded once.
func (f *feed) publish(e journal.Entry) {
	f.hub.metrics.published.Inc()
	f.newest = e.Seq
	all := framesOf(f.name, f.hub.journal.Epoch(), e)
	if all == nil {
		f.hub.log.Error().Str("channel", e.Channel).Uint64("seq", e.Seq).Msg("an entry of the log is not JSON and is passed over")
	}
	f.fresh = append(f.fresh, publication{seq: e.Seq, prev: e.Prev, frames: all})
}

// fanOut gives what was published to every subscriber, all of it at once.
func (f *feed) fanOut() {
	if len(f.fresh) > 0 {
		for _, s := range f.subs {
			s.deliver(f.fresh)
		}
	}
	f.fresh, f.frames = nil, nil
}

// drop takes a subscription out; it may be out already. It reports whether others saw it.
func (f *feed) drop(s *subscription) (present bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := s.index; i < len(f.subs) && f.subs[i] == s {
		end := len(f.subs) - 1
		f.subs[i] = f.subs[end]
		f.subs[i].index = i
		f.subs[end] = nil
		f.subs = f.subs[:end]
	}
	if !s.present {
		return false
	}
	s.present = false
	if s.watches {
		f.watchers--
	}
	f.announce(s.info, true)
	return true
}
