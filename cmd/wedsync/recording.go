package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/embedded"
	"github.com/wedsync/wedsync/cluster/journal"
)

// recording brings records from the log to ClickHouse: it runs the embedded engine, if that is what
// is configured, and a recorder. Without ClickHouse, records wait in the log.
type recording struct {
	cfg     ClickHouseConfig
	node    string
	dir     string
	source  analytics.Source
	leases  func() *journal.Leases
	alone   bool // no other node shares the log
	metrics prometheus.Registerer
	tracer  *tracing.Tracer
	log     zerolog.Logger

	mu    sync.Mutex
	state string // why there is no recorder
	store *analytics.Store
	rec   *analytics.Recorder
	held  bool // this node records; else another one does
}

const (
	stateStarting = "starting: records wait in the log"
	stateOff      = "off: records wait in the log"
	stateMissing  = "none: records wait in the log"
	stateShared   = "none: records wait in the log; the nodes of a cluster need one that they all reach (clickhouse.dsn)"
)

// current returns the store to ask, or nil while there is none.
func (r *recording) current() *analytics.Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store
}

// books are what is recorded, and what is about to be.
type books struct {
	*analytics.Store
	recorder *analytics.Recorder
	log      analytics.Source
}

// books returns the store to ask with its recorder, or nil while there is none.
func (r *recording) books() *books {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil {
		return nil
	}
	return &books{r.store, r.rec, r.source}
}

// Erase takes a wedding out of what is recorded when the records that are on their way are there.
func (b *books) Erase(ctx context.Context, wedding string) (rows, left uint64, err error) {
	_, last, err := b.log.RecordBounds(ctx)
	if err == nil {
		err = b.recorder.CaughtUp(ctx, last)
	}
	if err != nil {
		return 0, 0, err
	}
	return b.Store.Erase(ctx, wedding)
}

// trouble says why records do not get to ClickHouse at the moment; "" when they do.
func (r *recording) trouble() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rec == nil {
		return r.state
	}
	if status := r.rec.Status(); r.held && !status.Connected {
		return fmt.Sprintf("not connected since %s, %d records wait in the log: %s", status.Since.UTC().Format(time.RFC3339), status.Lag, status.LastError)
	}
	return ""
}

func (r *recording) set(state string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = state
}

// addTo adds the engine and the recorder to the group, to be stopped in the opposite order.
func (r *recording) addTo(group *run.Group) {
	recorder, stopRecorder := context.WithCancel(context.Background())
	engine, stopEngine := context.WithCancel(context.Background())
	dsn := make(chan string, 1)
	recorded := make(chan struct{})
	group.Add(func() error {
		defer close(recorded)
		return r.record(recorder, dsn)
	}, func(error) { stopRecorder(); <-recorded })
	group.Add(func() error { return r.keepEngine(engine, dsn) }, func(error) { stopEngine() })
}

// record waits for an address and records there until ctx ends.
func (r *recording) record(ctx context.Context, dsn <-chan string) error {
	var address string
	select {
	case address = <-dsn:
	case <-ctx.Done():
		return nil
	}
	store, err := analytics.Open(ctx, address, analytics.OnCluster(r.cfg.Cluster))
	if err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	defer func() { _ = store.Close() }()
	rec, err := analytics.NewRecorder(store, r.source, analytics.RecorderConfig{Name: r.node, Tracer: r.tracer, Registerer: r.metrics, Logger: r.log})
	if err != nil {
		return fmt.Errorf("recorder: %w", err)
	}
	r.mu.Lock()
	r.store, r.rec = store, rec
	r.mu.Unlock()
	err = r.leases().Hold(ctx, recorderLease, func(ctx context.Context) error {
		r.hold(true)
		defer r.hold(false)
		return rec.Run(ctx)
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("recorder: %w", err)
	}
	return nil
}

// recorderLease is of the node that records for all.
const recorderLease = "recorder"

func (r *recording) hold(held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
}

// keepEngine sends the address to record at, and starts the embedded engine again when it crashes.
func (r *recording) keepEngine(ctx context.Context, dsn chan<- string) error {
	switch r.cfg.DSN {
	case clickhouseOff:
		r.set(stateOff)
	case clickhouseAuto, clickhouseEmbedded:
		if !r.alone {
			r.set(stateShared)
			break
		}
		return r.runEngine(ctx, dsn)
	default:
		r.set(stateStarting)
		dsn <- r.cfg.DSN
	}
	<-ctx.Done()
	return nil
}

// runEngine runs the embedded engine, which starts itself again after a crash, until ctx ends.
func (r *recording) runEngine(ctx context.Context, dsn chan<- string) error {
	r.set(stateStarting)
	engine, err := embedded.Start(ctx, embedded.Config{Dir: r.dir, Library: r.cfg.Library, Logger: r.log})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil // told to stop while starting
	case r.cfg.DSN == clickhouseEmbedded:
		return fmt.Errorf("clickhouse.dsn is embedded: %w", err)
	default:
		r.set(stateMissing + ": " + err.Error())
		r.log.Warn().Err(err).Msg("without ClickHouse, records wait in the log")
		<-ctx.Done()
		return nil
	}
	r.log.Info().Str("version", engine.Version()).Msg("clickhouse engine runs")
	dsn <- engine.DSN()
	select {
	case <-engine.Done():
		r.log.Error().Err(engine.Err()).Msg("the clickhouse engine has ended: records wait in the log")
		<-ctx.Done()
		return nil
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return engine.Stop(stop)
}

// recordLog is the journal as a recorder reads it.
type recordLog struct{ *journal.Journal }

var _ analytics.Source = recordLog{}

// Records implements analytics.Source.
func (l recordLog) Records(ctx context.Context, after uint64, limit int, wait time.Duration) ([]event.RecordEntry, error) {
	entries, err := l.Journal.Records(ctx, after, limit, wait)
	out := make([]event.RecordEntry, len(entries))
	for i, e := range entries {
		out[i] = event.RecordEntry{Seq: e.Seq, Record: e.Record, Data: e.Data}
	}
	return out, err
}

func (n *node) openRecording(context.Context) error {
	n.records = &recording{
		cfg: n.cfg.ClickHouse, node: n.cfg.Node.Name, dir: n.cfg.Data, source: recordLog{n.journal}, leases: n.journal.Leases, alone: n.ring == nil, metrics: n.metrics, tracer: n.tracer, log: n.part("analytics"), state: stateStarting,
	}
	return nil
}
