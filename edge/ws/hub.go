package ws

import (
	"context"
	"errors"
	"sync"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
)

// hub keeps one feed for each channel or pattern that somebody is subscribed to. It is safe for
// concurrent use.
//
// Locks are taken in this order, and the log is never called under one: hub, feed, client, outbox.
type hub struct {
	journal  Log
	cfg      Config
	log      zerolog.Logger
	metrics  *metrics
	ctx      context.Context // of tasks and commands
	cancel   context.CancelFunc
	arrivals *arrivals
	tasks    sync.WaitGroup // the sweep, and repairs

	mu    sync.Mutex
	feeds map[string]*feed
}

func newHub(cfg Config, m *metrics) (*hub, error) {
	h := &hub{journal: cfg.Log, cfg: cfg, log: cfg.Logger, metrics: m, feeds: make(map[string]*feed)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	var err error
	if h.arrivals, err = newArrivals(h); err != nil {
		h.cancel()
		return nil, err
	}
	if cfg.Nodes != nil {
		cfg.Nodes.Handle(kindPresence, h.serve)
	}
	h.tasks.Go(h.sweep)
	return h, nil
}

// stop ends the hub's goroutines and waits for them. Every subscriber has left before.
func (h *hub) stop() {
	h.cancel()
	h.tasks.Wait()
	h.arrivals.close()
}

// enter returns the open feed of a channel or pattern, and opens it for the first. Who got a feed
// calls exit once.
func (h *hub) enter(ctx context.Context, name string, pattern bool) (*feed, error) {
	h.mu.Lock()
	f, known := h.feeds[name]
	if !known {
		f = newFeed(h, name, pattern)
		h.feeds[name] = f
		h.metrics.feeds.Set(float64(len(h.feeds)))
	}
	f.holders++
	h.mu.Unlock()

	if !known {
		f.err = h.start(f)
		close(f.opened)
	}
	select {
	case <-f.opened:
	case <-ctx.Done():
		h.exit(f)
		return nil, ctx.Err()
	}
	if f.err != nil {
		h.exit(f)
		return nil, f.err
	}
	return f, nil
}

// start does not end with the client that was first: others may be waiting.
func (h *hub) start(f *feed) error {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.CommandTimeout)
	defer cancel()
	return f.open(ctx)
}

// exit gives a feed back; the last one closes it.
func (h *hub) exit(f *feed) {
	h.mu.Lock()
	f.holders--
	last := f.holders == 0
	if last {
		h.remove(f)
	}
	h.mu.Unlock()
	if last {
		f.close()
	}
}

// remove lets the next subscriber of the name open another feed.
func (h *hub) remove(f *feed) {
	if h.feeds[f.name] == f {
		delete(h.feeds, f.name)
		h.metrics.feeds.Set(float64(len(h.feeds)))
	}
}

// leave ends a subscription that was added to its feed. Only the first call counts.
func (h *hub) leave(s *subscription) {
	if s.left.Swap(true) {
		return
	}
	if s.feed.drop(s) {
		h.arrivals.note(s, true)
	}
	h.exit(s.feed)
	h.metrics.subscriptions.Dec()
}

// giveUp ends a feed whose gap could not be mended: its subscribers are told to subscribe again, and
// recover what they can.
func (h *hub) giveUp(f *feed, why error) {
	h.mu.Lock()
	h.remove(f)
	h.mu.Unlock()
	lost := f.close()
	h.metrics.gaps.WithLabelValues("lost").Inc()
	h.log.Error().Err(why).Str("channel", f.name).Int("subscribers", len(lost)).
		Msg("a gap in the live feed could not be mended; subscribers are told to subscribe again")
	for _, s := range lost {
		s.client.lose(s, UnsubscribeInsufficient, "insufficient state")
	}
}

// errTooMuch means that more lies after a position than may be recovered.
var errTooMuch = errors.New("more was missed than is recovered")

// after returns all entries of a channel above a sequence, or errTooMuch as soon as it has read too much.
func (h *hub) after(ctx context.Context, channel string, seq uint64) ([]journal.Entry, error) {
	all, err := h.first(ctx, channel, seq, h.cfg.MaxRecover+1)
	if err == nil && (len(all) > h.cfg.MaxRecover || bytesOf(all) > h.cfg.MaxRecoverBytes) {
		return nil, errTooMuch
	}
	return all, err
}
