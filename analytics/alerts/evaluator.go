package alerts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/analytics"
)

// Source tells how fast each vendor's budgets burn now, by all pairs of windows that it can tell of.
type Source interface {
	// Since is how far back it knows of all; zero: as far as anybody asks.
	Burn(ctx context.Context) (rows []analytics.BurnRow, since time.Time, err error)
}

// Ledger keeps one value over restarts.
type Ledger interface {
	// Load returns the value and its revision; nil and 0 where there is none.
	Load(ctx context.Context) (data []byte, revision uint64, err error)
	// Save sets the value if it still has that revision, and else fails.
	Save(ctx context.Context, data []byte, revision uint64) (uint64, error)
}

// Publisher publishes events. One of an id that it has published before changes nothing.
type Publisher interface {
	Publish(ctx context.Context, n Notice) error
}

// Config is what New needs. The first three are required.
type Config struct {
	Source    Source
	Ledger    Ledger
	Publisher Publisher

	Every        time.Duration // between two looks; default 15 s
	ResolveAfter time.Duration // of no burning, until an alert is over; default 2 min
	MinFailures  uint64        // in the long window, below which nobody is told; default 5

	Now     func() time.Time      // default time.Now
	Metrics prometheus.Registerer // nil: none are kept
	Logger  zerolog.Logger
}

// The defaults.
const (
	DefaultEvery        = 15 * time.Second
	DefaultResolveAfter = 2 * time.Minute
	DefaultMinFailures  = 5
)

// Evaluator looks at what burns and tells of it. One should run on one node at a time; two do no harm.
type Evaluator struct {
	cfg     Config
	metrics metrics
}

// New returns an Evaluator, or an error that names what is missing.
func New(cfg Config) (*Evaluator, error) {
	if cfg.Source == nil || cfg.Ledger == nil || cfg.Publisher == nil {
		return nil, errors.New("alerts: Source, Ledger and Publisher are required")
	}
	setDefault(&cfg.Every, DefaultEvery)
	setDefault(&cfg.ResolveAfter, DefaultResolveAfter)
	setDefault(&cfg.MinFailures, DefaultMinFailures)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Every < 0 || cfg.ResolveAfter < 0 {
		return nil, fmt.Errorf("alerts: Every %v and ResolveAfter %v must be above zero", cfg.Every, cfg.ResolveAfter)
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("alerts: metrics: %w", err)
	}
	return &Evaluator{cfg, m}, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Run evaluates at once and then again and again, until ctx ends.
func (e *Evaluator) Run(ctx context.Context) error {
	defer e.metrics.open(nil) // what is open is another node's to tell
	ticker := time.NewTicker(e.cfg.Every)
	defer ticker.Stop()
	failing := false
	for {
		err := e.Evaluate(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			e.cfg.Logger.Warn().Err(err).Msg("burn alerts are not evaluated; trying again")
		}
		failing = err != nil
		e.metrics.evaluated(err)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Evaluate looks once and publishes what is to be told. What fails is done by the next call.
func (e *Evaluator) Evaluate(ctx context.Context) error {
	data, revision, err := e.cfg.Ledger.Load(ctx)
	if err != nil {
		return fmt.Errorf("the state of the burn alerts: %w", err)
	}
	before, err := decodeState(data)
	if err != nil {
		return err
	}
	rows, since, err := e.cfg.Source.Burn(ctx)
	if err != nil {
		return fmt.Errorf("how budgets burn: %w", err)
	}
	s, changed := before.next(rows, since, e.cfg.Now().UTC(), &e.cfg)
	if changed {
		if revision, err = e.save(ctx, &s, revision); err != nil {
			return err
		}
	}
	e.metrics.open(s.Alerts)
	if len(s.Untold) == 0 {
		return nil
	}
	untold := len(s.Untold)
	err = e.tell(ctx, &s)
	if len(s.Untold) < untold {
		_, failed := e.save(ctx, &s, revision)
		err = errors.Join(err, failed)
	}
	return err
}

// tell publishes what is untold. What fails stays so, and what is of the same channel behind it; other channels do not
// wait for it.
func (e *Evaluator) tell(ctx context.Context, s *state) error {
	var left []Notice
	var errs []error
	for _, n := range s.Untold {
		if !slices.ContainsFunc(left, func(before Notice) bool { return before.Channel == n.Channel }) {
			err := e.cfg.Publisher.Publish(ctx, n)
			if err == nil {
				e.cfg.Logger.Warn().Str("event_id", n.ID).Str("channel", n.Channel).RawJSON("alert", n.Payload).Msg(n.Type)
				continue
			}
			errs = append(errs, fmt.Errorf("publishing %s on %s: %w", n.ID, n.Channel, err))
		}
		left = append(left, n)
	}
	s.Untold = left
	return errors.Join(errs...)
}

func (e *Evaluator) save(ctx context.Context, s *state, revision uint64) (uint64, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	if revision, err = e.cfg.Ledger.Save(ctx, data, revision); err != nil {
		return 0, fmt.Errorf("the state of the burn alerts: %w", err)
	}
	return revision, nil
}
