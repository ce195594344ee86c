package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/problem"
)

// Appender is the event log. Append returns once the event is durable, and keeps neither the event
// nor its bytes. It is safe for concurrent use.
type Appender interface {
	Append(ctx context.Context, ev *event.Event) (journal.Appended, error)
}

// Config is what New needs.
type Config struct {
	Log     Appender              // required
	Now     func() time.Time      // default time.Now
	Metrics prometheus.Registerer // nil: none
	Limits  Limits                // zero fields take their defaults
	Tracer  *tracing.Tracer       // nil: nothing is traced
	// PerSecond is how many events one sender may publish a second, and at once after a pause; default 1000.
	PerSecond int
}

// How far OccurredAt may lie from now.
const maxAhead = 24 * time.Hour

// earliest is before any event that a planning product can mean; what lies before it is a wrong unit
// or an empty clock.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Ingest takes drafts in. It is safe for concurrent use.
type Ingest struct {
	log      Appender
	now      func() time.Time
	limits   Limits
	scanners sync.Pool
	metrics  metrics
	tracer   *tracing.Tracer
	pace     pace
}

// New returns an Ingest, or an error that names what is wrong with the configuration.
func New(cfg Config) (*Ingest, error) {
	if cfg.Log == nil {
		return nil, errors.New("ingest: Config.Log is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	limits := cfg.Limits.WithDefaults()
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	if cfg.PerSecond == 0 {
		cfg.PerSecond = defaultPerSecond
	}
	if cfg.PerSecond < 0 {
		return nil, fmt.Errorf("ingest: Config.PerSecond is %d; it must be at least 1", cfg.PerSecond)
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("ingest: metrics: %w", err)
	}
	in := &Ingest{log: cfg.Log, now: cfg.Now, limits: limits, metrics: m, tracer: cfg.Tracer, pace: newPace(cfg.PerSecond)}
	c := newCleaner()
	in.scanners.New = func() any { return &scanner{limits: limits, cleaner: c} }
	return in, nil
}

// Publish checks and cleans the draft and appends it. It returns once the event is durable, or with
// a *Reject. The draft's bytes are not kept.
func (in *Ingest) Publish(ctx context.Context, d Draft) (Receipt, error) {
	span := in.tracer.Start(d.TraceParent, "publish", tracing.Producer)
	defer span.End()
	d.TraceParent = span.TraceParent()
	receipt, rej := in.publish(ctx, d)
	if span.Recording() {
		span.Set(tracing.Channel.String(d.Channel), tracing.EventType.String(d.Type), tracing.EventSource.String(d.Source),
			tracing.EventID.String(receipt.ID), tracing.Duplicate.Bool(receipt.Duplicate))
	}
	if rej != nil {
		span.Fail(rej.Code)
		in.metrics.refused(rej.Code)
		return Receipt{}, rej
	}
	return receipt, nil
}

func (in *Ingest) publish(ctx context.Context, d Draft) (Receipt, *Reject) {
	if rej := in.pace.take(d.Sender, in.now()); rej != nil {
		return Receipt{}, rej
	}
	ev, rej := in.accept(d)
	if rej != nil {
		return Receipt{}, rej
	}
	if err := event.CheckNotSystem(d.Channel); err != nil && d.Source != event.SystemSource {
		return Receipt{}, reject(problem.ChannelReserved, "%v", err)
	}
	start := time.Now()
	done, err := in.log.Append(ctx, ev)
	if err != nil {
		return Receipt{}, appendFailed(ctx, ev, err)
	}
	in.metrics.appended(time.Since(start), done.Duplicate)
	return Receipt{ID: ev.ID, Seq: done.Seq, Duplicate: done.Duplicate}, nil
}

// Prepare checks and cleans the draft as Publish does, and returns the event that Publish would append.
// It fails with a *Reject.
func (in *Ingest) Prepare(d Draft) (*event.Event, error) {
	ev, rej := in.accept(d)
	if rej != nil {
		return nil, rej
	}
	return ev, nil
}

// accept makes the event that d describes.
func (in *Ingest) accept(d Draft) (*event.Event, *Reject) {
	now := in.now()
	if rej := checkNames(d); rej != nil {
		return nil, rej
	}
	if rej := checkTime(d.OccurredAt, now); rej != nil {
		return nil, rej
	}
	if len(d.Payload) > in.limits.Bytes {
		return nil, reject(problem.PayloadTooLarge, "the payload has %d bytes, at most %d are allowed", len(d.Payload), in.limits.Bytes)
	}
	ev := &event.Event{
		V: event.Version, ID: d.ID, Channel: d.Channel, Type: d.Type, OccurredAt: d.OccurredAt,
		AcceptedAt: now, Source: d.Source, CorrelationID: d.CorrelationID, WeddingID: d.WeddingID,
	}
	if event.TraceID(d.TraceParent) != "" {
		ev.TraceParent = d.TraceParent
	}
	s := in.scanners.Get().(*scanner) //nolint:errcheck // the pool makes nothing else
	payload, rej := s.run(d.Payload)
	if ev.WeddingID == "" {
		ev.WeddingID = weddingOf(s)
	}
	s.in, s.out = nil, nil
	clear(s.names[:cap(s.names)])
	in.scanners.Put(s)
	if rej != nil {
		return nil, rej
	}
	if ev.Payload = payload; len(payload) > in.limits.Bytes {
		return nil, reject(problem.PayloadTooLarge, "the payload has %d bytes, at most %d are allowed", len(payload), in.limits.Bytes)
	}
	if err := fill(ev, now); err != nil {
		return nil, err
	}
	return ev, nil
}

// fill puts in what the sender left out.
func fill(ev *event.Event, now time.Time) *Reject {
	if ev.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return &Reject{Code: problem.Internal, Status: problem.Status(problem.Internal), Detail: "no event id could be made", Err: err}
		}
		ev.ID = id.String()
	}
	if ev.CorrelationID == "" {
		ev.CorrelationID = ev.ID
	}
	if ev.OccurredAt.IsZero() {
		ev.OccurredAt = now
	}
	ev.OccurredAt, ev.AcceptedAt = ev.OccurredAt.UTC(), now.UTC()
	return nil
}

