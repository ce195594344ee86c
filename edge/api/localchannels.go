package api

import (
	"context"

	"github.com/wedsync/wedsync/actors/event"
)

// Channel is one that was found.
type Channel = foundChannel

// Channels is recent-channels.
func (l Local) Channels(ctx context.Context, pattern string) ([]Channel, error) {
	p, err := of(call(ctx, l, "recent-channels", l.api.findChannels, &channelsInput{pattern}))
	return p.Items, err
}

// Presence is presence.
func (l Local) Presence(ctx context.Context, channel string) (event.Presence, error) {
	return of(call(ctx, l, "presence", l.api.presence, &presenceInput{channel}))
}

// Listen makes a client's token that is good for ListenFor, to hear a channel through the WebSocket edge. It needs
// what history does. It is empty where the edge lets everybody in.
func (l Local) Listen(ctx context.Context, channel string) (event.Secret, error) {
	token, err := call(ctx, l, "history", l.api.listen, &presenceInput{channel})
	if err != nil {
		return event.Secret{}, err
	}
	return *token, nil
}
