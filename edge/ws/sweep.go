package ws

import (
	"context"
	"time"
)

// grace is how long an entry of the log may be on its way here before it is looked for.
const grace = 100 * time.Millisecond

// sweepAgain is when to look again after the log has not answered.
const sweepAgain = 250 * time.Millisecond

// sweep looks now and then, and when the connection to the log was lost and is back, whether channels have
// entries that their feeds were never shown. A gap shows when the next entry comes; where none comes, the
// last one that was lost would stay unseen: the log republishes what its leader has stored, and that leader
// may be gone by then.
func (h *hub) sweep() {
	timer := time.NewTimer(h.cfg.CheckInterval)
	defer timer.Stop()
	resumed := h.journal.Resumed()
	for failed := false; ; {
		select {
		case <-timer.C:
		case <-resumed:
		case <-h.ctx.Done():
			return
		}
		resumed = h.journal.Resumed()
		err := h.sweepOnce()
		if err != nil && !failed && h.ctx.Err() == nil {
			h.log.Warn().Err(err).Msg("cannot look for missed entries; trying again")
		}
		if failed = err != nil; failed {
			timer.Reset(sweepAgain)
		} else {
			timer.Reset(h.cfg.CheckInterval)
		}
	}
}

// sweepOnce asks for news of all channels at once, and reads what is missing.
func (h *hub) sweepOnce() error {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.CommandTimeout)
	defer cancel()
	feeds := h.settled()
	if len(feeds) == 0 {
		return nil
	}
	names := make([]string, len(feeds))
	after := feeds[0].swept
	for i, f := range feeds {
		names[i], after = f.name, min(after, f.swept)
	}
	newest, upTo, err := h.journal.News(ctx, names, after)
	if err != nil {
		return err
	}
	waited := false
	for _, f := range feeds {
		at := newest[f.name]
		if !waited && f.behind(at) {
			waited = true
			select {
			case <-time.After(grace):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := f.catchUp(ctx, at); err != nil {
			return err
		}
		if !f.behind(at) {
			f.swept = max(f.swept, upTo)
		}
	}
	return nil
}

// settled returns the feeds of channels that neither open nor mend a gap: those are looked at once they do not.
func (h *hub) settled() []*feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	feeds := make([]*feed, 0, len(h.feeds))
	for _, f := range h.feeds {
		if !f.pattern && f.settle() {
			feeds = append(feeds, f)
		}
	}
	return feeds
}

// settle reports whether the feed is settled.
func (f *feed) settle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holding || f.closed {
		return false
	}
	if f.swept == 0 {
		f.swept = f.first
	}
	return true
}

// behind reports whether the feed was not shown all entries up to a sequence.
func (f *feed) behind(seq uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last < seq && !f.closed
}

// catchUp fans out what the log has up to a sequence, behind the feed's last entry. What is on its way here
// anyway comes twice, and is passed over the second time. A feed that mends a gap is left to do that.
func (f *feed) catchUp(ctx context.Context, upTo uint64) error {
	for {
		f.mu.Lock()
		at, busy := f.last, f.holding || f.closed
		f.mu.Unlock()
		if busy || at >= upTo {
			return nil
		}
		entries, err := f.hub.journal.History(ctx, f.name, at, few)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			f.skip(upTo)
			return nil
		}
		f.hub.metrics.gaps.WithLabelValues("mended").Inc()
		f.fill(entries)
	}
}

// skip moves the feed past entries that were erased before it was shown them.
func (f *feed) skip(upTo uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = max(f.last, upTo)
}
