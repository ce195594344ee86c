package ws

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
)

// opening is a subscription that was opened and has yet to begin.
type opening struct {
	sub    *subscription
	at     uint64 // where it begins
	result *protocol.SubscribeResult
}

// subscribe begins a subscription and answers command id.
func (c *client) subscribe(ctx context.Context, id uint32, req *protocol.SubscribeRequest) *protocol.Error {
	pattern, refused := parseName(req.Channel)
	if refused != nil {
		return refused
	}
	s := &subscription{client: c, name: strings.Clone(req.Channel), info: c.info}
	if req.Token != "" {
		refused = c.lease(ctx, s, req.Token)
	} else {
		_, refused = c.readable(req.Channel)
	}
	switch {
	case refused != nil:
		return refused
	case req.Type != 0:
		return replyError(ErrNotAvailable, "only stream subscriptions are available here")
	case req.Tf != nil:
		return replyError(ErrNotAvailable, "filters by tags are not available here: events have no tags")
	}
	s.watches = req.JoinLeave && pattern.IsChannel() && c.who.mayWatch(pattern)
	o, refused := c.admit(ctx, s, req)
	if refused != nil {
		return refused
	}
	if s.lease != nil {
		o.result.Expires, o.result.Ttl = c.ttl(s.lease.expires)
	}
	if !c.server.hub.begin(o, c.wire.encode(&protocol.Reply{Id: id, Subscribe: o.result})) {
		c.delist(s)
		return replyError(ErrInternal, "too much came while the history was read; subscribe again")
	}
	c.extend(s)
	return nil
}

// admit opens a subscription that the client may have.
func (c *client) admit(ctx context.Context, s *subscription, req *protocol.SubscribeRequest) (opening, *protocol.Error) {
	if refused := c.enlist(s); refused != nil {
		return opening{}, refused
	}
	o, refused := c.server.hub.open(ctx, s, req)
	if refused != nil {
		c.delist(s)
	}
	return o, refused
}

// lease gives the subscription what its own token allows.
func (c *client) lease(ctx context.Context, s *subscription, token string) *protocol.Error {
	p, err := c.server.authority.admit(ctx, token, c.who.user, s.name)
	switch {
	case errors.Is(err, errTokenExpired):
		return replyError(ErrTokenExpired, "token expired")
	case errors.Is(err, errKeysAway):
		return c.keysAway(err)
	case err != nil:
		return replyError(ErrPermissionDenied, "the subscription token is not good: "+err.Error())
	}
	s.lease = &lease{expires: p.expires}
	s.info = c.infoWith(p.info)
	return nil
}

// lease is how long a subscription with a token of its own goes on.
type lease struct {
	expires time.Time   // zero: as long as the connection
	timer   *time.Timer // guarded by client.mu; nil: none
}

// extend ends the subscription once its token has been expired for the grace period.
func (c *client) extend(s *subscription) {
	if s.lease == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.lease.stop()
	if s.lease.expires.IsZero() || c.subs[s.name] != s {
		return
	}
	wait := s.lease.expires.Sub(c.server.cfg.Now()) + c.server.cfg.ExpiryGrace
	s.lease.timer = time.AfterFunc(wait, func() { c.lose(s, UnsubscribeExpired, "subscription expired") })
}

// stop is called with client.mu held.
func (l *lease) stop() {
	if l != nil && l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// subRefresh takes a new token for a subscription.
func (c *client) subRefresh(ctx context.Context, req *protocol.SubRefreshRequest) (*protocol.SubRefreshResult, *protocol.Error) {
	c.mu.Lock()
	s := c.subs[req.Channel]
	c.mu.Unlock()
	if s == nil || s.lease == nil || req.Type != 0 {
		return nil, replyError(ErrBadRequest, "there is no subscription with a token to refresh")
	}
	p, err := c.server.authority.admit(ctx, req.Token, c.who.user, s.name)
	switch {
	case errors.Is(err, errTokenExpired):
		return nil, replyError(ErrExpired, "the new token has expired, too")
	case errors.Is(err, errKeysAway):
		return nil, c.keysAway(err)
	case err != nil:
		return nil, replyError(ErrPermissionDenied, "the subscription token is not good: "+err.Error())
	}
	s.lease.expires = p.expires
	c.extend(s)
	res := &protocol.SubRefreshResult{}
	res.Expires, res.Ttl = c.ttl(p.expires)
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

// delist takes a subscription off the client, and reports whether it was there.
func (c *client) delist(s *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.subs[s.name] == s
	if mine {
		delete(c.subs, s.name)
		s.lease.stop()
	}
	return mine
}

// unsubscribe succeeds whether or not there is such a subscription.
func (c *client) unsubscribe(req *protocol.UnsubscribeRequest) *protocol.UnsubscribeResult {
	c.mu.Lock()
	s := c.subs[req.Channel]
	c.mu.Unlock()
	if s != nil && c.delist(s) {
		c.server.hub.leave(s)
	}
	return &protocol.UnsubscribeResult{}
}
