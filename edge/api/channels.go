package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
)

type historyInput struct {
	Name  string `path:"name" doc:"The channel, such as supplier:dashboard:42."`
	After uint64 `query:"after" doc:"Only events behind this sequence. Without it, the newest ones."`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most so many; fewer where they have more than 4 MiB."`
}

type history struct {
	Epoch  string   `json:"epoch" doc:"Identity of the log: sequences are comparable within one epoch only."`
	Events []logged `json:"events" nullable:"false" doc:"In order."`
	Next   uint64   `json:"next,omitempty" doc:"Ask again with after=next; without it the end is reached."`
}

type logged struct {
	Seq   uint64          `json:"seq"`
	Event json.RawMessage `json:"event" doc:"As it stands in the log."`
}

func (a *API) routeChannels(h huma.API) {
	handle(h, huma.Operation{
		OperationID: "history", Method: http.MethodGet, Path: "/api/channels/{name}/history", Tags: []string{"channels"},
		Summary: "Read a channel's events", Security: needs(access.ChannelsRead),
	}, a.history)
}

func (a *API) history(ctx context.Context, in *historyInput) (*body[history], error) {
	if err := event.CheckChannel(in.Name); err != nil {
		return nil, err
	}
	if err := reachChannel(callerOf(ctx).Caller, in.Name); err != nil {
		return nil, err
	}
	read := a.lastOf
	if in.After > 0 {
		read = a.behind
	}
	entries, more, err := read(ctx, in)
	if err != nil {
		return nil, err
	}
	out := history{Epoch: a.cfg.History.Epoch(), Events: make([]logged, len(entries))}
	for i, e := range entries {
		out.Events[i] = logged{e.Seq, e.Data}
	}
	if more {
		out.Next = entries[len(entries)-1].Seq
	}
	return &body[history]{out}, nil
}

// maxHistoryBytes is how many bytes of events one answer has, about: fewer events are told then.
const maxHistoryBytes = 4 << 20

// historyPage is how many events are read at once.
const historyPage = 32

// behind reads the events behind a sequence; more tells that others may follow.
func (a *API) behind(ctx context.Context, in *historyInput) (entries []journal.Entry, more bool, err error) {
	for after := in.After; len(entries) < in.Limit && bytesOf(entries) < maxHistoryBytes; after = entries[len(entries)-1].Seq {
		limit := min(historyPage, in.Limit-len(entries))
		page, err := a.cfg.History.History(ctx, in.Name, after, limit)
		if err != nil {
			return nil, false, err
		}
		entries = append(entries, page...)
		if len(page) < limit {
			return entries, false, nil
		}
	}
	return entries, true, nil
}

// lastOf reads a channel's last events.
func (a *API) lastOf(ctx context.Context, in *historyInput) (entries []journal.Entry, more bool, err error) {
	entries, err = newest(in.Limit, func(limit int) ([]journal.Entry, error) { return a.cfg.History.HistoryLast(ctx, in.Name, limit) })
	return entries, false, err
}

// newest reads the last events: as many as there are bytes for, by the size of the very last ones.
func newest(limit int, last func(limit int) ([]journal.Entry, error)) ([]journal.Entry, error) {
	entries, err := last(min(historyPage, limit))
	if size := bytesOf(entries); err == nil && limit > historyPage && len(entries) == historyPage && size < maxHistoryBytes {
		entries, err = last(min(limit, historyPage*maxHistoryBytes/size))
	}
	for size := bytesOf(entries); size > maxHistoryBytes && len(entries) > historyPage; entries = entries[1:] {
		size -= len(entries[0].Data)
	}
	return entries, err
}

func bytesOf(entries []journal.Entry) (n int) {
	for _, e := range entries {
		n += len(e.Data)
	}
	return n
}
