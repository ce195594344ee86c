package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// foundAmong is among how many of the newest events channels are found.
const foundAmong = 500

// ListenFor is how long a token for listening is good.
const ListenFor = 2 * time.Minute

type channelsInput struct {
	Pattern string `query:"pattern" default:"**" doc:"A channel, or a pattern such as supplier:dashboard:*."`
}

type foundChannel struct {
	Name   string    `json:"name"`
	Events int       `json:"events" doc:"How many of the newest 500 are on it."`
	Seq    uint64    `json:"seq" doc:"Of its newest event."`
	Type   string    `json:"type" doc:"The newest event's."`
	At     time.Time `json:"at" doc:"When that was accepted."`
}

type presenceInput struct {
	Name string `path:"name" doc:"The channel."`
}

func (a *API) routeListeners(h huma.API) {
	tags := []string{"channels"}
	handle(h, huma.Operation{
		OperationID: "recent-channels", Method: http.MethodGet, Path: "/api/channels", Tags: tags, Security: needs(access.ChannelsRead),
		Summary: "Show the channels of the newest events", Description: "Those of the newest 500 events on channels that the pattern selects, or fewer where they have more than 4 MiB; the latest first.",
	}, a.findChannels)
	handle(h, huma.Operation{
		OperationID: "presence", Method: http.MethodGet, Path: "/api/channels/{name}/presence", Tags: tags, Security: needs(access.ChannelsRead),
		Summary: "Show who listens to a channel", Description: "On all nodes. Who listens to a pattern is present on no channel.",
	}, a.presence)
}

func (a *API) findChannels(ctx context.Context, in *channelsInput) (*body[page[foundChannel]], error) {
	if _, err := event.ParsePattern(in.Pattern); err != nil {
		return nil, problem.New(problem.FieldInvalid, "pattern: %v", err)
	}
	entries, err := newest(foundAmong, func(limit int) ([]journal.Entry, error) { return a.cfg.History.HistoryOf(ctx, in.Pattern, limit) })
	if err != nil {
		return nil, err
	}
	out := page[foundChannel]{Items: []foundChannel{}}
	at := map[string]int{}
	for _, e := range slices.Backward(entries) {
		i, known := at[e.Channel]
		if !known {
			var head struct {
				Type       string
				AcceptedAt time.Time
			}
			if !callerOf(ctx).Reaches(e.Channel) || json.Unmarshal(e.Data, &head) != nil {
				continue
			}
			i = len(out.Items)
			at[e.Channel] = i
			out.Items = append(out.Items, foundChannel{Name: e.Channel, Seq: e.Seq, Type: head.Type, At: head.AcceptedAt})
		}
		out.Items[i].Events++
	}
	return &body[page[foundChannel]]{out}, nil
}

func (a *API) presence(ctx context.Context, in *presenceInput) (*body[event.Presence], error) {
	clients, err := a.listenable(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	p, err := clients.Present(ctx, in.Name)
	if err != nil {
		return nil, problem.New(problem.EngineUnavailable, "a node does not answer who listens there; ask again").After(time.Second).Because(err)
	}
	return &body[event.Presence]{p}, nil
}

// listenable returns the clients, for a channel that the caller reaches.
func (a *API) listenable(ctx context.Context, channel string) (Clients, error) {
	if err := event.CheckChannel(channel); err != nil {
		return nil, err
	}
	if err := reachChannel(callerOf(ctx).Caller, channel); err != nil {
		return nil, err
	}
	if c := a.cfg.Clients(); c != nil {
		return c, nil
	}
	return nil, problem.New(problem.EngineUnavailable, "this node serves no clients")
}

// listen makes a token for who may read a channel, to hear it through the edge.
func (a *API) listen(ctx context.Context, in *presenceInput) (*event.Secret, error) {
	clients, err := a.listenable(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	token, err := clients.Token(callerOf(ctx).Actor(), in.Name, ListenFor)
	return &token, err
}
