package ws

import (
	"context"
	"slices"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/cluster/journal"
)

// history returns a channel's publications, oldest first after a position (or from the beginning), or
// newest first before a position (or from the end). It returns less than was asked for where that is too much for one
// reply; the last offset is where to go on.
func (c *client) history(ctx context.Context, req *protocol.HistoryRequest) (*protocol.HistoryResult, *protocol.Error) {
	pattern, refused := c.readable(req.Channel)
	switch {
	case refused != nil:
		return nil, refused
	case !pattern.IsChannel():
		return nil, replyError(ErrNotAvailable, "a pattern has no history; ask for a channel's")
	case req.Reverse && req.Since != nil && req.Since.Offset == 0:
		return nil, replyError(ErrBadRequest, "nothing is before offset 0; without since, backwards history begins at the end")
	case req.Since != nil && req.Since.Epoch != "" && req.Since.Epoch != c.server.hub.journal.Epoch():
		return nil, replyError(ErrUnrecoverable, "unrecoverable position")
	}
	_, last, err := c.server.hub.journal.Bounds(ctx)
	var entries []journal.Entry
	if err == nil {
		entries, err = c.entries(ctx, pattern.String(), req)
	}
	if err != nil {
		c.log().Warn().Err(err).Str("channel", req.Channel).Msg("reading history failed")
		return nil, replyError(ErrInternal, "the event log does not answer")
	}
	res := &protocol.HistoryResult{
		Epoch:        c.server.hub.journal.Epoch(),
		Offset:       last,
		Publications: publicationsOf(pattern.String(), entries),
	}
	for _, e := range entries {
		res.Offset = max(res.Offset, e.Seq)
	}
	return res, nil
}

func (c *client) entries(ctx context.Context, channel string, req *protocol.HistoryRequest) ([]journal.Entry, error) {
	cfg := c.server.cfg
	limit := int(req.Limit)
	if limit < 0 || limit > cfg.MaxRecover {
		limit = cfg.MaxRecover
	}
	if limit == 0 {
		return nil, nil
	}
	if req.Reverse {
		entries, err := c.server.hub.last(ctx, channel, req.Since, limit)
		slices.Reverse(entries)
		return fitting(entries, cfg.MaxRecoverBytes), err
	}
	entries, err := cfg.Log.History(ctx, channel, req.GetSince().GetOffset(), limit)
	return fitting(entries, cfg.MaxRecoverBytes), err
}

// last returns the newest limit entries, before a position if there is one, ascending. The log is read forwards
// only: so a part before the position is read, and ever larger ones until it has enough.
func (h *hub) last(ctx context.Context, channel string, before *protocol.StreamPosition, limit int) ([]journal.Entry, error) {
	if before == nil {
		return h.journal.HistoryLast(ctx, channel, limit)
	}
	first, end, err := h.journal.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	end = min(before.Offset, end+1)
	for back := uint64(2 * limit); ; back *= 4 {
		after := end - min(back, end)
		entries, err := h.between(ctx, channel, after, end)
		if err != nil {
			return nil, err
		}
		if n := len(entries); n >= limit || after < first {
			return entries[max(0, n-limit):], nil
		}
	}
}

// between returns the entries between two sequences.
func (h *hub) between(ctx context.Context, channel string, after, before uint64) ([]journal.Entry, error) {
	var all []journal.Entry
	for {
		page, err := h.journal.History(ctx, channel, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.Seq >= before {
				return all, nil
			}
			all = append(all, e)
		}
		if len(page) < pageSize {
			return all, nil
		}
		after = page[len(page)-1].Seq
	}
}

// fitting returns the first of the entries that have no more than so many bytes, and at least one.
func fitting(entries []journal.Entry, size int) []journal.Entry {
	for i, e := range entries {
		if size -= len(e.Data); size < 0 && i > 0 {
			return entries[:i]
		}
	}
	return entries
}
