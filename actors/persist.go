package actors

import (
	"context"
	"errors"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// The pauses between tries to write into the log, which double.
const (
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second // after an election the work goes on within it
)

// persist writes into the log until it succeeds, with growing pauses, and gives up only with ctx, or a
// lease that is lost: what is being written must not be lost, and may be written twice.
func (s *System) persist(ctx context.Context, what string, write func(context.Context) error) error {
	for wait := minPause; ; wait = min(2*wait, maxPause) {
		err := write(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, journal.ErrLost) {
			return err
		}
		s.metrics.retries.Inc()
		s.log.Warn().Err(err).Dur("again_in", wait).Msgf("%s: the log refused it; trying again", what)
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// record appends a delivery's record. A result has a message id, so that a delivery made once more
// after a crash is recorded once.
func (s *System) record(ctx context.Context, r *event.DeliveryRecord) error {
	s.anonymous(r)
	var id string
	if r.Result != nil {
		id = event.ResultID(r.ID, r.Replay)
	}
	return s.cfg.Journal.Record(ctx, id, &event.Record{V: event.Version, Node: s.cfg.Node, Delivery: r})
}

// ended counts a delivery whose result is in the log, as analytics will.
func (s *System) ended(r *event.DeliveryRecord) {
	s.metrics.ended(r)
	s.live.Ended(r)
}
