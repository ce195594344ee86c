package analytics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// RecorderConfig configures a Recorder.
type RecorderConfig struct {
	BatchRecords int                   // at most so many records in a batch; default 50,000
	BatchWait    time.Duration         // a batch that is not full is inserted after this; default 1 s
	PurgeAfter   time.Duration         // records stay in the log so long after they were committed; default and least 10 min
	Registerer   prometheus.Registerer // nil: no metrics
	Logger       zerolog.Logger
	Now          func() time.Time // default time.Now
}

// Recorder moves records from the log into ClickHouse, each exactly once.
type Recorder struct{}

// NewRecorder returns a recorder that does nothing before Run.
func NewRecorder(store *Store, source Source, cfg RecorderConfig) (*Recorder, error) {
	return nil, errTodo
}

// Run migrates the schema and records until ctx ends, then returns nil. While ClickHouse is away it
// tries again with growing pauses. It may be called once.
func (r *Recorder) Run(ctx context.Context) error { return errTodo }

// RecorderStatus is how a recorder does.
type RecorderStatus struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"` // when Connected last changed
	LastError string    `json:"lastError,omitempty"`
	Position  uint64    `json:"position"` // every record up to it is in ClickHouse
	Lag       uint64    `json:"lag"`      // records in the log behind it
}

// Status may be called at any time, by any goroutine.
func (r *Recorder) Status() RecorderStatus { return RecorderStatus{} }
