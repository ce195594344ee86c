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
	entries, err := c.server.hub.first(ctx, channel, req.GetSince().GetOffset(), limit)
	return fitting(entries, cfg.MaxRecoverBytes), err
}

const (
	// few is how many entries are read at once of which nobody knows yet how large they are.
	few = 32
	// pageSize is how many are read at once that are small.
	pageSize = 256
)

// more returns how many entries, like n that have size bytes, are read at once: as many as fit into a reply, but few.
func (h *hub) more(n, size int) int {
	return min(max(few, h.cfg.MaxRecoverBytes*n/max(size, 1)), pageSize)
}

func bytesOf(entries []journal.Entry) (n int) {
	for _, e := range entries {
		n += len(e.Data)
	}
	return n
}

// first returns the first limit entries after a position, or a few more than fit into a reply.
func (h *hub) first(ctx context.Context, channel string, after uint64, limit int) ([]journal.Entry, error) {
	var all []journal.Entry
	for size, page := 0, few; ; page = h.more(len(all), size) {
		page = min(page, limit-len(all))
		got, err := h.journal.History(ctx, channel, after, page)
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
		if size += bytesOf(got); len(got) < page || len(all) == limit || size > h.cfg.MaxRecoverBytes {
			return all, nil
		}
		after = all[len(all)-1].Seq
	}
}

// last returns the newest limit entries, before a position if there is one, ascending; or about as many as fit into a
// reply. The log is read forwards only: so a part before the position is read, and ever larger ones until it has enough.
func (h *hub) last(ctx context.Context, channel string, before *protocol.StreamPosition, limit int) ([]journal.Entry, error) {
	if before == nil {
		entries, err := h.journal.HistoryLast(ctx, channel, min(limit, few))
		if fits := h.cfg.MaxRecoverBytes * few / max(bytesOf(entries), 1); err == nil && limit > few && len(entries) == few && fits > few {
			entries, err = h.journal.HistoryLast(ctx, channel, min(limit, fits))
		}
		return entries, err
	}
	first, end, err := h.journal.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	end = min(before.Offset, end+1)
	for back := uint64(2 * limit); ; back *= 4 {
		after := end - min(back, end)
		entries, enough, err := h.between(ctx, channel, after, end, limit)
		if err != nil || enough || after < first {
			return entries, err
		}
	}
}

// between returns the last entries between two sequences. Enough are limit of them, or what fits into a reply.
func (h *hub) between(ctx context.Context, channel string, after, before uint64, limit int) (last []journal.Entry, enough bool, err error) {
	for n, read, size, page := 0, 0, 0, few; ; page = h.more(n, read) {
		got, err := h.journal.History(ctx, channel, after, page)
		if err != nil {
			return nil, false, err
		}
		for _, e := range got {
			if e.Seq >= before {
				return last, enough || len(last) == limit, nil
			}
			last, size = append(last, e), size+len(e.Data)
			for len(last) > limit || size > h.cfg.MaxRecoverBytes && len(last) > 1 {
				size -= len(last[0].Data)
				last[0], last, enough = journal.Entry{}, last[1:], true
			}
		}
		if len(got) < page {
			return last, enough || len(last) == limit, nil
		}
		n, read, after = n+len(got), read+bytesOf(got), got[len(got)-1].Seq
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
