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
	msgs, err := jetstreamext.GetBatch(ctx, j.js, stream, limit,
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

// count returns how many messages a subject has above a sequence, and the first one's sequence.
func (j *Journal) count(ctx context.Context, stream, subject string, after uint64) (n, first uint64, err error) {
	got, at, err := j.page(ctx, stream, subject, after, 1, func(*jetstream.RawStreamMsg) {})
	return uint64(got) + at.pending, at.seq, err
}

// beforeLast returns a sequence above which a subject has at least its newest n messages and not
// many more. JetStream reads forwards only, so it is found by halving.
func (j *Journal) beforeLast(ctx context.Context, stream, subject string, n uint64) (uint64, error) {
	enough := 4*n + 64
	have, first, err := j.count(ctx, stream, subject, 0)
	if err != nil || have <= enough {
		return 0, err
	}
	newest, err := j.streams[stream].GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return 0, err
	}
	low, high := first-1, newest.Sequence // above low there are enough, above high too few
	// A guess first: messages of a subject are often spread evenly.
	at := high - min(high-low-1, (high-low)/have*2*n)
	for range 64 {
		if have, _, err = j.count(ctx, stream, subject, at); err != nil {
			return 0, err
		}
		switch {
		case have < n:
			high = at
		case have > enough:
			low = at
		default:
			return at, nil
		}
		if high-low < 2 {
			break
		}
		at = low + (high-low)/2
	}
	return low, nil
}
