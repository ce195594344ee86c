package ws

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
)

// receive runs the commands of one message.
func (c *client) receive(data []byte) {
	if c.refused || c.out.closedBy() != 0 {
		return
	}
	err := c.wire.each(data, func(cmd *protocol.Command) bool {
		c.run(cmd)
		return !c.refused && c.out.closedBy() == 0
	})
	if err != nil {
		c.log.Debug().Err(err).Msg("websocket client sent something that is no command")
		c.server.metrics.command("undecodable", uint32(CloseBadRequest))
		c.out.close(CloseBadRequest)
	}
}

// kindOf names the command; only the first of several requests in one is looked at, as Centrifuge does.
func kindOf(cmd *protocol.Command) string {
	switch {
	case cmd.Connect != nil:
		return "connect"
	case cmd.Subscribe != nil:
		return "subscribe"
	case cmd.Unsubscribe != nil:
		return "unsubscribe"
	case cmd.Publish != nil:
		return "publish"
	case cmd.History != nil:
		return "history"
	case cmd.Refresh != nil:
		return "refresh"
	case cmd.Send != nil:
		return "send"
	case cmd.Rpc != nil:
		return "rpc"
	case cmd.Presence != nil:
		return "presence"
	case cmd.PresenceStats != nil:
		return "presence_stats"
	case cmd.SubRefresh != nil:
		return "sub_refresh"
	case cmd.Ping != nil:
		return "ping"
	case cmd.Id == 0:
		return "pong"
	default:
		return "unknown"
	}
}

// run answers one command, or closes the connection where the protocol has no answer to it.
func (c *client) run(cmd *protocol.Command) {
	kind := kindOf(cmd)
	if code := c.misplaced(kind, cmd.Id); code != 0 {
		c.server.metrics.command(kind, uint32(code))
		c.out.close(code)
		return
	}
	if kind == "pong" {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.server.cfg.CommandTimeout)
	defer cancel()
	c.heart.command(true)
	defer c.heart.command(false)
	reply := &protocol.Reply{Id: cmd.Id}
	switch kind {
	case "connect":
		reply.Connect, reply.Error = c.connect(cmd.Connect)
	case "refresh":
		reply.Refresh, reply.Error = c.refresh(cmd.Refresh)
	case "subscribe":
		if reply.Error = c.subscribe(ctx, cmd.Id, cmd.Subscribe); reply.Error == nil {
			reply = nil // it is sent already
		}
	case "unsubscribe":
		reply.Unsubscribe = c.unsubscribe(cmd.Unsubscribe)
	case "publish":
		reply.Publish, reply.Error = c.publish(ctx, cmd.Publish)
	case "history":
		reply.History, reply.Error = c.history(ctx, cmd.History)
	case "presence":
		reply.Presence, reply.Error = c.presence(ctx, cmd.Presence)
	case "presence_stats":
		reply.PresenceStats, reply.Error = c.presenceStats(ctx, cmd.PresenceStats)
	default:
		reply.Error = replyError(ErrNotAvailable, kind+" is not available here")
	}
	c.answer(kind, reply)
}

// misplaced returns the code to close with where the command cannot come at this point, or 0.
func (c *client) misplaced(kind string, id uint32) CloseCode {
	switch {
	case kind == "pong" && c.who != nil:
		if !c.heart.pong() {
			return CloseBadRequest
		}
		return 0
	case (kind == "connect") != (c.who == nil):
		return CloseBadRequest
	case kind == "send" && id == 0:
		return CloseNotAvailable // it has no reply
	case id == 0, kind == "unknown":
		return CloseBadRequest
	}
	return 0
}

func (c *client) answer(kind string, reply *protocol.Reply) {
	var code uint32
	if reply != nil && reply.Error != nil {
		code = reply.Error.Code
		c.log.Debug().Str("command", kind).Uint32("code", code).Str("reason", reply.Error.Message).Msg("websocket command refused")
	}
	c.server.metrics.command(kind, code)
	if reply != nil && c.out.closedBy() == 0 {
		c.reply(reply)
	}
}

// connect lets the client in. After a token that has expired nothing more is listened to: the SDK
// closes the connection, gets another token and returns.
func (c *client) connect(req *protocol.ConnectRequest) (*protocol.ConnectResult, *protocol.Error) {
	who, err := c.server.authority.identify(req.Token)
	switch {
	case errors.Is(err, errTokenExpired):
		c.refused = true
		return nil, replyError(ErrTokenExpired, "token expired")
	case err != nil:
		return nil, c.invalidToken(err)
	}
	c.who = who
	c.info = &protocol.ClientInfo{User: who.user, Client: c.id, ConnInfo: who.info}
	c.log = c.log.With().Str("user", who.user).Logger()
	c.heart.connected()
	c.schedule(who.expires)
	res := &protocol.ConnectResult{
		Client:  c.id,
		Version: c.server.cfg.Version,
		Ping:    uint32(c.server.cfg.PingInterval / time.Second),
		Pong:    true,
	}
	res.Expires, res.Ttl = c.ttl(who)
	return res, nil
}

