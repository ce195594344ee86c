package journal

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// Bounds returns the sequences of the oldest event that the log still holds and of its newest one,
// over all channels. An empty log has first = last+1.
func (j *Journal) Bounds(ctx context.Context) (first, last uint64, err error) {
	return j.bounds(ctx, streamEvents)
}

// SettleRecords returns when the leader of the record log knows of all that was recorded before: one that was just
// elected may tell less at first. A purge of nothing goes the way of all that is written.
func (j *Journal) SettleRecords(ctx context.Context) error {
	if !j.replicated() {
		return nil
	}
	return j.fail("waiting for the leader of the record log", j.line.ask(ctx, tryTimeout, func(ctx context.Context) error {
		return j.streams[streamRecords].Purge(ctx, jetstream.WithPurgeSequence(1))
	}))
}

// RecordBounds is Bounds of the record log.
func (j *Journal) RecordBounds(ctx context.Context) (first, last uint64, err error) {
	return j.bounds(ctx, streamRecords)
}

func (j *Journal) bounds(ctx context.Context, stream string) (first, last uint64, err error) {
	var info *jetstream.StreamInfo
	err = j.line.ask(ctx, tryTimeout, func(ctx context.Context) (err error) {
		info, err = j.streams[stream].Info(ctx)
		return err
	})
	if err != nil {
		return 0, 0, j.fail("reading the bounds of "+stream, err)
	}
	if info.State.Msgs == 0 { // one that was never written to says 0 and 0
		return info.State.LastSeq + 1, info.State.LastSeq, nil
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}
