package ws

import (
	"context"

	"github.com/centrifugal/protocol"
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
		c.log().Debug().Err(err).Msg("websocket client sent something that is no command")
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
	ctx, cancel := context.WithTimeout(c.server.hub.ctx, c.server.cfg.CommandTimeout)
	defer cancel()
	c.heart.command(true)
	defer c.heart.command(false)
	reply := &protocol.Reply{Id: cmd.Id}
	switch kind {
	case "connect", "subscribe":
		if reply.Error = c.open(ctx, cmd); reply.Error == nil {
			reply = nil // it is sent already
		}
	case "refresh":
		reply.Refresh, reply.Error = c.refresh(ctx, cmd.Refresh)
	case "sub_refresh":
		reply.SubRefresh, reply.Error = c.subRefresh(ctx, cmd.SubRefresh)
	case "unsubscribe":
		reply.Unsubscribe = c.unsubscribe(cmd.Unsubscribe)
	case "publish":
		reply.Publish, reply.Error = c.publish(ctx, cmd.Publish)
	case "history":
		reply.History, reply.Error = c.history(ctx, cmd.History)
	case "rpc":
		reply.Rpc, reply.Error = c.rpc(ctx, cmd.Rpc)
	case "presence":
		reply.Presence, reply.Error = c.presence(ctx, cmd.Presence)
	case "presence_stats":
		reply.PresenceStats, reply.Error = c.presenceStats(ctx, cmd.PresenceStats)
	default:
		reply.Error = replyError(ErrNotAvailable, kind+" is not available here")
	}
	c.answer(kind, reply)
}

// open runs a command after which publications come, which must not go before its answer: it sends that itself.
func (c *client) open(ctx context.Context, cmd *protocol.Command) *protocol.Error {
	if cmd.Connect != nil {
		return c.connect(ctx, cmd.Id, cmd.Connect)
	}
	return c.subscribe(ctx, cmd.Id, cmd.Subscribe)
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
		c.log().Debug().Str("command", kind).Uint32("code", code).Str("reason", reply.Error.Message).Msg("websocket command refused")
	}
	c.server.metrics.command(kind, code)
	if reply != nil && c.out.closedBy() == 0 {
		c.reply(reply)
	}
}
