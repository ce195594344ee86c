package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// recordPoll is how often Records looks for records that another process may have put.
const recordPoll = 500 * time.Millisecond

// RecordEntry is a record in the log, nil where Data, its JSON, cannot be decoded.
type RecordEntry struct {
	Seq    uint64
	Record *event.Record
	Data   []byte
}

// Record stores a record and returns when it is durable. Where msgID is not "", records with the
// same one within ten minutes are stored once.
func (j *Journal) Record(ctx context.Context, msgID string, r *event.Record) error {
	if msgID != "" {
		if err := checkMessageID(msgID); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	data, err := encode(r)
	if err != nil {
		return err
	}
	if err := j.disk.check(finishWork); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	if _, err := j.writer.publish(ctx, recordSubject, msgID, data); err != nil {
		return j.fail("recording", err)
	}
	j.recorded.notify()
	return nil
}

// Records returns up to limit records with a sequence above after, ascending. Where there is none it
// waits for one, and returns none when wait is over: the log has none then, whatever copy of it is behind.
func (j *Journal) Records(ctx context.Context, after uint64, limit int, wait time.Duration) ([]RecordEntry, error) {
	begun := time.Now()
	over := time.NewTimer(wait)
	defer over.Stop()
	poll := time.NewTicker(recordPoll)
	defer poll.Stop()
	for {
		news := j.recorded.wait()
		entries, last, err := j.recordsNow(ctx, after, limit)
		if err != nil || len(entries) > 0 {
			return entries, j.fail("reading records", err)
		}
		if last > after { // none of these could be read
			after = last
			continue
		}
		select {
		case <-news:
		case <-poll.C:
		case <-over.C:
			newest, err := j.newest(ctx, streamRecords, recordSubject)
			if err != nil || newest <= after {
				return nil, j.fail("reading records", err)
			}
			if time.Since(begun) > wait+j.cfg.Patience {
				return nil, fmt.Errorf("reading records: %w: a copy of them has got to %d only, not to %d", ErrUnavailable, after, newest)
			}
			over.Reset(minLag)
		case <-ctx.Done():
			return nil, fmt.Errorf("reading records: %w", ctx.Err())
		case <-j.closed:
			return nil, fmt.Errorf("reading records: %w", ErrClosed)
		}
	}
}

func (j *Journal) recordsNow(ctx context.Context, after uint64, limit int) (entries []RecordEntry, last uint64, err error) {
	// One that is behind tells the rest the next time.
	_, _, err = j.scanHere(ctx, streamRecords, recordSubject, after, limit, func(m *jetstream.RawStreamMsg) {
		last = m.Sequence
		r, _ := event.DecodeRecord(m.Data) // the reader tells what is wrong with it
		entries = append(entries, RecordEntry{m.Sequence, r, m.Data})
	})
	return entries, last, err
}

// PurgeRecords deletes the records up to and including a sequence. Those of the last ten minutes
// are what tells duplicates after a restart, so leave them.
func (j *Journal) PurgeRecords(ctx context.Context, upTo uint64) error {
	err := j.streams[streamRecords].Purge(ctx, jetstream.WithPurgeSequence(upTo+1))
	return j.fail(fmt.Sprintf("purging records up to %d", upTo), err)
}
