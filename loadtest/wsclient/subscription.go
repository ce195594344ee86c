package wsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
)

// Position is a place in a log: an offset means something only within its epoch.
type Position struct {
	Offset uint64 `json:"offset"`
	Epoch  string `json:"epoch"` // "": whichever log is there
}

// Publication is one event of a channel.
type Publication struct {
	Channel   string // the event's, also where a pattern was subscribed to
	Offset    uint64
	Data      json.RawMessage // the event's JSON; the receiver may keep it
	Recovered bool            // it was missed, and came with the answer to a subscribe command
}

// Event decodes the publication.
func (p Publication) Event() (*event.Event, error) {
	e := new(event.Event)
	if err := json.Unmarshal(p.Data, e); err != nil {
		return nil, fmt.Errorf("publication %d of %s is no event: %w", p.Offset, p.Channel, err)
	}
	e.Seq = p.Offset
	return e, nil
}

// Subscribed tells how subscribing went: at first, and after each reconnection.
type Subscribed struct {
	Position      Position // where it stands; after a recovery, before what is recovered
	Recoverable   bool     // false for patterns
	WasRecovering bool     // it asked for what it missed
	Recovered     bool     // and all of it follows; if not, reload what the channel is about
}

// Subscribe says what to subscribe to and whom to tell. The functions are called in order from the
// client's reading goroutine; all but Publication may be nil.
type Subscribe struct {
	Channel string    // a channel, or a pattern where the token allows it
	Since   *Position // recover what came after; nil: begin now

	Publication func(Publication)
	Subscribed  func(Subscribed)
	Lost        func(error) // it ended without Unsubscribe, once: *Error, *CloseError or ErrClosed
}

// Subscription is a channel or pattern that the client is subscribed to, now or after its next
// reconnection.
type Subscription struct {
	client *Client
	req    Subscribe

	first chan error // how the first try to subscribe went

	mu      sync.Mutex
	since   *Position // what to recover from; nil: nothing to recover
	settled bool      // first has been told
	over    bool
}

// Subscribe subscribes and returns when the server has answered. A refusal is an *Error.
func (c *Client) Subscribe(ctx context.Context, req Subscribe) (*Subscription, error) {
	if req.Publication == nil {
		return nil, errors.New("wsclient: Subscribe.Publication is missing")
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	s := &Subscription{client: c, req: req, since: req.Since, first: make(chan error, 1)}
	if err := c.add(s); err != nil {
		return nil, err
	}
	select {
	case err := <-s.first:
		if err != nil {
			return nil, fmt.Errorf("subscribing to %s: %w", req.Channel, err)
		}
		return s, nil
	case <-ctx.Done():
		if l := s.leave(); l != nil {
			l.send(s.unsubscribe(), func(*protocol.Reply, error) {})
		}
		return nil, fmt.Errorf("subscribing to %s: %w", req.Channel, ctx.Err())
	}
}

func (c *Client) add(s *Subscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case c.subs[s.req.Channel] != nil:
		return fmt.Errorf("wsclient: already subscribed to %s", s.req.Channel)
	}
	c.subs[s.req.Channel] = s
	if c.link != nil {
		s.send(c.link)
	}
	return nil
}

// Position returns where the subscription stands: after the last publication that was handled. Its
// offset is 0 for a pattern.
func (s *Subscription) Position() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		return Position{}
	}
	return *s.since
}

// Unsubscribe ends the subscription and returns when the server has answered: no publication is
// handled afterwards.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	l := s.leave()
	if l == nil {
		return nil
	}
	ctx, cancel := s.client.bounded(ctx)
	defer cancel()
	_, err := l.do(ctx, s.unsubscribe())
	var closed *CloseError
	if errors.Is(err, ErrDisconnected) || errors.As(err, &closed) {
		return nil // it will not be subscribed to again
	}
	return err
}

func (s *Subscription) unsubscribe() *protocol.Command {
	return &protocol.Command{Unsubscribe: &protocol.UnsubscribeRequest{Channel: s.req.Channel}}
}

// leave takes the subscription off the client and returns the link that still has it.
func (s *Subscription) leave() *link {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[s.req.Channel] != s {
		return nil
	}
	delete(c.subs, s.req.Channel)
	return c.link
}

// send subscribes on a link. The caller holds client.mu; the answer comes from another goroutine, or
// at once when the link is gone.
func (s *Subscription) send(l *link) {
	s.mu.Lock()
	req := &protocol.SubscribeRequest{Channel: s.req.Channel}
	if s.since != nil {
		req.Recover, req.Offset, req.Epoch = true, s.since.Offset, s.since.Epoch
	}
	s.mu.Unlock()
	l.send(&protocol.Command{Subscribe: req}, func(r *protocol.Reply, err error) { s.answered(l, r, err) })
}

func (s *Subscription) answered(l *link, r *protocol.Reply, err error) {
	var refused *Error
	switch {
	case err == nil:
		s.joined(r.Subscribe)
	case !errors.As(err, &refused):
		// The link is gone; the next one subscribes again.
	case refused.Temporary:
		s.again(l)
	default:
		s.leave()
		s.end(err)
	}
}

// again subscribes once more after a pause, if the link is still there by then.
func (s *Subscription) again(l *link) {
	time.AfterFunc(s.client.cfg.MinDelay, func() {
		c := s.client
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.link == l && c.subs[s.req.Channel] == s {
			s.send(l)
		}
	})
}

func (s *Subscription) joined(res *protocol.SubscribeResult) {
	now := Subscribed{
		Position:      Position{Offset: res.GetOffset(), Epoch: res.GetEpoch()},
		Recoverable:   res.GetRecoverable(),
		WasRecovering: res.GetWasRecovering(),
		Recovered:     res.GetRecovered(),
	}
	s.mu.Lock()
	s.since = nil
	if now.Recoverable {
		s.since = &now.Position
	}
	s.mu.Unlock()
	if s.req.Subscribed != nil {
		s.req.Subscribed(now)
	}
	for _, p := range res.GetPublications() {
		s.published(p, true)
	}
	s.settle(nil)
}

func (s *Subscription) published(p *protocol.Publication, recovered bool) {
	channel := s.req.Channel
	if p.Channel != "" {
		channel = p.Channel
	}
	s.req.Publication(Publication{Channel: channel, Offset: p.Offset, Data: json.RawMessage(p.Data), Recovered: recovered})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since != nil {
		s.since = &Position{Offset: p.Offset, Epoch: s.since.Epoch}
	}
}

// settle tells Subscribe how it went, and reports whether it was the first to tell.
func (s *Subscription) settle(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return false
	}
	s.settled = true
	s.first <- err
	return true
}

// end tells that the subscription is over: Subscribe where it still waits, else Lost.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	was := s.over
	s.over = true
	s.mu.Unlock()
	if !was && !s.settle(err) && s.req.Lost != nil {
		s.req.Lost(err)
	}
}

// pushed handles what the server sends by itself.
func (c *Client) pushed(p *protocol.Push) {
	c.mu.Lock()
	s := c.subs[p.Channel]
	c.mu.Unlock()
	switch {
	case s == nil:
	case p.Pub != nil:
		s.published(p.Pub, false)
	case p.Unsubscribe != nil && p.Unsubscribe.Code >= unsubscribeAgain:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.link != nil {
			s.send(c.link)
		}
	case p.Unsubscribe != nil:
		s.leave()
		s.end(&Error{Code: p.Unsubscribe.Code, Message: p.Unsubscribe.Reason})
	}
}
