package journal

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	scanPage  = 1000    // messages of one request at most
	scanBytes = 8 * mib // bytes of one answer, about
)

// scan calls fn for up to limit messages of a subject above a sequence, ascending.
func (j *Journal) scan(ctx context.Context, stream, subject string, after uint64, limit int, fn func(*jetstream.RawStreamMsg)) error {
	for limit > 0 {
		n, last, err := j.page(ctx, stream, subject, after, limit, fn)
		if err != nil || last.pending == 0 {
			return err
		}
		after = last.seq
		limit -= n
	}
	return nil
}

type position struct{ seq, pending uint64 }

// page is one request of scan. It tells where it ended and how many messages follow.
func (j *Journal) page(ctx context.Context, stream, subject string, after uint64, limit int, fn func(*jetstream.RawStreamMsg)) (n int, last position, err error) {
	msgs, err := jetstreamext.GetBatch(ctx, j.reader, stream, limit,
		jetstreamext.GetBatchSeq(after+1), jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchMaxBytes(scanBytes))
	if err != nil {
		return 0, last, err
	}
	for m, err := range msgs {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return n, position{}, nil
		}
		if err != nil {
			return n, last, err
		}
		n++
		last.seq = m.Sequence
		if last.pending, err = strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64); err != nil {
			return n, last, err
		}
		fn(m)
	}
	if n == 0 { // neither a message nor the word that there is none
		return 0, last, errors.Join(ErrUnavailable, ctx.Err())
	}
	return n, last, nil
}

// count returns how many messages a subject has, or those that it selects, and the sequences of the
// stream's first and last one.
func (j *Journal) count(ctx context.Context, stream, subject string) (n, first, last uint64, err error) {
	info, err := j.streams[stream].Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, 0, 0, err
	}
	for _, messages := range info.State.Subjects {
		n += messages
	}
	return n, info.State.FirstSeq, info.State.LastSeq, nil
}
