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
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most so many."`
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
	var entries []journal.Entry
	var err error
	if in.After > 0 {
		entries, err = a.cfg.History.History(ctx, in.Name, in.After, in.Limit)
	} else {
		entries, err = a.cfg.History.HistoryLast(ctx, in.Name, in.Limit)
	}
	if err != nil {
		return nil, err
	}
	out := history{Epoch: a.cfg.History.Epoch(), Events: make([]logged, len(entries))}
	for i, e := range entries {
		out.Events[i] = logged{e.Seq, e.Data}
	}
	if in.After > 0 && len(entries) == in.Limit {
		out.Next = entries[len(entries)-1].Seq
	}
	return &body[history]{out}, nil
}