// invalidToken closes the connection. What it returns is counted, and not sent.
func (c *client) invalidToken(err error) *protocol.Error {
	c.log.Debug().Err(err).Msg("websocket client refused: invalid token")
	c.out.close(CloseInvalidToken)
	return &protocol.Error{Code: uint32(CloseInvalidToken)}
}

// ttl returns whether and in how many seconds the client has to refresh its token: at least one, as
// SDKs take zero for an error.
func (c *client) ttl(who *identity) (expires bool, seconds uint32) {
	if who.expires.IsZero() {
		return false, 0
	}
	left := who.expires.Sub(c.server.cfg.Now()) / time.Second
	return true, uint32(min(max(left, 1), 1<<31))
}

// refresh takes a new token of the same user. Subscriptions that it does not allow end.
func (c *client) refresh(req *protocol.RefreshRequest) (*protocol.RefreshResult, *protocol.Error) {
	who, err := c.server.authority.identify(req.Token)
	switch {
	case errors.Is(err, errTokenExpired):
		return nil, replyError(ErrExpired, "the new token has expired, too")
	case err == nil && who.user != c.who.user:
		err = errors.New("it is another user's")
		fallthrough
	case err != nil:
		return nil, c.invalidToken(err)
	}
	c.who = who
	c.schedule(who.expires)
	for _, s := range c.subscriptions() {
		if p, err := event.ParsePattern(s.name); err != nil || !who.maySubscribe(p) {
			c.lose(s, UnsubscribeRevoked, "the token no longer allows it")
		}
	}
	res := &protocol.RefreshResult{Client: c.id, Version: c.server.cfg.Version}
	res.Expires, res.Ttl = c.ttl(who)
	return res, nil
}

func (c *client) subscriptions() []*subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*subscription, 0, len(c.subs))
	for _, s := range c.subs {
		all = append(all, s)
	}
	return all
}

// subscribe answers a success itself, see hub.join.
func (c *client) subscribe(ctx context.Context, id uint32, req *protocol.SubscribeRequest) *protocol.Error {
	pattern, refusal := c.readable(req.Channel)
	switch {
	case refusal != nil:
		return refusal
	case req.Type != 0:
		return replyError(ErrNotAvailable, "only stream subscriptions are available here")
	case req.Tf != nil:
		return replyError(ErrNotAvailable, "filters by tags are not available here: events have no tags")
	}
	s := &subscription{client: c, name: strings.Clone(req.Channel), info: c.info}
	s.watches = req.JoinLeave && pattern.IsChannel() && c.who.mayWatch(pattern)
	if refusal := c.enlist(s); refusal != nil {
		return refusal
	}
	if refusal := c.server.hub.join(ctx, s, !pattern.IsChannel(), id, req); refusal != nil {
		c.mu.Lock()
		if c.subs[s.name] == s {
			delete(c.subs, s.name)
		}
		c.mu.Unlock()
		return refusal
	}
	return nil
}

func parseName(name string) (event.Pattern, *protocol.Error) {
	p, err := event.ParsePattern(name)
	if err != nil {
		return p, replyError(ErrUnknownChannel, err.Error())
	}
	return p, nil
}

// readable parses a channel or pattern that the client may read.
func (c *client) readable(name string) (event.Pattern, *protocol.Error) {
	p, err := parseName(name)
	if err != nil {
		return p, err
	}
	if !c.who.maySubscribe(p) {
		return p, replyError(ErrPermissionDenied, "the token's channels claim does not cover "+name)
	}
	return p, nil
}

func (c *client) enlist(s *subscription) *protocol.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[s.name] != nil {
		return replyError(ErrAlreadySubscribed, "already subscribed")
	}
	if len(c.subs) >= c.server.cfg.MaxSubscriptions {
		return replyError(ErrLimitExceeded, "one connection may have no more subscriptions")
	}
	c.subs[s.name] = s
	return nil
}

// unsubscribe succeeds whether or not there is such a subscription.
func (c *client) unsubscribe(req *protocol.UnsubscribeRequest) *protocol.UnsubscribeResult {
	c.mu.Lock()
	s := c.subs[req.Channel]
	delete(c.subs, req.Channel)
	c.mu.Unlock()
	if s != nil {
		c.server.hub.leave(s)
	}
	return &protocol.UnsubscribeResult{}
}