func checkNames(d Draft) *Reject {
	if err := event.CheckChannel(d.Channel); err != nil {
		if strings.ContainsAny(d.Channel, "*{}") {
			return reject(problem.ChannelWildcard, "%.300q has wildcards; an event is published on one channel, so write its full name", d.Channel)
		}
		return reject(problem.ChannelInvalid, "%v", err)
	}
	if err := event.CheckType(d.Type); err != nil {
		return reject(problem.TypeInvalid, "%v", err)
	}
	if !validID(d.ID) && d.ID != "" {
		return reject(problem.IDInvalid, "the id %.140q must have 1 to %d of A-Z a-z 0-9 . _ : and -", d.ID, event.MaxIDBytes)
	}
	for _, f := range []struct{ name, v string }{{"correlationId", d.CorrelationID}, {"weddingId", d.WeddingID}} {
		if f.v != "" && !plainID(f.v) {
			return reject(problem.ContextInvalid, "%s %.140q must have at most %d printable characters, without < > and &", f.name, f.v, event.MaxIDBytes)
		}
	}
	return nil
}

func checkTime(at, now time.Time) *Reject {
	switch {
	case at.IsZero():
	case at.Before(earliest):
		return reject(problem.OccurredAtInvalid, "occurredAt %s lies before %s; is it in the right unit?", at.UTC().Format(time.RFC3339), earliest.Format(time.DateOnly))
	case at.After(now.Add(maxAhead)):
		return reject(problem.OccurredAtInvalid, "occurredAt %s lies more than %v ahead; this is the time when it happened, not of what it is about", at.UTC().Format(time.RFC3339), maxAhead)
	}
	return nil
}

func validID(id string) bool {
	for i := range len(id) {
		if c := id[i]; !asciiAlnum(c) && c != '.' && c != '_' && c != ':' && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= event.MaxIDBytes
}

// plainID reports whether id, which others have chosen, can be carried along: short and printable.
func plainID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return id != "" && len(id) <= event.MaxIDBytes
}

// weddingOf returns the wedding that the payload names, or "".
func weddingOf(s *scanner) string {
	for _, id := range []string{s.wedding, s.couple} {
		if plainID(id) {
			return id
		}
	}
	return ""
}

// appendFailed says what the log's error means to the sender.
func appendFailed(ctx context.Context, ev *event.Event, err error) *Reject {
	rej := func(code string, after time.Duration, detail string) *Reject {
		return &Reject{Code: code, Status: problem.Status(code), Detail: detail, RetryAfter: after, Err: err}
	}
	switch {
	case errors.Is(err, journal.ErrFull):
		return rej(problem.LogFull, 30*time.Second, "the event log has no room")
	case errors.Is(err, journal.ErrTooLarge):
		return rej(problem.PayloadTooLarge, 0, "the event is larger than the log takes")
	case errors.Is(err, journal.ErrClosed):
		return rej(problem.ShuttingDown, 5*time.Second, "the node is stopping; publish again with the id "+ev.ID)
	case errors.Is(err, journal.ErrUnavailable), ctx.Err() != nil:
		return rej(problem.LogUnavailable, time.Second,
			"the event log did not confirm in time; publish again with the id "+ev.ID+", which is safe")
	}
	return rej(problem.Internal, 0, "the event could not be appended")
}
