package ws

import (
	"context"
	"errors"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
)

// connect lets the client in and answers command id. After a token that has expired nothing more is listened
// to: the SDK closes the connection, gets another token and returns.
func (c *client) connect(ctx context.Context, id uint32, req *protocol.ConnectRequest) *protocol.Error {
	who, err := c.server.authority.identify(ctx, req.Token)
	switch {
	case errors.Is(err, errTokenExpired):
		c.refused = true
		return replyError(ErrTokenExpired, "token expired")
	case errors.Is(err, errKeysAway):
		c.refused = true
		return c.keysAway(err)
	case err != nil:
		return c.invalidToken(err)
	}
	refused := c.letIn(ctx, who, id, req.Subs)
	switch {
	case refused.GetCode() == uint32(CloseUserLimit):
		c.out.close(CloseUserLimit)
	case refused != nil:
		c.refused = true
	}
	return refused
}

// letIn opens what the client is subscribed to from the beginning, and answers command id.
func (c *client) letIn(ctx context.Context, who *identity, id uint32, asked map[string]*protocol.SubscribeRequest) *protocol.Error {
	if c.seated = c.server.seat(who); !c.seated {
		return &protocol.Error{Code: uint32(CloseUserLimit)} // which is counted, and not sent
	}
	c.who = who
	c.info = &protocol.ClientInfo{User: who.user, Client: c.id, ConnInfo: who.info}
	opened, refused := c.serverSide(ctx, asked)
	if refused != nil {
		return refused
	}
	c.heart.connected()
	c.schedule(who.expires)
	res := &protocol.ConnectResult{
		Client:  c.id,
		Version: c.server.cfg.Version,
		Ping:    uint32(c.server.cfg.PingInterval / time.Second),
		Pong:    c.wire.twoWay(),
	}
	res.Expires, res.Ttl = c.ttl(who.expires)
	if len(opened) > 0 {
		res.Subs = make(map[string]*protocol.SubscribeResult, len(opened))
	}
	for _, o := range opened {
		res.Subs[o.sub.name] = o.result
	}
	c.reply(&protocol.Reply{Id: id, Connect: res})
	for _, o := range opened {
		if !c.server.hub.begin(o, nil) {
			c.out.close(CloseInsufficient)
			break
		}
	}
	return nil
}

// serverSide opens the subscriptions that the client does not ask for one by one: those that its token names, and
// those that it comes back with, or cannot ask for in another way, where its token allows them. They begin after
// the answer to the connect command.
func (c *client) serverSide(ctx context.Context, asked map[string]*protocol.SubscribeRequest) ([]opening, *protocol.Error) {
	var opened []opening
	open := func(name string, info []byte) *protocol.Error {
		req := asked[name]
		if req == nil {
			req = &protocol.SubscribeRequest{}
		}
		s := &subscription{client: c, name: name, info: c.infoWith(info), serverSide: true}
		o, refused := c.admit(ctx, s, req)
		if refused == nil {
			opened = append(opened, o)
		}
		return refused
	}
	for name, claim := range c.who.subs {
		if refused := open(name, claim.Info); refused != nil {
			return nil, refused
		}
	}
	for name := range asked {
		if _, named := c.who.subs[name]; named {
			continue
		}
		if !c.who.granted(name) {
			continue // the server decides; the client sees that it is not among the answers
		}
		if refused := open(name, nil); refused != nil {
			return nil, refused
		}
	}
	return opened, nil
}

// infoWith returns what others see of the client on a channel for which it has some info more.
func (c *client) infoWith(info []byte) *protocol.ClientInfo {
	if len(info) == 0 {
		return c.info
	}
	return &protocol.ClientInfo{User: c.info.User, Client: c.info.Client, ConnInfo: c.info.ConnInfo, ChanInfo: info}
}

// invalidToken closes the connection. What it returns is counted, and not sent.
func (c *client) invalidToken(err error) *protocol.Error {
	c.log().Debug().Err(err).Msg("websocket client refused: invalid token")
	c.out.close(CloseInvalidToken)
	return &protocol.Error{Code: uint32(CloseInvalidToken)}
}

// keysAway has the client come back with the same token.
func (c *client) keysAway(err error) *protocol.Error {
	c.log().Warn().Err(err).Msg("a client's token could not be verified")
	return replyError(ErrInternal, "the token cannot be verified now; try again")
}

// ttl returns whether and in how many seconds the client has to refresh a token: at least one, as
// SDKs take zero for an error.
func (c *client) ttl(expires time.Time) (does bool, seconds uint32) {
	if expires.IsZero() {
		return false, 0
	}
	left := expires.Sub(c.server.cfg.Now()) / time.Second
	return true, uint32(min(max(left, 1), 1<<31))
}

// refresh takes a new token of the same user. Subscriptions that it does not allow end, and those of which it does not
// allow to know who comes and goes are told no more of that.
func (c *client) refresh(ctx context.Context, req *protocol.RefreshRequest) (*protocol.RefreshResult, *protocol.Error) {
	who, err := c.server.authority.identify(ctx, req.Token)
	switch {
	case errors.Is(err, errTokenExpired):
		return nil, replyError(ErrExpired, "the new token has expired, too")
	case errors.Is(err, errKeysAway):
		return nil, c.keysAway(err)
	case err == nil && who.user != c.who.user:
		err = errors.New("it is another user's")
		fallthrough
	case err != nil:
		return nil, c.invalidToken(err)
	}
	c.who = who
	c.schedule(who.expires)
	for _, s := range c.subscriptions() {
		if !c.stillAllows(who, s) {
			c.lose(s, UnsubscribeRevoked, "the token no longer allows it")
		} else if p, err := event.ParsePattern(s.name); err == nil && !who.mayWatch(p) {
			s.feed.unwatch(s)
		}
	}
	res := &protocol.RefreshResult{Client: c.id, Version: c.server.cfg.Version}
	res.Expires, res.Ttl = c.ttl(who.expires)
	return res, nil
}

// stillAllows reports whether a subscription may go on under another token. One with a token of its own may.
func (c *client) stillAllows(who *identity, s *subscription) bool {
	return s.lease != nil || who.granted(s.name)
}
