package journal

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// DeadQuery selects dead letters.
type DeadQuery struct {
	Integration string // "": all
	After       uint64 // only those with a sequence above
	Limit       int    // default 100, at most 1000
}

// Buried is a dead letter in the log.
type Buried struct {
	Seq    uint64
	Letter *event.DeadLetter
}

// Bury stores a dead letter and returns when it is durable. The same delivery and replay is stored
// once within ten minutes.
func (j *Journal) Bury(ctx context.Context, l *event.DeadLetter) error {
	if err := event.CheckID(l.Delivery.Integration); err != nil {
		return fmt.Errorf("burying %s: integration: %w", l.Delivery.ID, err)
	}
	data, err := encode(l)
	if err != nil {
		return err
	}
	if err := j.disk.check(finishWork); err != nil {
		return fmt.Errorf("burying %s: %w", l.Delivery.ID, err)
	}
	id := l.Delivery.ID + ":" + strconv.Itoa(l.Delivery.Replay)
	_, err = j.writer.publish(ctx, deadSubject(l.Delivery.Integration), id, data)
	return j.fail("burying "+l.Delivery.ID, err)
}

// DeadLetters returns dead letters, oldest first.
func (j *Journal) DeadLetters(ctx context.Context, q DeadQuery) ([]Buried, error) {
	subject := "dead.*"
	if q.Integration != "" {
		if err := event.CheckID(q.Integration); err != nil {
			return nil, err
		}
		subject = deadSubject(q.Integration)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Limit = min(q.Limit, scanPage)
	var letters []Buried
	for {
		last := q.After
		err := j.scan(ctx, streamDead, subject, q.After, q.Limit, func(m *jetstream.RawStreamMsg) {
			last = m.Sequence
			l, err := decodeLetter(m.Data)
			if err != nil {
				j.bad(streamDead, m.Sequence, m.Subject, err)
				return
			}
			letters = append(letters, Buried{m.Sequence, l})
		})
		if err != nil {
			return nil, j.fail("reading dead letters", err)
		}
		if len(letters) > 0 || last == q.After {
			return letters, nil
		}
		q.After = last
	}
}

// DeadLetter returns the dead letter with that sequence, or ErrNotFound.
func (j *Journal) DeadLetter(ctx context.Context, seq uint64) (*Buried, error) {
	m, err := j.get(ctx, streamDead, seq)
	if err != nil {
		return nil, err
	}
	l, err := decodeLetter(m.Data)
	if err != nil {
		j.bad(streamDead, seq, m.Subject, err)
		return nil, fmt.Errorf("dead letter %d cannot be read: %w", seq, err)
	}
	return &Buried{seq, l}, nil
}

// Exhume removes a dead letter. One that is gone already is no error.
func (j *Journal) Exhume(ctx context.Context, seq uint64) error {
	return j.remove(ctx, streamDead, seq)
}
