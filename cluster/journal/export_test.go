package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
)

// For the tests of what no real disk or server gives on demand.
var (
	ParseAck  = parseAck
	Sequences = sequences
	Redact    = redact
	KindOf    = kindOf
)

// MaxUnderway is how many messages a publisher has under way at most.
const MaxUnderway = maxUnderway

// What may wait for the log at once.
const (
	MaxWaiting      = maxWaiting
	MaxWaitingBytes = maxWaitingBytes
)

// Publisher gives the tests a publisher without a stream behind it.
type Publisher struct{ p *publisher }

// NewPublisher returns one on the connection.
func NewPublisher(nc *nats.Conn) (Publisher, error) {
	p, err := newPublisher(nc)
	return Publisher{p}, err
}

// Publish is publish.
func (p Publisher) Publish(ctx context.Context, subject, id string) (Appended, error) {
	return p.p.publish(ctx, subject, id, []byte("{}"))
}

// Start sends a message that nobody waits for.
func (p Publisher) Start(ctx context.Context, subject string) error {
	_, err := p.p.start(ctx, newMessage(subject, "", nil))
	return err
}

// Close is what Journal.Close does to it.
func (p Publisher) Close() { p.p.close() }

// Gather has it gather messages, as for a replicated log.
func (p Publisher) Gather() { p.p.gathers = make(map[string]*gather) }

// Moved is what is done when a stream has another leader.
func (p Publisher) Moved(stream string) { p.p.moved(stream) }

// GiveUp gives up the calls sent before a time, as is done with those that are overdue.
func (p Publisher) GiveUp(before time.Time) { p.p.giveUp(before) }

// NewServerLog returns what the embedded server logs to.
func NewServerLog(log zerolog.Logger) server.Logger { return &serverLog{log: log} }

// SetDiskFree has the log believe that so many bytes are free.
func (j *Journal) SetDiskFree(free *atomic.Int64) {
	j.disk.free = func(string) (int64, error) { return free.Load(), nil }
	j.disk.next.Store(0)
}

// Examine looks once whether this node's part of the log works.
func (j *Journal) Examine() { j.examine() }

// Server is the embedded one.
func (j *Journal) Server() *server.Server { return j.server }

// Disable has the embedded server stop the log, as it does on a full disk.
func (j *Journal) Disable() error { return j.server.DisableJetStream() }

// DiskReserve returns what the log keeps free.
func (j *Journal) DiskReserve() int64 { return j.disk.reserve }

// LookAgain has the log look at the disk at its next write.
func (j *Journal) LookAgain() { j.disk.next.Store(0) }

// RunDecoders runs every decoder of stored bytes, and of what other nodes send.
func RunDecoders(data []byte) {
	_, _ = decodeEvent(data)
	_, _ = decodeDelivery(data)
	_, _ = decodeLetter(data)
	_, _ = decodeMark(data)
	_, _ = parseMarker("", data)
	_ = removed(data)
	_, _ = ParseManifest(data)
	_, _ = decodeCores(data)
	_ = leapTo(io.Discard, bytes.NewReader(data), 1)
}

// ChooseSizes returns the bounds of EV, DL, REC, DEAD and of the buckets together.
func ChooseSizes(cfg Config, room int64) (store int64, streams [4]int64, buckets int64, err error) {
	s, err := chooseSizes(cfg, "dir", room)
	return s.store, [4]int64{s.events, s.work, s.records, s.dead}, s.config + s.secrets + s.shards + s.routed + s.seen, err
}

// Move puts deliveries into the work queue as Release does, and leaves them where they are held.
func (j *Journal) Move(ctx context.Context, ds ...*event.Delivery) error {
	return j.putWork(ctx, "releasing", heldPrefix, j.workSubject, ds)
}

// DeleteEvent deletes one event.
func (j *Journal) DeleteEvent(ctx context.Context, seq uint64) error {
	return j.remove(ctx, streamEvents, seq)
}

// PatientSince is Patient, called at some time.
func PatientSince(ctx context.Context, since time.Time) context.Context {
	return context.WithValue(ctx, patience{}, since)
}

// Publish stores a message past the line.
func Publish(ctx context.Context, j *Journal, subject string) error {
	_, err := j.writer.publish(ctx, subject, "", nil)
	return err
}

// Leads are the names of the nodes that lead a stream.
func Leads(j *Journal) map[string]bool {
	leads := map[string]bool{}
	for _, l := range j.eachLed() {
		leads[l.leader] = true
	}
	return leads
}

// Whole fails unless there are as many copies of the log as there are to be.
func Whole(ctx context.Context, j *Journal) error {
	lacking, err := j.lacking(ctx)
	if err == nil && lacking != "" {
		err = errors.New(lacking)
	}
	return err
}
