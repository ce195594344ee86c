package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// Deliveries that are not to be sent before some time are held under
//
//	wait.<shard>.<integration>.<lane>.<due, in Unix milliseconds>
//
// until the shard's owner moves them into the work queue. JetStream's own message schedules would do the
// same, but are not to be had in a stream that refuses what it has no room for (nats-server 2.15:
// "message scheduling cannot use discard new").

// heldPrefix tells the message id of a delivery that was moved from that under which it was held.
const heldPrefix = "w:"

// noticePrefix begins the subject on which the shard's owner is told of what is held, outside of all streams.
const noticePrefix = "held."

func (j *Journal) lanePrefix(d *event.Delivery) string {
	lane := d.Lane()
	if len(d.Digest) > 0 { // a digest tells of one wedding, so that it can be erased with that
		lane += "\x00\x00" + d.WeddingID
	}
	sum := sha256.Sum256([]byte(lane))
	return "wait." + strconv.Itoa(j.ShardOf(d.Integration)) + "." + d.Integration + "." + base64.RawURLEncoding.EncodeToString(sum[:16]) + "."
}

// dueOf reads the time from a subject.
func dueOf(subject string) (time.Time, bool) {
	ms, err := strconv.ParseInt(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64)
	return time.UnixMilli(ms).UTC(), err == nil
}

// heldShare is the part, one of so many, of the work stream that is not to be filled by what is held. To
// release is to store anew: a log that is full of what is held could never be emptied.
const heldShare = 8

// roomToHold fails with ErrFull where there is no more room to hold deliveries.
func (j *Journal) roomToHold(ctx context.Context) error {
	const doing = "holding deliveries back"
	info, err := j.streams[streamWork].Info(ctx)
	if err != nil {
		return j.fail(doing, err)
	}
	if size := info.Config.MaxBytes; size > 0 && int64(info.State.Bytes) > size-size/heldShare {
		return fmt.Errorf("%s: %w: %d of %d bytes are taken, and one in %d is kept to release them", doing, ErrFull, info.State.Bytes, size, heldShare)
	}
	return nil
}

// HeldUntil returns the latest time until which a delivery of this one's lane is held; zero when none is.
// What is enqueued with that time comes after it.
func (j *Journal) HeldUntil(ctx context.Context, d *event.Delivery) (time.Time, error) {
	if err := event.CheckID(d.Integration); err != nil {
		return time.Time{}, err
	}
	subjects, err := j.heldSubjects(ctx, j.lanePrefix(d)+"*")
	if err != nil || len(subjects) == 0 {
		return time.Time{}, err
	}
	return subjects[len(subjects)-1].due, nil
}

type heldSubject struct {
	name string
	due  time.Time
}

// heldSubjects returns the subjects that a filter selects, the earliest due first.
func (j *Journal) heldSubjects(ctx context.Context, filter string) ([]heldSubject, error) {
	info, err := j.streams[streamWork].Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, j.fail("looking for what is held", err)
	}
	all := make([]heldSubject, 0, len(info.State.Subjects))
	for name := range info.State.Subjects {
		if due, ok := dueOf(name); ok {
			all = append(all, heldSubject{name, due})
		}
	}
	slices.SortFunc(all, func(a, b heldSubject) int { return cmp.Or(a.due.Compare(b.due), strings.Compare(a.name, b.name)) })
	return all, nil
}

// noticeHeld tells the shard's owner of what is held now, once it is stored.
func (j *Journal) noticeHeld(ds []*event.Delivery) {
	for _, d := range ds {
		if !d.NotBefore.IsZero() {
			subject := fmt.Sprintf("%s%d.%d", noticePrefix, j.ShardOf(d.Integration), d.NotBefore.UnixMilli())
			_ = j.pub.Publish(subject, nil) // the owner looks by itself, too
		}
	}
}

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
// is left the next time; what was moved already is stored once within ten minutes.
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
		if err := s.release(ctx, subject.name, joiner); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// release moves what is held under one subject.
func (s *Shard) release(ctx context.Context, subject string, joiner Joiner) error {
	for after := uint64(0); ; {
		held, err := s.j.deliveriesOf(ctx, subject, after, parkPage)
		if err != nil || len(held) == 0 {
			return err
		}
		after = held[len(held)-1].Seq
		if err := s.move(ctx, held, joiner); err != nil {
			return err
		}
	}
}

// move puts deliveries into the work queue, a digest in place of all of them where they are one, and only
// then takes them from where they were held. A digest has the message id of its last delivery, which is the
// last to be taken away: begun again after a crash, it is stored once.
func (s *Shard) move(ctx context.Context, held []Parked, joiner Joiner) error {
	select {
	case <-s.closed:
		return ErrClosed // somebody else moves them
	default:
	}
	ds := make([]*event.Delivery, len(held))
	for i, h := range held {
		ds[i] = h.Delivery
	}
	var joined []*event.Delivery
	if len(ds) > 1 && !slices.ContainsFunc(ds, func(d *event.Delivery) bool { return len(d.Digest) == 0 }) {
		one, err := joiner.Join(ctx, ds)
		if err != nil {
			return err
		}
		if one != nil {
			joined, ds = ds[:len(ds)-1], []*event.Delivery{one}
		}
	}
	if err := s.j.putWork(ctx, "releasing", heldPrefix, s.j.workSubject, ds); err != nil {
		return err
	}
	if len(joined) > 0 {
		if err := joiner.Joined(ctx, joined); err != nil {
			return err
		}
	}
	for _, h := range held {
		if err := s.j.Unpark(ctx, h.Seq); err != nil {
			return err
		}
	}
	return nil
}
