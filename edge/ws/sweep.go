package ws

import (
	"context"
	"time"
)

// sweep looks now and then whether a channel has entries that its feed was never shown. A gap shows
// when the next entry comes; where none comes, the last one that was lost would stay unseen.
func (h *hub) sweep() {
	tick := time.NewTicker(h.cfg.CheckInterval)
	defer tick.Stop()
	var before uint64 // the log's end at the last sweep
	for {
		select {
		case <-tick.C:
			before = h.sweepOnce(before)
		case <-h.ctx.Done():
			return
		}
	}
}

// sweepOnce returns the log's end, up to which all feeds were looked at.
func (h *hub) sweepOnce(before uint64) uint64 {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.CheckInterval)
	defer cancel()
	_, last, err := h.journal.Bounds(ctx)
	if err != nil || last == before { // nothing came, so nothing was missed
		return before
	}
	for _, f := range h.open() {
		if err := f.check(ctx); err != nil {
			h.log.Warn().Err(err).Str("channel", f.name).Msg("cannot look for missed entries; trying again later")
			return before
		}
	}
	return last
}

// open returns the feeds of channels.
func (h *hub) open() []*feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	feeds := make([]*feed, 0, len(h.feeds))
	for _, f := range h.feeds {
		if !f.pattern {
			feeds = append(feeds, f)
		}
	}
	return feeds
}

// check fans out what the log has behind the feed's last entry. What is on its way there anyway comes
// twice, and is passed over the second time.
func (f *feed) check(ctx context.Context) error {
	f.mu.Lock()
	at, busy := f.last, f.holding || f.closed
	f.mu.Unlock()
	if busy {
		return nil
	}
	entries, err := f.hub.journal.History(ctx, f.name, at, pageSize)
	if err != nil || len(entries) == 0 {
		return err
	}
	f.fill(entries)
	return nil
}
