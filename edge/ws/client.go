package ws

import (
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/google/uuid"
	"github.com/lxzan/gws"
	"github.com/rs/zerolog"
)

// client is one connection. Its commands run in the goroutine that reads it, one after the other.
type client struct {
	server *Server
	id     string
	wire   wire
	from   netip.Addr
	out    *outbox
	heart  *heartbeat

	// Of the reading goroutine only.
	who     *identity            // nil until connected
	info    *protocol.ClientInfo // as others on a channel see it; nil until connected
	seated  bool                 // counts as one of its user's
	refused bool                 // connecting was refused: nothing more is listened to

	mu     sync.Mutex
	subs   map[string]*subscription
	expiry *time.Timer // nil: the token never expires
	gone   bool
}

func newClient(s *Server, to transport, w wire, from netip.Addr) *client {
	c := &client{
		server: s,
		id:     uuid.NewString(),
		wire:   w,
		from:   from,
		out:    newOutbox(to, s.cfg, s.metrics, s.writers),
		subs:   make(map[string]*subscription),
	}
	c.heart = newHeartbeat(s.cfg, w.twoWay(), func() { c.out.push(w.ping()) }, c.out.close)
	return c
}

// log returns a logger that names the client. It is made when it is needed: each has half a kilobyte.
func (c *client) log() *zerolog.Logger {
	with := c.server.log.With().Str("client", c.id)
	if c.info != nil {
		with = with.Str("user", c.info.User)
	}
	l := with.Logger()
	return &l
}

// reply queues a reply or push.
func (c *client) reply(r *protocol.Reply) { c.out.push(c.wire.encode(r)) }

// schedule ends the connection once its token has been expired for the grace period.
func (c *client) schedule(expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	if expires.IsZero() || c.gone {
		return
	}
	wait := expires.Sub(c.server.cfg.Now()) + c.server.cfg.ExpiryGrace
	c.expiry = time.AfterFunc(wait, func() { c.out.close(CloseExpired) })
}

// lose takes a subscription away from the client and tells it why. Any goroutine may call it.
func (c *client) lose(s *subscription, code uint32, reason string) {
	if !c.delist(s) {
		return
	}
	c.server.hub.leave(s)
	if s.serverSide && code >= UnsubscribeInsufficient { // the SDKs subscribe again only to what they asked for
		c.out.close(CloseInsufficient)
		return
	}
	c.reply(&protocol.Reply{Push: &protocol.Push{
		Channel: s.name, Unsubscribe: &protocol.Unsubscribe{Code: code, Reason: reason},
	}})
}

// closed gives back what the client held. It is called once, by the reading goroutine, at its end.
func (c *client) closed(err error) {
	c.heart.stop()
	code := c.out.closedBy()
	c.out.kill()
	c.mu.Lock()
	c.gone = true
	if c.expiry != nil {
		c.expiry.Stop()
	}
	subs := c.subs
	c.subs = nil
	for _, s := range subs {
		s.lease.stop()
	}
	c.mu.Unlock()
	for _, s := range subs {
		c.server.hub.leave(s)
	}
	label := closeLabel(code, err)
	c.server.metrics.closed.WithLabelValues(label).Inc()
	c.log().Debug().Str("code", label).AnErr("cause", err).Msg("websocket closed")
	c.server.forget(c)
}

// closeLabel tells our own close codes from those that gws sent, and both from the peer's doing.
func closeLabel(code CloseCode, err error) string {
	if code != 0 {
		return strconv.Itoa(int(code))
	}
	var peer *gws.CloseError
	if errors.As(err, &peer) {
		return "peer"
	}
	var sent interface{ Uint16() uint16 }
	if errors.As(err, &sent) && sent.Uint16() > 1001 {
		return strconv.Itoa(int(sent.Uint16()))
	}
	return "lost"
}
