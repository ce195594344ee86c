package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// Deliveries that are not to be sent before some time are held under
//
//	wait.<shard>.<channel>.<integration>.<recipient>.<kind>.<due, in Unix milliseconds>
//
// until the shard's owner moves them into the work queue. The kind is "each" of those that are told by
// themselves; "open" and a wedding of those that gather for its digest; "told" and that wedding of a digest
// that is made of some and in which nothing changes any more. JetStream's own message schedules would do the
// same, but are not to be had in a stream that refuses what it has no room for (nats-server 2.15:
// "message scheduling cannot use discard new").

// heldTokens is how many parts such a subject has.
const heldTokens = 7

// heldPrefix tells the message id of a delivery that was moved from that under which it was held.
const heldPrefix = "w:"

// toldPrefix tells that of a digest from those of the deliveries that it is made of.
const toldPrefix = "t:"

// noticePrefix begins the subject on which the shard's owner is told of what is held, outside of all streams.
const noticePrefix = "held."

// The kinds of what is held. What is told goes before what is still open.
const (
	kindEach = "each"
	kindOpen = "open"
	kindTold = "told"
)

// lanePrefix begins the subjects of what is held of a delivery's lane; the channel's token is its third.
func (j *Journal) lanePrefix(d *event.Delivery) string {
	return fmt.Sprintf("wait.%d.%s.%s.%s.", j.ShardOf(d.Integration), tokenOf(d.Channel), d.Integration, tokenOf(d.Recipient))
}

// kindToken names a delivery's kind; a digest tells of one wedding, so that it can be erased with that.
func kindToken(d *event.Delivery) string {
	if len(d.Digest) == 0 {
		return kindEach
	}
	return kindOpen + tokenOf(d.WeddingID)
}

// heldSubject is where a delivery waits for its time.
func (j *Journal) heldSubject(d *event.Delivery) string {
	return j.lanePrefix(d) + kindToken(d) + "." + strconv.FormatInt(d.NotBefore.UnixMilli(), 10)
}

// tokenOf is what stands for a text in subjects.
func tokenOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
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

// Held is what is held of one channel's deliveries, as it was when the log was asked.
type Held struct {
	j     *Journal
	lanes map[string]map[string]time.Time // the latest times, by lane and kind
}

// HeldOn returns what is held of a channel's deliveries.
func (j *Journal) HeldOn(ctx context.Context, channel string) (Held, error) {
	h := Held{j, map[string]map[string]time.Time{}}
	subjects, err := j.heldSubjects(ctx, "wait.*."+tokenOf(channel)+".>")
	for _, s := range subjects {
		lane, kind := s.lane()
		if h.lanes[lane] == nil {
			h.lanes[lane] = map[string]time.Time{}
		}
		h.lanes[lane][kind] = s.due
	}
	return h, err
}

// None reports that nothing is held.
func (h Held) None() bool { return len(h.lanes) == 0 }

// Behind returns until when a delivery is to be held so that it comes after what is held of its lane, and
// not before its own time; zero if it need not be held. A digest goes with those of its wedding while they
// are gathered and nothing is behind them; it does not mind other weddings'.
func (h Held) Behind(d *event.Delivery, now time.Time) time.Time {
	own, others := kindToken(d), time.Time{}
	lane := h.lanes[h.j.lanePrefix(d)]
	for kind, due := range lane {
		if kind != own && (own == kindEach || kind == kindEach) && due.After(others) {
			others = due
		}
	}
	open := lane[own]
	if own != kindEach && open.After(now) && open.After(others) {
		return open
	}
	until := d.NotBefore
	if !others.IsZero() && !others.Before(until) {
		until = others.Add(time.Millisecond) // what is due at one time comes by kind
	}
	if own == kindEach && open.After(until) {
		until = open
	}
	return until
}

type heldSubject struct {
	name  string
	due   time.Time
	count uint64
}

// lane splits a subject into the prefix of its lane and the kind.
func (s heldSubject) lane() (prefix, kind string) {
	rest := s.name[:strings.LastIndexByte(s.name, '.')]
	at := strings.LastIndexByte(rest, '.') + 1
	return rest[:at], rest[at:]
}

// other is the subject of the same digest in another kind; false where it is not of that kind.
func (s heldSubject) other(kind, other string) (subject string, ok bool) {
	lane, own := s.lane()
	wedding, ok := strings.CutPrefix(own, kind)
	return lane + other + wedding + s.name[strings.LastIndexByte(s.name, '.'):], ok
}

// heldSubjects returns the subjects that a filter selects, the earliest due first.
func (j *Journal) heldSubjects(ctx context.Context, filter string) ([]heldSubject, error) {
	info, err := j.streams[streamWork].Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, j.fail("looking for what is held", err)
	}
	all := make([]heldSubject, 0, len(info.State.Subjects))
	for name, count := range info.State.Subjects {
		if due, ok := dueOf(name); ok {
			all = append(all, heldSubject{name, due, count})
		}
	}
	// Where a digest is told, that comes before what is gathered for the next one.
	slices.SortFunc(all, func(a, b heldSubject) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(b.name, a.name))
	})
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

// HeldCount says how many deliveries are held, and until when the first of them is.
type HeldCount struct {
	Count uint64
	Next  time.Time
}

// HeldFor counts what is held for an integration, or for each where none is named; there is none for those
// that are missing.
func (j *Journal) HeldFor(ctx context.Context, integration string) (map[string]HeldCount, error) {
	filter := "wait.>"
	if integration != "" {
		if err := event.CheckID(integration); err != nil {
			return nil, err
		}
		filter = fmt.Sprintf("wait.%d.*.%s.>", j.ShardOf(integration), integration)
	}
	subjects, err := j.heldSubjects(ctx, filter)
	counts := map[string]HeldCount{}
	for _, s := range subjects {
		if tokens := strings.Split(s.name, "."); len(tokens) == heldTokens {
			c := counts[tokens[3]]
			if c.Count == 0 {
				c.Next = s.due
			}
			c.Count += s.count
			counts[tokens[3]] = c
		}
	}
	return counts, err
}
