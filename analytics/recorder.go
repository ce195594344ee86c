package analytics

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
)

// RecorderConfig configures a Recorder.
type RecorderConfig struct {
	// Name tells recorders apart in recorder_batches, such as the node's name. Default "wedsync".
	Name string
	// BatchRecords is how many records a batch has at most. Default 50,000, which is the most.
	BatchRecords int
	// BatchWait is how long a batch waits for more after its first record. Default 1 s, at most 10 s.
	BatchWait time.Duration
	// PurgeAfter is how long records stay in the log after they were committed, so that the log knows
	// their repetition. Default 10 min, which is also the least.
	PurgeAfter time.Duration
	// Timeout bounds one statement. Default 1 min.
	Timeout time.Duration
	// Tracer gets a span for each record of a delivery whose trace is recorded. Default: none.
	Tracer *tracing.Tracer
	// Registerer gets the metrics. Default: none.
	Registerer prometheus.Registerer
	Logger     zerolog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	maxBatchRecords = 50_000
	maxBatchWait    = 10 * time.Second
	minPurgeAfter   = 10 * time.Minute
	// maxBatchBytes bounds the memory that a batch takes, about three times as much; there are two in a backlog.
	maxBatchBytes = 32 << 20
	purgeEvery    = time.Minute
	// idleWait is how long the log is asked to wait for a record before the recorder looks up.
	idleWait = time.Second
	// topUpWait is for what the log has already, and has only to hand out.
	topUpWait = 10 * time.Millisecond

	firstRetry = 100 * time.Millisecond
	maxRetry   = 2 * time.Second
)

