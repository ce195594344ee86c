package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/embedded"
)

type analyticsCmd struct {
	Migrate analyticsMigrateCmd `cmd:"" help:"Bring ClickHouse's tables up to date."`
	Status  analyticsStatusCmd  `cmd:"" help:"Show which version ClickHouse's tables have, and how much is in them."`
}

type analyticsMigrateCmd struct{ serveCmd }

func (analyticsMigrateCmd) Help() string {
	return `A node that records does so by itself; this is for one whose user may not change tables, and for seeing that it
works before an upgrade. One at a time changes the tables. Flags, file and environment are those of "wedsync serve", and
clickhouse.dsn says where; the embedded engine is started if no node has it.

Example:

    wedsync analytics migrate --clickhouse clickhouse://admin:secret@ch1:9000/wedsync --set clickhouse.cluster=main`
}

func (c analyticsMigrateCmd) Run(ctx context.Context, p printer, w world) error {
	return c.on(ctx, w, func(s *analytics.Store) error {
		before, err := s.SchemaStatus(ctx)
		if err != nil {
			return err
		}
		if err := s.Migrate(ctx); err != nil {
			return err
		}
		after, err := s.SchemaStatus(ctx)
		if err != nil {
			return err
		}
		return p.told(after, "database %s is at version %d; it was at %d", after.Database, after.Version, before.Version)
	})
}

type analyticsStatusCmd struct{ serveCmd }

func (analyticsStatusCmd) Help() string {
	return `Nothing is changed. Flags, file and environment are those of "wedsync serve", and clickhouse.dsn says where; the
embedded engine is started if no node has it.

Example:

    wedsync analytics status --clickhouse clickhouse://reader:secret@ch1:9000/wedsync`
}

func (c analyticsStatusCmd) Run(ctx context.Context, p printer, w world) error {
	return c.on(ctx, w, func(s *analytics.Store) error {
		status, err := s.SchemaStatus(ctx)
		if err != nil {
			return err
		}
		if p.json {
			return p.object(status)
		}
		p.say("database %s: version %d of %d, ClickHouse %s", plain(status.Database), status.Version, status.Latest, plain(status.Server))
		if len(status.Pending) > 0 {
			p.say("to be applied: %s", strings.Join(status.Pending, ", "))
		}
		rows := make([][]string, len(status.Tables))
		for i, t := range status.Tables {
			rows[i] = []string{t.Name, strconv.FormatUint(t.Rows, 10), megabytes(int64(t.Bytes)), strconv.FormatUint(t.Parts, 10)} // #nosec G115 -- below 8 EiB
		}
		return p.table([]string{"table", "rows", "on disk", "parts"}, rows)
	})
}

// on opens what the configuration names and does something with it.
func (c serveCmd) on(ctx context.Context, w world, do func(*analytics.Store) error) (err error) {
	cfg, err := c.load(w)
	if err != nil {
		return err
	}
	dsn := cfg.ClickHouse.DSN
	switch dsn {
	case clickhouseOff:
		return usageError{fmt.Errorf("clickhouse.dsn is %s: name a ClickHouse", clickhouseOff)}
	case clickhouseAuto, clickhouseEmbedded:
		engine, failed := embedded.Start(ctx, embedded.Config{Dir: cfg.Data, Library: cfg.ClickHouse.Library, Logger: zerolog.Nop()})
		if failed != nil {
			return fmt.Errorf("%w; a node that runs has it, and migrates it by itself", failed)
		}
		dsn = engine.DSN()
		defer func() {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			if failed := engine.Stop(stop); err == nil {
				err = failed
			}
		}()
	}
	store, err := analytics.Open(ctx, dsn, analytics.OnCluster(cfg.ClickHouse.Cluster))
	if err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	defer func() { _ = store.Close() }()
	return do(store)
}
