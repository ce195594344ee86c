package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// freshness is how long ClickHouse may take to know of everything.
const freshness = 15 * time.Second

// reckon counts what arrived and reads the table back from ClickHouse.
func (s *stage) reckon(ctx context.Context, begun time.Time, r *Result) error {
	s.story.scene(0, "The books", "read back from ClickHouse")
	s.arrivals(r)
	wanted, _ := s.due.now()
	rows, err := s.summary(ctx, begun, uint64(len(wanted)))
	if err != nil {
		return fmt.Errorf("demo: ClickHouse: %w", err)
	}
	for _, row := range rows {
		r.Deliveries += row.Delivered + row.Dead + row.Skipped
		r.Delivered += row.Delivered
		r.Dead += row.Dead
	}
	s.table(rows)
	if r.SuccessRate, err = s.successRate(ctx, begun, uint64(len(wanted))); err != nil {
		return fmt.Errorf("demo: success rate: %w", err)
	}
	if r.ClickHouse, err = s.cfg.ClickHouse.Version(ctx); err != nil {
		return fmt.Errorf("demo: ClickHouse's version: %w", err)
	}
	if r.Lost > 0 || r.Deliveries != uint64(len(wanted)) || r.Delivered != r.Deliveries {
		return fmt.Errorf("demo: %d deliveries were due; %d did not arrive, ClickHouse has %d, %d of them delivered", len(wanted), r.Lost, r.Deliveries, r.Delivered)
	}
	return nil
}

// arrivals counts at the clients and at the vendors.
func (s *stage) arrivals(r *Result) {
	events, _ := s.events.now()
	distinct := map[string]bool{}
	for _, e := range events {
		if distinct[e.ID] {
			r.Duplicates++
		}
		distinct[e.ID] = true
	}
	r.Events = len(distinct)
	receipts, _ := s.cfg.Receipts.now()
	for _, receipt := range receipts {
		if receipt.Taken && receipt.Repeat > 0 {
			r.Duplicates++
		}
	}
	wanted, _ := s.due.now()
	for _, d := range wanted {
		if !slices.ContainsFunc(receipts, d.is) {
			r.Lost++
		}
	}
}

// summary waits until ClickHouse knows of so many deliveries; what it knows after a while is the answer.
func (s *stage) summary(ctx context.Context, begun time.Time, wanted uint64) (rows []analytics.IntegrationSummary, err error) {
	err = fresh(ctx, func(ctx context.Context) (bool, error) {
		var err error
		rows, err = s.cfg.ClickHouse.Summary(ctx, begun)
		var delivered uint64
		for _, row := range rows {
			delivered += row.Delivered
		}
		return delivered >= wanted, err
	})
	if len(rows) > 0 {
		return rows, nil // what is missing is counted
	}
	return nil, err
}

// successRate is that of the objective, once ClickHouse has counted all, replays too; or what it is after a while.
func (s *stage) successRate(ctx context.Context, begun time.Time, wanted uint64) (rate float64, err error) {
	err = fresh(ctx, func(ctx context.Context) (bool, error) {
		report, err := s.cfg.ClickHouse.SLO(ctx, analytics.SLOQuery{By: analytics.ByOverall, Since: begun, Now: time.Now().Add(time.Second)})
		if err != nil || len(report.Rows) != 1 {
			return false, err
		}
		rate = report.Rows[0].Success.Rate
		return report.Rows[0].Delivered >= wanted, nil
	})
	if rate > 0 {
		return rate, nil
	}
	return 0, err
}

// fresh looks until all that is wanted is there, or that takes too long.
func fresh(ctx context.Context, there func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, freshness)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		all, err := there(ctx)
		if all && err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func (s *stage) table(rows []analytics.IntegrationSummary) {
	w := tabwriter.NewWriter(s.cfg.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\n  integration\tvendor\tsent\tdelivered\tdead\tattempts\tp50\tp99\t")
	for _, r := range rows {
		fmt.Fprintf(w, "  %s\t%s\t%d\t%d\t%d\t%d\t%v\t%v\t\n", r.Integration, r.Vendor, r.Sent, r.Delivered, r.Dead, r.Attempts,
			round(r.P50), round(r.P99))
	}
	_ = w.Flush()
	fmt.Fprintln(s.cfg.Out)
}

func round(d event.Duration) time.Duration { return time.Duration(d).Round(100 * time.Microsecond) }

// deadLetter waits for an integration's dead letter.
func (s *stage) deadLetter(ctx context.Context, integration string) (seq uint64, letter event.DeadLetter, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := s.cfg.Node.Call(ctx, http.MethodGet, "/api/dead-letters?integration="+url.QueryEscape(integration), nil)
		if err != nil {
			return 0, letter, err
		}
		var list struct {
			Items []struct {
				Seq    uint64           `json:"seq"`
				Letter event.DeadLetter `json:"letter"`
			} `json:"items"`
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return 0, letter, err
		}
		if len(list.Items) > 0 {
			return list.Items[0].Seq, list.Items[0].Letter, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, letter, fmt.Errorf("%s has no dead letter: %w", integration, ctx.Err())
		}
	}
}
