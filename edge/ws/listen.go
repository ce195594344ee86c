package ws

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/peers"
)

// Present returns who is on a channel, on all nodes, ordered by user. It fails when a node does not answer.
func (s *Server) Present(ctx context.Context, channel string) (event.Presence, error) {
	p := event.Presence{Items: []event.Present{}}
	all, err := s.hub.list(ctx, channel)
	switch {
	case errors.Is(err, errTooManyPresent) || errors.Is(err, peers.ErrTooLarge):
		p.Clients, p.Users, err = s.hub.stats(ctx, channel)
		return p, err
	case err != nil:
		return p, err
	}
	users := map[string]struct{}{}
	for id, info := range all {
		users[info.User] = struct{}{}
		p.Items = append(p.Items, event.Present{Client: id, User: info.User, Info: infoOf(info)})
	}
	slices.SortFunc(p.Items, func(a, b event.Present) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.Client, b.Client))
	})
	p.Clients, p.Users = len(all), len(users)
	return p, nil
}

// infoOf is what a client tells others: for this channel, or else everywhere.
func infoOf(c *protocol.ClientInfo) []byte {
	if len(c.ChanInfo) > 0 {
		return c.ChanInfo
	}
	return c.ConnInfo
}

// Token makes a client's token with which a user may listen to one channel for a while. In the insecure mode it is
// empty, and none is needed. It fails where the server has no key to sign with.
func (s *Server) Token(user, channel string, lasts time.Duration) (event.Secret, error) {
	if s.cfg.Insecure {
		return event.Secret{}, nil
	}
	if len(s.cfg.TokenKeys) == 0 {
		return event.Secret{}, errors.New("ws: there is no TokenKeys to sign with")
	}
	now := s.cfg.Now()
	c := jwt.MapClaims{
		"sub": user[:min(len(user), maxUserBytes)], "iat": now.Unix(), "exp": now.Add(lasts).Unix(), "channels": []string{channel},
	}
	if s.cfg.Issuer != "" {
		c["iss"] = s.cfg.Issuer
	}
	if s.cfg.Audience != "" {
		c["aud"] = s.cfg.Audience
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(s.cfg.TokenKeys[0].Reveal()))
	return event.SecretOf(text), err
}
