package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// Appended is where an event was stored.
type Appended struct {
	Seq       uint64
	Duplicate bool // an event with this DedupKey was stored within the last ten minutes; Seq is that one's
}

// Append stores an event and returns when it is durable. While the log does not answer it waits for it,
// for Config.Patience, together with all others, and they are stored in the order in which Append was
// called. It fails with a *event.ChannelError, ErrTooLarge, ErrFull, ErrUnavailable or ErrClosed, or the
// context's error; after the last four the event may have been stored all the same, and appending it
// again stores it once.
func (j *Journal) Append(ctx context.Context, ev *event.Event) (Appended, error) {
	if err := event.CheckChannel(ev.Channel); err != nil {
		return Appended{}, err
	}
	if err := checkMessageID(ev.ID); err != nil {
		return Appended{}, fmt.Errorf("event: %w", err)
	}
	data, err := encode(ev)
	if err != nil {
		return Appended{}, err
	}
	if err := j.disk.check(beginWork); err != nil {
		return Appended{}, fmt.Errorf("appending event %s: %w", ev.ID, err)
	}
	a, repeated, err := j.line.put(ctx, j.eventSubject(ev.Channel), ev.DedupKey(), data)
	if err != nil {
		return Appended{}, j.fail("appending event "+ev.ID, err)
	}
	if repeated && a.Duplicate {
		a.Duplicate = !j.holds(ctx, a.Seq, data)
	}
	return a, nil
}

// StopWaiting has no write wait for a log that does not answer any more; those that do fail with
// ErrClosed. It is called when the node begins to stop.
func (j *Journal) StopWaiting() { j.line.hurry() }

// holds reports whether the event with that sequence is made of these bytes, so that it is the very one,
// stored by a try whose answer was lost.
func (j *Journal) holds(ctx context.Context, seq uint64, data []byte) bool {
	m, err := j.get(ctx, streamEvents, seq)
	return err == nil && bytes.Equal(m.Data, data)
}

// checkMessageID refuses what cannot stand in a header of the log.
func checkMessageID(id string) error {
	if id == "" || len(id) > event.MaxIDBytes {
		return fmt.Errorf("id %.80q: must have 1 to %d bytes", id, event.MaxIDBytes)
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return fmt.Errorf("id %q: only visible ASCII is allowed", id)
		}
	}
	return nil
}

// Last returns the sequence of the channel's newest event; 0 when it has none.
func (j *Journal) Last(ctx context.Context, channel string) (uint64, error) {
	if err := event.CheckChannel(channel); err != nil {
		return 0, err
	}
	last, err := j.newest(ctx, streamEvents, j.eventSubject(channel))
	return last, j.fail("reading the last event of "+channel, err)
}

// EventAt returns the event with that sequence, or ErrNotFound.
func (j *Journal) EventAt(ctx context.Context, seq uint64) (*event.Event, error) {
	m, err := j.get(ctx, streamEvents, seq)
	if err != nil {
		return nil, err
	}
	ev, err := decodeEvent(m.Data)
	if err != nil {
		j.bad(streamEvents, seq, m.Subject, err)
		return nil, fmt.Errorf("event %d cannot be read: %w", seq, err)
	}
	ev.Seq = seq
	return ev, nil
}

// get reads one message. Whichever copy is asked may be on a node that is stopped: then another one is.
func (j *Journal) get(ctx context.Context, stream string, seq uint64) (*jetstream.RawStreamMsg, error) {
	doing := fmt.Sprintf("reading %s %d", stream, seq)
	if seq == 0 {
		return nil, fmt.Errorf("%s: %w", doing, ErrNotFound)
	}
	var m *jetstream.RawStreamMsg
	err := j.line.ask(ctx, tryTimeout, func(ctx context.Context) (err error) {
		m, err = j.streams[stream].GetMsg(ctx, seq)
		return err
	})
	if j.replicated() && errors.Is(kindOf(err), ErrNotFound) { // the copy that answered may be behind
		var of stored
		of, err = j.leaders(ctx, stream, `"seq":`+strconv.FormatUint(seq, 10))
		m = &jetstream.RawStreamMsg{Subject: of.Subject, Sequence: of.Seq, Data: of.Data}
	}
	return m, j.fail(doing, err)
}
