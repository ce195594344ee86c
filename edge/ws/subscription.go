package ws

import (
	"context"
	"sync/atomic"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
)

// flagRejectUnrecovered asks that a subscription fail where it cannot recover (client.proto,
// SubscribeRequest.flag).
const flagRejectUnrecovered = 1 << 1

// subscription is one client's part in a feed. Its fields below left are guarded by feed.mu.
type subscription struct {
	client *client
	name   string
	feed   *feed
	left   atomic.Bool

	info       *protocol.ClientInfo // as others see it
	watches    bool                 // is told who comes and goes
	lease      *lease               // of one with a token of its own
	serverSide bool                 // the client did not ask for it by a command

	present bool   // has gone live on a channel: others see it
	index   int    // in feed.subs
	at      uint64 // the subscriber has everything up to here; not kept for a pattern
	// While joining, publications are kept until the history before them is sent.
	joining bool
	kept    []publication
	size    int // bytes kept
	broken  bool
}

// deliver sends the publications that the subscriber does not have yet. The caller holds feed.mu.
func (s *subscription) deliver(all []publication) {
	frames := s.feed.frames[:0]
	for _, p := range all {
		if frame := s.due(p); frame != nil {
			frames = append(frames, frame)
		}
	}
	if len(frames) > 0 {
		s.client.out.push(frames...)
	}
	s.feed.frames = frames
}

// due returns what is to be sent of a publication now; nil: nothing.
func (s *subscription) due(p publication) []byte {
	frame := p.frames.on(s.client.wire)
	switch {
	case s.broken:
	case s.joining:
		if s.size += len(frame); s.size > s.client.server.cfg.QueueBytes {
			s.broken = true
			s.kept = nil
			return nil
		}
		s.kept = append(s.kept, p)
	case s.feed.pattern:
		return frame
	case p.seq <= s.at:
	case p.prev > s.at:
		// The history that this one joined with was behind the feed.
		s.broken = true
		s.feed.hub.tasks.Go(func() { s.client.lose(s, UnsubscribeInsufficient, "insufficient state") })
	default:
		s.at = p.seq
		return frame
	}
	return nil
}

// open puts the subscription into its feed, where publications are kept for it until it begins, and reads what it
// missed: so that none is lost between what is recovered and what comes live.
func (h *hub) open(ctx context.Context, s *subscription, req *protocol.SubscribeRequest) (opening, *protocol.Error) {
	pattern := event.CheckChannel(s.name) != nil
	f, err := h.enter(ctx, s.name, pattern)
	if err != nil {
		return opening{}, h.failed(s, err)
	}
	s.feed = f
	at, newest, open := f.add(s)
	if !open {
		h.exit(f)
		return opening{}, replyError(ErrInternal, "the channel is being read again; subscribe again")
	}
	h.metrics.subscriptions.Inc()
	r := recovery{position: at}
	if req.Recover && !pattern {
		if r, err = h.recoverFrom(ctx, f, req, at, newest); err != nil {
			h.leave(s)
			return opening{}, h.failed(s, err)
		}
	}
	if req.Recover {
		h.metrics.recoveries.WithLabelValues(label(r.complete)).Inc()
		if !r.complete && req.Flag&flagRejectUnrecovered != 0 {
			h.leave(s)
			return opening{}, replyError(ErrUnrecoverable, "unrecoverable position")
		}
	}
	return opening{s, r.position, h.result(pattern, req, r)}, nil
}

// begin sends the answer, if there is one, and lets the subscription go live. It ends it instead where it cannot.
func (h *hub) begin(o opening, answer []byte) bool {
	if !o.sub.feed.begin(o.sub, o.at, answer) {
		h.leave(o.sub)
		return false
	}
	if !o.sub.feed.pattern {
		h.arrivals.note(o.sub, false)
	}
	return true
}

func label(complete bool) string {
	if complete {
		return "yes"
	}
	return "no"
}

func (h *hub) failed(s *subscription, err error) *protocol.Error {
	if h.ctx.Err() == nil { // else nobody waits for it
		h.log.Warn().Err(err).Str("channel", s.name).Msg("subscribing failed")
	}
	return replyError(ErrInternal, "the event log does not answer; subscribe again")
}

// result tells the client where it stands. After a recovery that brought publications, its position
// is the old one, and they move it; else it is where live publications go on.
func (h *hub) result(pattern bool, req *protocol.SubscribeRequest, r recovery) *protocol.SubscribeResult {
	res := &protocol.SubscribeResult{WasRecovering: req.Recover, Recovered: r.complete}
	if pattern {
		return res
	}
	res.Recoverable, res.Positioned = true, true
	res.Epoch, res.Offset = h.journal.Epoch(), r.position
	if len(r.missed) > 0 {
		res.Offset, res.Publications = req.Offset, r.missed
	}
	return res
}

// add puts a joining subscription among the others. Later publications are kept for it; position is
// where they begin, and newest the last one that others got.
func (f *feed) add(s *subscription) (position, newest uint64, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, 0, false
	}
	s.joining = true
	s.index = len(f.subs)
	f.subs = append(f.subs, s)
	return f.last, f.newest, true
}

// begin sends the reply, if there is one, and what was kept, and lets the subscription go live.
func (f *feed) begin(s *subscription, at uint64, reply []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || s.broken {
		return false
	}
	if reply != nil {
		s.client.out.push(reply)
	}
	s.at = at
	s.joining = false
	kept := s.kept
	s.kept = nil
	s.deliver(kept)
	f.frames = nil
	if !f.pattern {
		s.present = true
		if s.watches {
			f.watchers++
		}
		f.announce(s.info, false)
	}
	return true
}
