package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/alerts"
	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
)

// alertsLease is of the node that tells for all which budgets burn.
const alertsLease = "alerts"

// alertsKey is where the state of the burn alerts is, among the configuration.
const alertsKey = "alert.slo"

// openAlerts makes what tells people that error budgets burn; addParts runs it.
func (n *node) openAlerts(ctx context.Context) error {
	config, err := n.journal.KV(ctx, "config")
	if err != nil {
		return err
	}
	c := n.cfg.Alerts
	n.alerts, err = alerts.New(alerts.Config{
		Source: &burning{records: n.records, system: n.system}, Ledger: alertLedger{config}, Publisher: alertPublisher{n.ingest},
		Every: c.Every, ResolveAfter: c.ResolveAfter, MinFailures: uint64(c.MinFailures), // #nosec G115 -- at least 1, by Validate
		Metrics: n.metrics, Logger: n.part("alerts"),
	})
	return err
}

// addAlerts has one node of all evaluate the alerts, until the group ends.
func (n *node) addAlerts() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	n.group.Add(func() error {
		defer close(ended)
		if err := n.journal.Leases().Hold(ctx, alertsLease, n.alerts.Run); err != nil && ctx.Err() == nil {
			return fmt.Errorf("alerts: %w", err)
		}
		<-ctx.Done()
		return nil
	}, func(error) { stop(); <-ended })
}

// burning tells how budgets burn: by what is recorded, or by what the nodes themselves have counted in the last hour
// where there is no ClickHouse, or it is behind. What happens suddenly is always known by the nodes first.
type burning struct {
	records *recording
	system  *actors.System
	headway headway
	away    bool // ClickHouse did not say last; it has been logged
}

var _ alerts.Source = (*burning)(nil)

// Burn implements alerts.Source.
func (b *burning) Burn(ctx context.Context) (rows []analytics.BurnRow, since time.Time, err error) {
	now := time.Now().UTC()
	numbers, _ := b.system.Live(ctx, live.Query{By: analytics.ByVendor, Last: 60, Series: true})
	if books := b.records.books(); books != nil && b.records.trouble() == "" {
		rows, err := b.recorded(ctx, books, now)
		if err == nil {
			if b.away {
				b.away = false
				b.records.log.Info().Msg("ClickHouse says how budgets burn again")
			}
			return append(rows, numbers.Burn(now, live.SuddenPair())...), time.Time{}, nil
		}
		if ctx.Err() == nil && !b.away {
			b.away = true
			b.records.log.Warn().Err(err).Msg("ClickHouse does not say how budgets burn; the last hour's live numbers stand in until it does")
		}
	}
	return numbers.Burn(now, append(analytics.BurnPairs(), live.SuddenPair())...), numbers.Young(now), nil
}

// recorded asks ClickHouse, if it is not behind: the recorder may be on another node, and stuck.
func (b *burning) recorded(ctx context.Context, books *books, now time.Time) ([]analytics.BurnRow, error) {
	_, last, err := books.log.RecordBounds(ctx)
	if err != nil {
		return nil, err
	}
	reached, err := books.recorder.Reached(ctx)
	if err != nil {
		return nil, err
	}
	if late := b.headway.late(reached, last, now); late > staleAfter {
		return nil, fmt.Errorf("%d records wait in the log, the first of them for %v", last-reached, late.Round(time.Second))
	}
	return books.Burn(ctx, analytics.SLOQuery{By: analytics.ByVendor, Now: now})
}

// staleAfter is how late ClickHouse may be where alerts are to go by it. It is 5 s at most when all is well.
const staleAfter = 30 * time.Second

// headway tells how late the records are that ClickHouse waits for, from one look to the next.
type headway struct {
	seq uint64 // the log's last record
	at  time.Time
}

// late is for how long at least a record waits, of those up to last; 0 where all that were there at a look are recorded.
func (h *headway) late(reached, last uint64, now time.Time) time.Duration {
	if reached >= h.seq || h.at.IsZero() {
		*h = headway{last, now}
		return 0
	}
	return now.Sub(h.at)
}

// alertLedger keeps the alerts' state in a bucket of the log.
type alertLedger struct{ bucket *journal.Bucket }

var _ alerts.Ledger = alertLedger{}

// Load implements alerts.Ledger.
func (l alertLedger) Load(ctx context.Context) ([]byte, uint64, error) {
	v, err := l.bucket.Get(ctx, alertsKey)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, 0, nil
	}
	return v.Data, v.Revision, err
}

// Save implements alerts.Ledger.
func (l alertLedger) Save(ctx context.Context, data []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		return l.bucket.Create(ctx, alertsKey, data)
	}
	return l.bucket.Update(ctx, alertsKey, data, revision)
}

// alertPublisher takes what is told in as an event like any other.
type alertPublisher struct{ ingest *ingest.Ingest }

var _ alerts.Publisher = alertPublisher{}

// Publish implements alerts.Publisher.
func (p alertPublisher) Publish(ctx context.Context, n alerts.Notice) error {
	_, err := p.ingest.Publish(ctx, ingest.Draft{
		ID: n.ID, Channel: n.Channel, Type: n.Type, OccurredAt: n.At, Payload: n.Payload, Source: event.SystemSource,
	})
	return err
}
