package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wedsync/wedsync/actors/event"
)

// Selection says what is to be erased.
type Selection struct {
	Event    func(*event.Event) bool
	Delivery func(*event.Delivery) bool // also of dead letters, beside their events
	Client   func(id string, at time.Time) bool
	Record   func(*event.Record) bool // called in the order of the log; nil: records stay
}

// Erased counts what was erased, or is there to be.
type Erased struct {
	Events      int `json:"events"`
	Deliveries  int `json:"deliveries"` // that waited
	DeadLetters int `json:"deadLetters"`
	Clients     int `json:"clients"` // what is remembered of a client's profile at an integration, and its part in a sync
	Records     int `json:"records"`
}

// Sum is how much it is in all.
func (e Erased) Sum() int { return e.Events + e.Deliveries + e.DeadLetters + e.Clients + e.Records }

// Add counts more.
func (e *Erased) Add(more Erased) {
	e.Events += more.Events
	e.Deliveries += more.Deliveries
	e.DeadLetters += more.DeadLetters
	e.Clients += more.Clients
	e.Records += more.Records
}

// Erase overwrites and deletes the events, the deliveries that wait, the dead letters, what is remembered of
// clients, and the records, where they are selected, or only counts them. It reads all that the log holds of
// these, page by page. Of each kind the newest go first, so that what tells that others belong to it is there
// until they are gone: after an error, or a crash, some are gone; call it again.
func (j *Journal) Erase(ctx context.Context, s Selection, only bool) (Erased, error) {
	var e Erased
	for _, part := range []struct {
		stream, subject string
		count           *int
		selects         func([]byte) bool
	}{
		{streamEvents, "ev.>", &e.Events, func(data []byte) bool {
			ev, err := decodeEvent(data)
			return err == nil && s.Event(ev)
		}},
		{streamWork, "dl.>", &e.Deliveries, s.work},
		{streamWork, "park.>", &e.Deliveries, s.work},
		{streamWork, "wait.>", &e.Deliveries, s.work},
		{streamDead, "dead.>", &e.DeadLetters, func(data []byte) bool {
			l, err := decodeLetter(data)
			return err == nil && (s.Delivery(&l.Delivery) || s.Event(&l.Event))
		}},
		{streamOf(bucketClients), keysOf(bucketClients), &e.Clients, s.client},
		{streamOf(bucketSyncs), keysOf(bucketSyncs), &e.Clients, s.client},
		{streamRecords, recordSubject, &e.Records, func(data []byte) bool {
			r, err := event.DecodeRecord(data)
			return err == nil && s.Record(r)
		}},
	} {
		if part.stream == streamRecords && s.Record == nil {
			continue
		}
		n, err := j.erase(ctx, part.stream, part.subject, part.selects, only)
		*part.count += n
		if err != nil {
			return e, j.fail("erasing from "+part.stream, err)
		}
	}
	return e, nil
}

func (s Selection) work(data []byte) bool {
	d, err := decodeDelivery(data)
	return err == nil && s.Delivery(d)
}

// client selects by what Client and Synced have in common.
func (s Selection) client(data []byte) bool {
	var c Client
	return json.Unmarshal(data, &c) == nil && c.ID != "" && s.Client(c.ID, c.At)
}

func (j *Journal) erase(ctx context.Context, stream, subject string, selects func([]byte) bool, only bool) (int, error) {
	var found []uint64
	err := j.scan(ctx, stream, subject, 0, 1<<62, func(m *jetstream.RawStreamMsg) {
		if selects(m.Data) {
			found = append(found, m.Sequence)
		}
	})
	if err != nil || only {
		return len(found), err
	}
	for i := range found {
		if err := j.removeAs(ctx, stream, found[len(found)-1-i], overwrite); err != nil {
			return i, fmt.Errorf("after %d of %d: %w", i, len(found), err)
		}
	}
	return len(found), nil
}
