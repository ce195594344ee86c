package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
)

// Recorder is the record log. Record returns once the record is durable, and stores one record for
// each msgID; it is safe for concurrent use.
type Recorder interface {
	Record(ctx context.Context, msgID string, r *event.Record) error
}

// Config is what New needs.
type Config struct {
	Log     Recorder // required
	Node    string   // name of this node, for the records
	Queue   int      // records that may wait; default 8192
	Writers int      // goroutines that write; default 4
	Logger  zerolog.Logger
	Now     func() time.Time      // default time.Now
	Metrics prometheus.Registerer // nil: none
}

const defaultQueue = 8192

// retryAfter is how long a writer waits after the record log refused a record.
const retryAfter = 500 * time.Millisecond

// Log takes audit records. It is safe for concurrent use.
type Log struct {
	cfg     Config
	queue   chan event.Audit
	prefix  string // of message ids
	count   atomic.Uint64
	stop    context.CancelFunc
	writers sync.WaitGroup

	written prometheus.Counter
	dropped prometheus.Counter
	waiting prometheus.GaugeFunc

	mu     sync.RWMutex
	closed bool
}

// New returns a log that is running.
func New(cfg Config) (*Log, error) {
	if cfg.Log == nil {
		return nil, errors.New("audit: Config.Log is missing")
	}
	if cfg.Queue == 0 {
		cfg.Queue = defaultQueue
	}
	if cfg.Writers == 0 {
		cfg.Writers = 4
	}
	if cfg.Queue < 0 || cfg.Writers < 0 {
		return nil, fmt.Errorf("audit: Queue is %d and Writers %d; both must be positive", cfg.Queue, cfg.Writers)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Log{cfg: cfg, queue: make(chan event.Audit, cfg.Queue), prefix: "aud_" + rand.Text() + ":"}
	if err := l.register(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("audit: metrics: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	for range cfg.Writers {
		l.writers.Go(func() { l.write(ctx) })
	}
	return l, nil
}

func (l *Log) register(reg prometheus.Registerer) error {
	l.written = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wedsync_audit_records_total", Help: "Audit records written to the record log.",
	})
	l.dropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wedsync_audit_dropped_total", Help: "Audit records lost because the record log took none and the queue was full. Should be 0.",
	})
	l.waiting = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wedsync_audit_waiting", Help: "Audit records that wait to be written.",
	}, func() float64 { return float64(len(l.queue)) })
	if reg == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{l.written, l.dropped, l.waiting} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Audit queues a record; a zero At is now. It never blocks.
func (l *Log) Audit(a event.Audit) {
	if a.At.IsZero() {
		a.At = l.cfg.Now()
	}
	a.At = a.At.UTC()
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.closed {
		select {
		case l.queue <- a:
			return
		default:
		}
	}
	l.lose(a, nil)
}

// lose is the one place where a record ends unwritten: what it said goes to the node's own log.
func (l *Log) lose(a event.Audit, err error) {
	l.dropped.Inc()
	l.cfg.Logger.Error().Err(err).Time("at", a.At).Str("actor", a.Actor).Str("action", a.Action).Str("target", a.Target).
		Str("outcome", a.Outcome).Str("from", a.From).Msg("an audit record could not be written")
}

// write moves records to the record log until the queue is closed and empty, or ctx ends.
func (l *Log) write(ctx context.Context) {
	for a := range l.queue {
		id := l.prefix + strconv.FormatUint(l.count.Add(1), 10) // one for all tries: an answer may be lost
		for {
			err := l.cfg.Log.Record(ctx, id, &event.Record{V: event.Version, Node: l.cfg.Node, Audit: &a})
			if err == nil {
				l.written.Inc()
				break
			}
			if !pause(ctx, retryAfter) {
				l.lose(a, err)
				break
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Close writes what waits and ends the writers. When ctx ends first, what is left is counted and
// logged as lost, and ctx's error is returned. It can be called more than once.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.writers.Wait()
	}()
	defer l.stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	l.stop()
	<-done
	return fmt.Errorf("audit: closing with records unwritten: %w", ctx.Err())
}
