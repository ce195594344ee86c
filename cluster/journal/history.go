package journal

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// History returns up to limit events of a channel with a sequence above after, ascending. The first
// one's Prev is 0. Events older than the log keeps are gone. What was appended before the call is there,
// whichever copy of the log answers.
func (j *Journal) History(ctx context.Context, channel string, after uint64, limit int) ([]Entry, error) {
	if err := event.CheckChannel(channel); err != nil {
		return nil, err
	}
	entries, err := j.history(ctx, j.eventSubject(channel), after, limit)
	return entries, j.fail("reading the history of "+channel, err)
}

// HistoryFrom returns up to limit events with a sequence above after, ascending, of all channels that the
// pattern selects. Their Prev is 0. The newest ones may be missing, and are there when it is called again.
func (j *Journal) HistoryFrom(ctx context.Context, pattern string, after uint64, limit int) ([]Entry, error) {
	subject, err := eventsSubject(pattern)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	_, _, err = j.scanHere(ctx, streamEvents, subject, after, limit, func(m *jetstream.RawStreamMsg) {
		entries = append(entries, Entry{Seq: m.Sequence, Channel: channelOfEvent(m.Subject), Data: m.Data})
	})
	return entries, j.fail("reading the events of "+pattern, err)
}

func (j *Journal) history(ctx context.Context, subject string, after uint64, limit int) ([]Entry, error) {
	var entries []Entry
	err := j.scan(ctx, streamEvents, subject, after, limit, collect(&entries))
	return entries, err
}

func collect(entries *[]Entry) func(*jetstream.RawStreamMsg) {
	return func(m *jetstream.RawStreamMsg) {
		e := Entry{Seq: m.Sequence, Channel: channelOfEvent(m.Subject), Data: m.Data}
		if n := len(*entries); n > 0 {
			e.Prev = (*entries)[n-1].Seq
		}
		*entries = append(*entries, e)
	}
}

// HistoryLast returns the newest limit events of a channel, ascending. The first one's Prev is 0.
func (j *Journal) HistoryLast(ctx context.Context, channel string, limit int) ([]Entry, error) {
	newest, err := j.Last(ctx, channel)
	if err != nil || newest == 0 || limit <= 0 {
		return nil, err
	}
	entries, err := tail{j: j, subject: j.eventSubject(channel), newest: newest, limit: limit}.last(ctx)
	if err != nil {
		return nil, j.fail("reading the history of "+channel, err)
	}
	return entries, nil
}

// HistoryOf returns the newest limit events of all channels that the pattern selects, ascending. Their
// Prev is 0.
func (j *Journal) HistoryOf(ctx context.Context, pattern string, limit int) ([]Entry, error) {
	subject, err := eventsSubject(pattern)
	if err != nil || limit <= 0 {
		return nil, err
	}
	if err := j.alive(); err != nil {
		return nil, err
	}
	entries, err := tail{j: j, subject: subject, limit: limit}.last(ctx)
	if err != nil {
		return nil, j.fail("reading the history of "+pattern, err)
	}
	for i := range entries {
		entries[i].Prev = 0
	}
	return entries, nil
}

// tail looks for the end of a channel. JetStream reads a subject forwards only, at a cost that grows
// with the messages of others that it passes and the files it has to open, so the place to begin is
// guessed from how many there are, and corrected.
type tail struct {
	j       *Journal
	subject string
	newest  uint64 // 0: it is not known
	limit   int
}

// last returns the newest entries, limit of them at most.
func (t tail) last(ctx context.Context) ([]Entry, error) {
	entries, err := t.read(ctx)
	if err == nil && len(entries) > t.limit {
		entries = append(entries[:0:0], entries[len(entries)-t.limit:]...)
		entries[0].Prev = 0
	}
	return entries, err
}

func (t tail) read(ctx context.Context) ([]Entry, error) {
	total, first, last, err := t.j.count(ctx, streamEvents, t.subject)
	if err != nil || total == 0 {
		return nil, err
	}
	if t.newest == 0 {
		t.newest = last
	}
	want := min(uint64(t.limit), total)
	span := t.newest - min(first, t.newest) + 1
	back := min(span, max(8*want+64, span/total*(want+want/4+1)))
	low, high, dense := uint64(0), t.newest, false // above high are too few, above low too many if dense
	for high-low > 1 {
		at := t.newest - min(t.newest, back)
		if dense || at >= high {
			at = low + (high-low)/2
		}
		entries, pending, err := t.page(ctx, at)
		if err != nil {
			return nil, err
		}
		have := uint64(len(entries)) + pending
		switch {
		case have < want && at > 0:
			high = at
			back = further(back, have, want)
		case pending > 0:
			low, dense = at, true
		case t.j.replicated(): // the copy that answered may be behind
			return t.j.history(ctx, t.subject, at, 1<<30)
		default:
			return entries, nil
		}
	}
	return t.j.history(ctx, t.subject, low, 1<<30)
}

// further returns how far to go back where have events were found within back and want are wanted:
// a third more than it takes if they come evenly, and four times as far at most and if there is no
// telling.
func further(back, have, want uint64) uint64 {
	if have < 2 {
		return 4 * back
	}
	return min(4*back, back+back*(want-have)/have*4/3+100)
}

// page reads some more than are wanted, so that a step may be too far.
func (t tail) page(ctx context.Context, after uint64) (entries []Entry, pending uint64, err error) {
	_, end, err := t.j.page(ctx, streamEvents, t.subject, after, 2*t.limit+64, collect(&entries))
	return entries, end.pending, err
}
