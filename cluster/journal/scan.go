package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	scanPage  = 1000    // messages of one request at most
	scanBytes = 8 * mib // bytes of one answer, about
)

// scan calls fn for up to limit messages of a subject above a sequence, ascending. All that were stored before
// the call are among them, or more than limit.
func (j *Journal) scan(ctx context.Context, stream, subject string, after uint64, limit int, fn func(*jetstream.RawStreamMsg)) error {
	if !j.replicated() {
		_, _, err := j.scanHere(ctx, stream, subject, after, limit, fn)
		return err
	}
	end := time.Now().Add(j.cfg.Patience)
	for pause := minLag; ; pause = min(2*pause, maxLag) {
		// Asked anew each time: a message may have been deleted meanwhile.
		newest, err := j.newest(ctx, stream, subject)
		if err != nil || newest <= after {
			return err
		}
		n, last, err := j.scanHere(ctx, stream, subject, after, limit, fn)
		after, limit = max(after, last), limit-n
		if err != nil || limit == 0 || after >= newest {
			return err
		}
		if wait(ctx, pause); ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("%w: a copy of %s has got to %d only, not to %d", ErrUnavailable, stream, after, newest)
		}
	}
}

// How long to wait for a copy that is behind, at first and at most.
const (
	minLag = 2 * time.Millisecond
	maxLag = 250 * time.Millisecond
)

// replicated reports that streams have copies, any of which may answer, and be behind. A node without a log
// is not told of that by its configuration.
func (j *Journal) replicated() bool {
	return j.streams[streamEvents].CachedInfo().Config.Replicas > 1
}

// scanHere is scan of whatever copy answers. It returns how many messages there were, and the last one's sequence.
func (j *Journal) scanHere(ctx context.Context, stream, subject string, after uint64, limit int, fn func(*jetstream.RawStreamMsg)) (n int, last uint64, err error) {
	for n < limit {
		some, end, err := j.page(ctx, stream, subject, after, limit-n, fn)
		n, last = n+some, max(last, end.seq)
		if err != nil || end.pending == 0 {
			return n, last, err
		}
		after = end.seq
	}
	return n, last, nil
}

type position struct{ seq, pending uint64 }

// page is one request of scan, made again while the log is away. It tells where it ended and how many messages
// follow.
func (j *Journal) page(ctx context.Context, stream, subject string, after uint64, limit int, fn func(*jetstream.RawStreamMsg)) (n int, last position, err error) {
	var begun error // what broke off a page whose first messages were given to fn
	err = j.line.ask(ctx, apiTimeout, func(ctx context.Context) (err error) {
		if n, last, err = j.pageOnce(ctx, stream, subject, after, limit, fn); n > 0 {
			begun, err = err, nil
		}
		return err
	})
	return n, last, cmp.Or(err, begun)
}

func (j *Journal) pageOnce(ctx context.Context, stream, subject string, after uint64, limit int, fn func(*jetstream.RawStreamMsg)) (n int, last position, err error) {
	msgs, err := jetstreamext.GetBatch(ctx, j.reader, stream, limit,
		jetstreamext.GetBatchSeq(after+1), jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchMaxBytes(scanBytes))
	if err != nil {
		return 0, last, err
	}
	for m, err := range msgs {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return n, position{seq: last.seq}, nil
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
