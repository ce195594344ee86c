package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/embedded"
	"github.com/wedsync/wedsync/cluster/journal"
)

// recording brings records from the log to ClickHouse: it keeps the embedded engine running, if that
// is what is configured, and a recorder. Without ClickHouse, records wait in the log.
type recording struct {
	cfg     ClickHouseConfig
	dir     string
	source  analytics.Source
	metrics prometheus.Registerer
	log     zerolog.Logger

	mu    sync.Mutex
	state string // why there is no recorder
	store *analytics.Store
	rec   *analytics.Recorder
}

// clickhouseStatus says where records go.
type clickhouseStatus struct {
	Mode  string                    `json:"mode"`  // "embedded", "server" or "none"
	State string                    `json:"state"` // for people
	Rec   *analytics.RecorderStatus `json:"recorder,omitempty"`
}

const (
	stateStarting = "starting"
	stateOff      = "off: records wait in the log"
	stateMissing  = "no engine was found: records wait in the log"
)

// current returns the store to ask, or nil while there is none.
func (r *recording) current() *analytics.Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store
}

func (r *recording) status() clickhouseStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := clickhouseStatus{Mode: "server", State: r.state}
	switch {
	case r.cfg.DSN == clickhouseOff || r.state == stateMissing:
		s.Mode = "none"
	case r.cfg.DSN == clickhouseAuto || r.cfg.DSN == clickhouseEmbedded:
		s.Mode = "embedded"
	}
	if r.rec != nil {
		status := r.rec.Status()
		s.Rec, s.State = &status, "connected"
		if !status.Connected {
			s.State = "not connected: records wait in the log"
		}
	}
	return s
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
	store, err := analytics.Open(ctx, address)
	if err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	defer func() { _ = store.Close() }()
	rec, err := analytics.NewRecorder(store, r.source, analytics.RecorderConfig{Registerer: r.metrics, Logger: r.log})
	if err != nil {
		return fmt.Errorf("recorder: %w", err)
	}
	r.mu.Lock()
	r.store, r.rec = store, rec
	r.mu.Unlock()
	if err := rec.Run(ctx); err != nil {
		return fmt.Errorf("recorder: %w", err)
	}
	return nil
}

// keepEngine sends the address to record at, and starts the embedded engine again when it crashes.
func (r *recording) keepEngine(ctx context.Context, dsn chan<- string) error {
	switch r.cfg.DSN {
	case clickhouseOff:
		r.set(stateOff)
	case clickhouseAuto, clickhouseEmbedded:
		return r.runEngine(ctx, dsn)
	default:
		r.set(stateStarting)
		dsn <- r.cfg.DSN
	}
	<-ctx.Done()
	return nil
}

func (r *recording) runEngine(ctx context.Context, dsn chan<- string) error {
	r.set(stateStarting)
	cfg := embedded.Config{Dir: r.dir, Library: r.cfg.Library, Logger: r.log}
	pause := time.Second
	for first := true; ; {
		engine, err := embedded.Start(ctx, cfg)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, embedded.ErrNotAvailable) && r.cfg.DSN == clickhouseAuto:
			r.set(stateMissing)
			r.log.Warn().Err(err).Msg("there is no ClickHouse: records wait in the log")
			<-ctx.Done()
			return nil
		case err != nil && first:
			return fmt.Errorf("clickhouse.dsn %s: %w", r.cfg.DSN, err)
		case err != nil:
			r.log.Error().Err(err).Msg("clickhouse engine")
		default:
			r.log.Info().Str("version", engine.Version()).Msg("clickhouse engine runs")
			if first {
				dsn <- engine.DSN()
				cfg.Port = portOf(engine.DSN()) // the recorder knows it by this
				first = false
			}
			select {
			case <-engine.Done():
				r.log.Error().Err(engine.Err()).Msg("the clickhouse engine has ended; starting it again")
				pause = time.Second
			case <-ctx.Done():
				return stopEngine(engine)
			}
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 30*time.Second)
		case <-ctx.Done():
			return nil
		}
	}
}

func stopEngine(engine *embedded.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return engine.Stop(ctx)
}

func portOf(dsn string) int {
	u, err := url.Parse(dsn)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(u.Port())
	return port
}

// recordLog is the journal as a recorder reads it.
type recordLog struct{ *journal.Journal }

var _ analytics.Source = recordLog{}

// Records leaves the decoding to the recorder.
func (l recordLog) Records(ctx context.Context, after uint64, limit int, wait time.Duration) ([]event.RecordEntry, error) {
	entries, err := l.Journal.Records(ctx, after, limit, wait)
	out := make([]event.RecordEntry, len(entries))
	for i, e := range entries {
		out[i] = event.RecordEntry{Seq: e.Seq, Record: e.Record, Data: e.Data}
	}
	return out, err
}

// RecordBounds returns the sequences of the first and the last record; of an empty log, first is last+1.
func (l recordLog) RecordBounds(ctx context.Context) (first, last uint64, err error) {
	status, err := l.Status(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range status.Streams {
		if s.Name == "REC" {
			return s.FirstSeq, s.LastSeq, nil
		}
	}
	return 0, 0, journal.ErrNotFound
}

func (n *node) openRecording(context.Context) error {
	n.records = &recording{
		cfg: n.cfg.ClickHouse, dir: n.cfg.Data, source: recordLog{n.journal}, metrics: n.metrics, log: n.part("analytics"), state: stateStarting,
	}
	return nil
}
