package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Handler is given an event, and what the pattern captured of its channel (nil: nothing). ctx ends with
// the system or the subscription. The event is the handler's to keep.
type Handler func(ctx context.Context, ev *event.Event, vars map[string]string)

const (
	// subscribedPage is how many events are read at once.
	subscribedPage = 256
	// subscribedPoll is how often the log is looked into without a sign from it, since one can be lost
	// with the connection to the log.
	subscribedPoll = time.Second
)

// Subscribe calls handler with each event that is appended, from now on, to the channels that the pattern
// selects (as in event.ParsePattern), on whichever node: in the log's order, each once, one after the
// other. The events are read from the log, so none is missed however slow the handler is, as long as the
// log keeps them. It ends with the system, or when stop is called, which waits for a call under way; so
// the handler must not call it.
func (s *System) Subscribe(pattern string, handler Handler) (stop func(), err error) {
	p, err := event.ParsePattern(pattern)
	if err != nil {
		return nil, fmt.Errorf("actors: subscribe: %w", err)
	}
	sub := &subscription{sys: s, pattern: p, handler: handler, news: make(chan struct{}, 1)}
	deaf, err := s.cfg.Journal.Live(pattern, sub.notice)
	if err != nil {
		return nil, fmt.Errorf("actors: subscribe: %w", err)
	}
	opening, opened := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer opened()
	if _, sub.last, err = s.cfg.Journal.Bounds(opening); err != nil {
		deaf()
		return nil, fmt.Errorf("actors: subscribe to %s: %w", pattern, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	if !s.crew.Go(func(system context.Context) {
		defer close(ended)
		defer deaf()
		defer context.AfterFunc(system, cancel)()
		sub.run(ctx)
	}) {
		cancel()
		deaf()
		return nil, errors.New("actors: subscribe: the system is stopped")
	}
	return func() { cancel(); <-ended }, nil
}

// subscription follows the log for one handler.
type subscription struct {
	sys     *System
	pattern event.Pattern
	handler Handler
	last    uint64        // of the log; all up to here was handed on, or is from before
	news    chan struct{} // there may be more
}

// notice is what the log calls with each live entry. It tells when to read, not what: entries can be
// missed there.
func (s *subscription) notice(journal.Entry) {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *subscription) run(ctx context.Context) {
	poll := time.NewTicker(subscribedPoll)
	defer poll.Stop()
	failing := false
	for {
		select {
		case <-s.news:
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		err := s.catchUp(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.sys.log.Warn().Err(err).Stringer("pattern", s.pattern).Msg("a subscription cannot read the log and tries again")
		}
		failing = err != nil
	}
}

// catchUp hands on all that the log has.
func (s *subscription) catchUp(ctx context.Context) error {
	for {
		entries, err := s.sys.cfg.Journal.HistoryFrom(ctx, s.pattern.String(), s.last, subscribedPage)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.last = e.Seq
			s.handOn(ctx, e)
		}
		if len(entries) < subscribedPage {
			return nil
		}
	}
}

func (s *subscription) handOn(ctx context.Context, e journal.Entry) {
	ev := &event.Event{}
	if err := json.Unmarshal(e.Data, ev); err != nil {
		s.sys.log.Error().Err(err).Str("channel", e.Channel).Uint64("seq", e.Seq).Msg("an entry of the log is not an event and is passed over")
		return
	}
	ev.Seq = e.Seq
	vars, _ := s.pattern.Match(e.Channel)
	s.handler(ctx, ev, vars)
}
