package journal

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/actors/event"
)

// MaxJoined is how many deliveries one digest tells at most; more are told by several.
const MaxJoined = 256

// watchHeld notices what is held with an earlier time than any that Release knows of.
func (s *Shard) watchHeld() (err error) {
	s.earlier = make(chan struct{}, 1)
	s.nextDue.Store(math.MaxInt64)
	s.held, err = s.j.sub.Subscribe(fmt.Sprintf("%s%d.*", noticePrefix, s.number), func(m *nats.Msg) {
		if due, ok := dueOf(m.Subject); ok && due.UnixMilli() < s.nextDue.Load() {
			select {
			case s.earlier <- struct{}{}:
			default:
			}
		}
	})
	return err
}

// Earlier tells that a delivery may be due before the time that Release gave. It may be missed when the
// connection is lost.
func (s *Shard) Earlier() <-chan struct{} { return s.earlier }

// Joiner makes one delivery of several.
type Joiner interface {
	// Join returns the last of the deliveries, of one lane, as it stands for all; or nil if each is to be made.
	Join(ctx context.Context, ds []*event.Delivery) (*event.Delivery, error)
	// Joined takes note of those that another one stands for now. It may be called again for the same.
	Joined(ctx context.Context, ds []*event.Delivery) error
}

// Release moves the deliveries that are due into the work queue, those of a lane in order, those of a digest
// as one, and returns when the next is due; zero when none is held. Broken off in the middle, it moves what
// is left the next time; what was moved already is stored once within ten minutes, and a digest tells the
// same as before.
func (s *Shard) Release(ctx context.Context, now time.Time, joiner Joiner) (next time.Time, err error) {
	s.nextDue.Store(math.MaxInt64) // whatever comes from now on is noticed
	subjects, err := s.j.heldSubjects(ctx, fmt.Sprintf("wait.%d.>", s.number))
	if err != nil {
		return time.Time{}, err
	}
	for _, subject := range subjects {
		if subject.due.After(now) {
			s.nextDue.Store(subject.due.UnixMilli())
			return subject.due, nil
		}
		if err := s.release(ctx, subject, joiner); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// release moves what is held under one subject.
func (s *Shard) release(ctx context.Context, subject heldSubject, joiner Joiner) error {
	for after := uint64(0); ; {
		held, err := s.j.deliveriesOf(ctx, subject.name, after, MaxJoined)
		if err != nil || len(held) == 0 {
			return err
		}
		select {
		case <-s.life.Done():
			return ErrClosed // somebody else moves them
		default:
		}
		after = held[len(held)-1].Seq
		if err := s.move(ctx, subject, held, joiner); err != nil {
			return err
		}
	}
}

// move puts deliveries into the work queue, a digest in place of all of them where they are one, and only
// then takes them from where they were held.
func (s *Shard) move(ctx context.Context, subject heldSubject, held []Parked, joiner Joiner) error {
	if open, told := subject.other(kindTold, kindOpen); told {
		return s.tell(ctx, held, open, joiner)
	}
	ds := make([]*event.Delivery, len(held))
	for i, h := range held {
		ds[i] = h.Delivery
	}
	if told, open := subject.other(kindOpen, kindTold); open {
		one := ds[0]
		if len(ds) > 1 {
			var err error
			if one, err = joiner.Join(ctx, ds); err != nil {
				return err
			}
		}
		if one != nil {
			return s.close(ctx, one, subject.name, told, joiner)
		}
	}
	moved, err := s.j.putInOrder(ctx, "releasing", heldPrefix, s.j.workSubject, ds)
	if gone := s.unhold(ctx, held[:moved]); err == nil {
		err = gone
	}
	return err
}

// close holds a digest beside the deliveries that it is made of. From then on it tells these, whatever else
// comes in their place and wherever a crash falls: else it might be told again, with another id.
func (s *Shard) close(ctx context.Context, digest *event.Delivery, open, told string, joiner Joiner) error {
	subject := func(*event.Delivery) string { return told }
	if err := s.j.putWork(ctx, "closing a digest", toldPrefix, subject, []*event.Delivery{digest}); err != nil {
		return err
	}
	held, err := s.j.deliveriesOf(ctx, told, 0, MaxJoined)
	if err != nil {
		return err
	}
	if len(held) == 0 {
		return fmt.Errorf("closing a digest: %w: it is not seen yet", ErrUnavailable)
	}
	return s.tell(ctx, held, open, joiner)
}

// tell takes away what digests are made of, and then moves these.
func (s *Shard) tell(ctx context.Context, digests []Parked, open string, joiner Joiner) error {
	for _, digest := range digests {
		members, err := s.j.deliveriesOf(ctx, open, 0, MaxJoined)
		if err != nil {
			return err
		}
		members = slices.DeleteFunc(members, func(h Parked) bool { return !slices.Contains(digest.Delivery.Digest, h.Delivery.EventSeq) })
		var joined []*event.Delivery
		for _, h := range members {
			if h.Delivery.EventSeq != digest.Delivery.EventSeq {
				joined = append(joined, h.Delivery)
			}
		}
		if len(joined) > 0 {
			if err := joiner.Joined(ctx, joined); err != nil {
				return err
			}
		}
		if err := s.unhold(ctx, members); err != nil {
			return err
		}
		if err := s.j.putWork(ctx, "releasing", heldPrefix, s.j.workSubject, []*event.Delivery{digest.Delivery}); err != nil {
			return err
		}
		if err := s.unhold(ctx, []Parked{digest}); err != nil {
			return err
		}
	}
	return nil
}

// unhold takes deliveries from where they were held.
func (s *Shard) unhold(ctx context.Context, held []Parked) error {
	for _, h := range held {
		if err := s.j.Unpark(ctx, h.Seq); err != nil {
			return err
		}
	}
	return nil
}