// WithDefaults returns the configuration with its zero fields filled in.
func (c RecorderConfig) WithDefaults() RecorderConfig {
	if c.Name == "" {
		c.Name = "wedsync"
	}
	if c.BatchRecords == 0 {
		c.BatchRecords = maxBatchRecords
	}
	if c.BatchWait == 0 {
		c.BatchWait = time.Second
	}
	if c.PurgeAfter == 0 {
		c.PurgeAfter = minPurgeAfter
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate returns an error that names the first field that is wrong.
func (c RecorderConfig) Validate() error {
	switch {
	case c.BatchRecords < 1 || c.BatchRecords > maxBatchRecords:
		return fmt.Errorf("recorder: BatchRecords is %d; use 1 to %d", c.BatchRecords, maxBatchRecords)
	case c.BatchWait < 0 || c.BatchWait > maxBatchWait:
		return fmt.Errorf("recorder: BatchWait is %v; use 0 to %v", c.BatchWait, maxBatchWait)
	case c.PurgeAfter < minPurgeAfter:
		return fmt.Errorf("recorder: PurgeAfter is %v; at least %v, for which the log knows repetitions", c.PurgeAfter, minPurgeAfter)
	case c.Timeout < time.Second:
		return fmt.Errorf("recorder: Timeout is %v; at least 1s", c.Timeout)
	}
	return nil
}

// Recorder moves records from the log into ClickHouse, each exactly once; see the package's
// documentation for how.
type Recorder struct {
	store   *Store
	ledger  ledger
	source  Source
	cfg     RecorderConfig
	log     zerolog.Logger
	metrics *metrics
	status  *status
	filled  [2]filled // reused in turn: while one is inserted, the next one is made
	turn    int

	// Where the session stands.
	at        logID
	position  uint64
	committed time.Time // when the last batch was
	purged    time.Time // when the log was last purged
	seen      uint64    // the log's last sequence, when it was last looked at
}

// NewRecorder returns a recorder that does nothing before Run. The error says what is wrong with the
// configuration, or that its metrics are registered already.
func NewRecorder(store *Store, source Source, cfg RecorderConfig) (*Recorder, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	return &Recorder{
		store: store, ledger: ledger{store.conn}, source: source, cfg: cfg, log: cfg.Logger,
		metrics: m, status: newStatus(cfg.Now()), filled: [2]filled{{rows: newRows()}, {rows: newRows()}},
	}, nil
}

// filled are records as rows.
type filled struct {
	entries []event.RecordEntry
	rows    *rows
	traces  []string // traceparents of those whose traces are recorded
}

// Run brings the tables up to date and records until ctx ends, then returns nil. While ClickHouse or
// the log fails it tries again, with pauses that grow to 2 s; it logs when that begins and when it
// ends. What was begun when ctx ends is finished by the next Run,
// of this recorder or another one. Not more than one Run at a time.
func (r *Recorder) Run(ctx context.Context) error {
	pause := firstRetry
	for {
		before := r.position
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if r.position > before {
			pause = firstRetry
		}
		r.failed(err)
		r.observe(ctx, false)
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		pause = min(pause*2, maxRetry)
	}
}

// failed notes that recording has stopped. It is logged once, until it works again.
func (r *Recorder) failed(err error) {
	r.metrics.errors.Inc()
	r.metrics.connected.Set(0)
	if r.status.away(err, r.cfg.Now()) {
		r.log.Warn().Err(err).Uint64("position", r.position).
			Msg("recording to ClickHouse has stopped and is tried again; records wait in the log")
	}
}

// session records until something fails.
func (r *Recorder) session(ctx context.Context) error {
	if err := r.resume(ctx); err != nil {
		return err
	}
	r.metrics.connected.Set(1)
	if away, changed := r.status.back(r.cfg.Now()); changed {
		r.log.Info().Str("log_epoch", r.at.epoch).Uint64("position", r.position).Dur("away", away).
			Msg("recording to ClickHouse works")
	}
	var next *filled // read ahead
	for {
		batch := next
		if next = nil; batch == nil {
			entries, err := r.collect(ctx)
			if err != nil {
				return err
			}
			batch = r.fill(entries)
		}
		if len(batch.entries) > 0 {
			var err error
			if next, err = r.record(ctx, batch); err != nil {
				return err
			}
		}
		r.observe(ctx, len(batch.entries) == 0)
		if err := r.purge(ctx); err != nil {
			return err
		}
	}
}

// collect returns the next batch: what comes within BatchWait of its first record, or none if none
// comes for a while. It asks the log twice and not for every record.
func (r *Recorder) collect(ctx context.Context) ([]event.RecordEntry, error) {
	entries, err := r.read(ctx, r.position, r.cfg.BatchRecords, idleWait)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	if len(entries) < min(r.cfg.BatchRecords, readLimit) { // else there is more already
		timer := time.NewTimer(r.cfg.BatchWait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return r.topUp(ctx, entries, entries[len(entries)-1].Seq)
}

// topUp adds to a batch what the log has after a sequence.
func (r *Recorder) topUp(ctx context.Context, entries []event.RecordEntry, after uint64) ([]event.RecordEntry, error) {
	for !r.full(entries) {
		more, err := r.read(ctx, after, r.cfg.BatchRecords-len(entries), topUpWait)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			break
		}
		entries = append(entries, more...)
		after = more[len(more)-1].Seq
	}
	return entries, nil
}

// full reports whether a batch takes no more, so that there is more probably.
func (r *Recorder) full(entries []event.RecordEntry) bool {
	bytes := 0
	for _, e := range entries {
		bytes += len(e.Data)
	}
	return len(entries) >= r.cfg.BatchRecords || bytes >= maxBatchBytes
}

// readLimit is how many records are asked of the log at once.
const readLimit = 10_000

func (r *Recorder) read(ctx context.Context, after uint64, limit int, wait time.Duration) ([]event.RecordEntry, error) {
	entries, err := r.source.Records(ctx, after, min(limit, readLimit), wait)
	if err != nil {
		return nil, fmt.Errorf("read the record log after %d: %w", after, err)
	}
	return entries, nil
}

// record commits the entries as one batch. If there are more, it has them read meanwhile and returns the next batch.
func (r *Recorder) record(ctx context.Context, f *filled) (next *filled, err error) {
	begun := r.cfg.Now()
	b := newBatch(r.at, r.position+1, f.entries, r.cfg.Name)
	all, working := errgroup.WithContext(ctx)
	all.Go(func() error { return r.insert(working, f, b) })
	if r.full(f.entries) {
		all.Go(func() error {
			if entries, err := r.topUp(working, nil, b.to); err == nil && len(entries) > 0 {
				next = r.fill(entries)
			}
			return nil // what fails is tried again, and told then
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	r.commit(b)
	r.trace(f, begun)
	return next, nil
}

// insert proposes the batch and inserts its rows.
func (r *Recorder) insert(ctx context.Context, f *filled, b batch) error {
	propose, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	err := r.ledger.propose(propose, b, r.cfg.Now())
	cancel()
	if err != nil {
		return err
	}
	all, inserting := errgroup.WithContext(ctx)
	for _, block := range append(f.rows.blocks(), &f.rows.rollups.block) {
		if block.len() == 0 {
			continue
		}
		all.Go(func() error {
			return r.timed(inserting, block.table, func(ctx context.Context) error {
				return insert(ctx, r.store.conn, block, b.name(), b.name())
			})
		})
	}
	return all.Wait()
}

// trace tells of each record that it has been inserted.
func (r *Recorder) trace(f *filled, begun time.Time) {
	now := r.cfg.Now()
	for _, t := range f.traces {
		r.cfg.Tracer.Past(t, "record", tracing.Consumer, begun, now, tracing.Records.Int64(int64(len(f.entries))))
	}
}

// fill makes the rows of a batch. They last until the next but one.
func (r *Recorder) fill(entries []event.RecordEntry) *filled {
	r.turn = 1 - r.turn
	f := &r.filled[r.turn]
	f.rows.reset()
	f.entries, f.traces = entries, f.traces[:0]
	for _, e := range entries {
		record, err := decode(e)
		if err != nil {
			r.metrics.unreadable.Inc()
			r.log.Error().Err(err).Uint64("seq", e.Seq).Msg("a record cannot be read; the audit table says so in its place")
			f.rows.addUnreadable(r.at, e.Seq, r.cfg.Now(), err)
			continue
		}
		f.rows.add(r.at, e.Seq, record)
		if d := record.Delivery; d != nil && r.cfg.Tracer != nil && tracing.Sampled(d.TraceParent) {
			f.traces = append(f.traces, d.TraceParent)
		}
	}
	return f
}

func (r *Recorder) timed(ctx context.Context, table string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	began := time.Now()
	err := do(ctx)
	r.metrics.insertSeconds.WithLabelValues(table).Observe(time.Since(began).Seconds())
	return err
}

func (r *Recorder) commit(b batch) {
	r.position, r.committed = b.to, r.cfg.Now()
	r.metrics.records.Add(float64(b.records))
	r.metrics.batchRecords.Observe(float64(b.records))
}

// observe brings the status up to date. What was there at the last look, and could not be read since, was erased:
// idle tells that nothing was read. The log's failure to tell is seen elsewhere.
func (r *Recorder) observe(ctx context.Context, idle bool) {
	_, last, err := r.source.RecordBounds(ctx)
	if err != nil {
		return
	}
	reached := r.position
	if idle {
		reached = max(reached, min(r.seen, last))
	}
	r.seen = last
	lag := max(last, reached) - reached
	r.metrics.lag.Set(float64(lag))
	r.status.observe(reached, lag)
}

// purge removes from the log, once a minute, what was committed long enough ago. A log that cannot
// purge is no reason to stop recording.
func (r *Recorder) purge(ctx context.Context) error {
	now := r.cfg.Now()
	if now.Sub(r.purged) < purgeEvery {
		return nil
	}
	before := now.Add(-r.cfg.PurgeAfter)
	upTo := r.position
	if !r.committed.Before(before) {
		var err error
		if upTo, err = r.ledger.settled(ctx, r.at, before); err != nil {
			return err
		}
	}
	r.purged = now // not before: the next session looks at once where ClickHouse did not answer
	first, _, err := r.source.RecordBounds(ctx)
	if err == nil && upTo > 0 && upTo >= first {
		err = r.source.PurgeRecords(ctx, upTo)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		r.metrics.errors.Inc()
		r.log.Warn().Err(err).Uint64("up_to", upTo).Msg("the record log cannot be purged; it grows")
	}
	return nil
}

// Status may be called at any time, by any goroutine.
func (r *Recorder) Status() RecorderStatus { return r.status.get() }
