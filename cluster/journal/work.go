package journal

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/wedsync/wedsync/actors/event"
)

// Enqueue puts deliveries before their integrations and returns when all are durable; those with a time
// before which they are not to be sent are held until then, and refused with ErrFull already when the log
// is seven eighths full: what is held needs room to be released. It is
// idempotent for ten minutes: a delivery of the same event, integration, recipient and replay is stored once,
// even after it was done, so what was taken out must not be put back with Enqueue but with Park.
// After an error some may have been stored.
func (j *Journal) Enqueue(ctx context.Context, ds ...*event.Delivery) error {
	if slices.ContainsFunc(ds, func(d *event.Delivery) bool { return !d.NotBefore.IsZero() }) {
		if err := j.roomToHold(ctx); err != nil {
			return err
		}
	}
	err := j.putWork(ctx, "enqueueing", "", j.queueSubject, ds)
	j.noticeHeld(ds)
	return err
}

// Bounds on what is parked, or moved, at once.
const (
	parkBytes = 4 << 20
	parkPage  = 256
)

// Park moves deliveries to where they wait for their integration, in the order given, and returns
// when all are durable. It is as idempotent as Enqueue. With an error it returns how many of the first
// ones are durable; none is stored behind one that was not.
func (j *Journal) Park(ctx context.Context, ds ...*event.Delivery) (parked int, err error) {
	return j.putInOrder(ctx, "parking", parkPrefix, j.parkSubject, ds)
}

// parkPrefix tells the message id of a parked delivery from that of the same one in the work queue.
const parkPrefix = "p:"

// putInOrder stores deliveries and returns how many of the first ones are durable. None is stored behind one
// that was not: a full log that gets room again in between must not refuse one and take the next.
func (j *Journal) putInOrder(ctx context.Context, doing, prefix string, subject func(*event.Delivery) string, ds []*event.Delivery) (stored int, err error) {
	if len(ds) > 1 && j.putTogether(ctx, prefix, subject, ds) == nil {
		return len(ds), nil
	}
	// Some are there already, or there is no room for all: as far as it goes.
	for i := range ds {
		if err := j.putWork(ctx, doing, prefix, subject, ds[i:i+1]); err != nil {
			return i, err
		}
	}
	return len(ds), nil
}

// putTogether stores deliveries in atomic batches of JetStream (ADR-50): in order, and of each batch
// all or none. A batch with one that is stored already is refused.
func (j *Journal) putTogether(ctx context.Context, prefix string, subject func(*event.Delivery) string, ds []*event.Delivery) error {
	if err := j.disk.check(finishWork); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	msgs, size := make([]*nats.Msg, 0, len(ds)), 0
	for i, d := range ds {
		data, err := encodeWork(d)
		if err != nil {
			return err
		}
		msgs = append(msgs, newMessage(subject(d), prefix+workID(d), data))
		if size += len(data); size < parkBytes && i < len(ds)-1 {
			continue
		}
		if _, err := jetstreamext.PublishMsgBatch(ctx, j.batches, msgs); err != nil {
			return err
		}
		msgs, size = msgs[:0], 0
	}
	return nil
}

func (j *Journal) putWork(ctx context.Context, doing, prefix string, subject func(*event.Delivery) string, ds []*event.Delivery) error {
	if err := j.disk.check(finishWork); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	calls := make([]*call, 0, len(ds))
	var failed error
	for _, d := range ds {
		c, err := j.startDelivery(ctx, prefix, subject, d)
		if err != nil {
			failed = fmt.Errorf("delivery %s: %w", d.ID, err)
			break
		}
		calls = append(calls, c)
	}
	for i, d := range ds[:len(calls)] { // all of them: a call must not be left
		if _, err := j.writer.wait(ctx, calls[i]); err != nil && failed == nil {
			failed = fmt.Errorf("delivery %s: %w", d.ID, err)
		}
	}
	return j.fail(doing, failed)
}

func (j *Journal) startDelivery(ctx context.Context, prefix string, subject func(*event.Delivery) string, d *event.Delivery) (*call, error) {
	data, err := encodeWork(d)
	if err != nil {
		return nil, err
	}
	return j.writer.start(ctx, newMessage(subject(d), prefix+workID(d), data))
}

func encodeWork(d *event.Delivery) ([]byte, error) {
	if err := event.CheckID(d.Integration); err != nil {
		return nil, fmt.Errorf("integration: %w", err)
	}
	return encode(d)
}

// workID is the message id of a delivery: routing an event twice enqueues once, for each recipient that
// is named, a replay anew. A profile, which is of no event, goes by its own id.
func workID(d *event.Delivery) string {
	id := strconv.FormatUint(d.EventSeq, 10) + ":" + d.Integration
	if d.Recipient != "" || d.Profile != "" {
		id += ":" + d.ID
	}
	if d.Replay > 0 {
		id += ":r" + strconv.Itoa(d.Replay)
	}
	return id
}

// Parked is a delivery that waits in the log.
type Parked struct {
	Seq      uint64
	Delivery *event.Delivery
}

// ParkedCount returns how many deliveries wait for an integration.
func (j *Journal) ParkedCount(ctx context.Context, integration string) (uint64, error) {
	if err := event.CheckID(integration); err != nil {
		return 0, err
	}
	n, _, _, err := j.count(ctx, streamWork, j.parkSubjectOf(integration))
	return n, j.fail("counting what is parked for "+integration, err)
}

// ParkedNext returns up to limit deliveries that wait for an integration, in the order they were
// parked, from those with a sequence above after. They stay until Unpark.
func (j *Journal) ParkedNext(ctx context.Context, integration string, after uint64, limit int) ([]Parked, error) {
	if err := event.CheckID(integration); err != nil {
		return nil, err
	}
	parked, err := j.deliveriesOf(ctx, j.parkSubjectOf(integration), after, limit)
	return parked, j.fail("reading what is parked for "+integration, err)
}

// deliveriesOf returns up to limit deliveries of a subject with a sequence above after, and removes those
// that cannot be read.
func (j *Journal) deliveriesOf(ctx context.Context, subject string, after uint64, limit int) ([]Parked, error) {
	var found []Parked
	for {
		last, unreadable := after, []uint64(nil)
		err := j.scan(ctx, streamWork, subject, after, limit, func(m *jetstream.RawStreamMsg) {
			last = m.Sequence
			d, err := decodeDelivery(m.Data)
			if err != nil {
				j.bad(streamWork, m.Sequence, m.Subject, err)
				unreadable = append(unreadable, m.Sequence)
				return
			}
			found = append(found, Parked{m.Sequence, d})
		})
		if err != nil {
			return nil, err
		}
		for _, seq := range unreadable {
			if err := j.Unpark(ctx, seq); err != nil {
				return nil, err
			}
		}
		if len(found) > 0 || last == after {
			return found, nil
		}
		after = last // nothing of this page could be read: it is gone now, look on
	}
}

// Unpark removes a parked delivery. One that is gone already is no error.
func (j *Journal) Unpark(ctx context.Context, seq uint64) error {
	return j.remove(ctx, streamWork, seq)
}
