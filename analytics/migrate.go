package analytics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/analytics/queries"
	"github.com/wedsync/wedsync/analytics/schema"
)

// ErrNewerSchema is what Migrate returns, wrapped, where a newer release has changed the tables.
var ErrNewerSchema = errors.New("the tables are of a newer release")

const versionsTable = `CREATE TABLE IF NOT EXISTS schema_versions
(
    version    UInt32,
    name       String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree ORDER BY version
COMMENT 'The schema files that were applied'`

// Migrate creates the database where it is missing and brings its tables up to date. One at a time does so; others
// wait for it. The user needs CREATE TABLE, ALTER and DROP TABLE on the database, and CREATE DATABASE if it is
// missing.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.createDatabase(ctx); err != nil {
		return fmt.Errorf("database %s: %w", s.options.Auth.Database, err)
	}
	if err := s.define(ctx, versionsTable); err != nil {
		return fmt.Errorf("create schema_versions: %w", err)
	}
	pending, err := s.pending(ctx)
	if err != nil || len(pending) == 0 {
		return err
	}
	unlock, err := s.lockSchema(ctx)
	if err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	defer unlock()
	if pending, err = s.pending(ctx); err != nil { // somebody else may have been faster
		return err
	}
	for _, step := range pending {
		for _, statement := range step.Statements {
			if err := s.define(ctx, statement); err != nil {
				return fmt.Errorf("schema %s: %w", step.Name, err)
			}
		}
		err := s.conn.Exec(ctx, "INSERT INTO schema_versions (version, name) VALUES ($1, $2)", step.Version, step.Name)
		if err != nil {
			return fmt.Errorf("schema %s: note that it was applied: %w", step.Name, err)
		}
	}
	return nil
}

// define executes a statement of the schema, on all servers where there are several.
func (s *Store) define(ctx context.Context, statement string) error {
	if s.cluster != "" {
		statement = schema.OnCluster(statement, s.cluster)
	}
	return s.conn.Exec(ctx, statement)
}

// pending returns the files that were not applied yet, or ErrNewerSchema.
func (s *Store) pending(ctx context.Context) ([]schema.Step, error) {
	var at uint32
	if err := s.conn.QueryRow(ctx, "SELECT max(version) FROM schema_versions").Scan(&at); err != nil {
		return nil, fmt.Errorf("read the schema's version: %w", err)
	}
	steps, err := schema.Steps()
	if err != nil {
		return nil, err
	}
	if int(at) > len(steps) {
		return nil, fmt.Errorf("%w: database %s has version %d, this one knows %d; use the newer release, or another database",
			ErrNewerSchema, s.options.Auth.Database, at, len(steps))
	}
	return steps[at:], nil
}

// The lock is a table: of those who create it at the same time, one succeeds.
const (
	lockTable   = "CREATE TABLE schema_lock (x UInt8) ENGINE = Memory COMMENT 'There while the tables are brought up to date'"
	unlockTable = "DROP TABLE IF EXISTS schema_lock"
)

// lockStale is how old a lock is that somebody has left behind who was killed. Applying the files takes seconds, and
// what is done twice does no harm.
const lockStale = time.Minute

// lockSchema waits until nobody else changes the tables. What it returns lets others do so.
func (s *Store) lockSchema(ctx context.Context) (unlock func(), err error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.define(ctx, lockTable)
		switch {
		case err == nil:
			return func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
				defer cancel()
				_ = s.define(ctx, unlockTable) // else it goes stale
			}, nil
		case !isException(err, tableExists):
			return nil, err
		}
		var age uint64
		if err := s.conn.QueryRow(ctx, queries.LockAge).Scan(&age); err != nil {
			return nil, err
		}
		if time.Duration(age)*time.Second >= s.stale {
			if err := s.define(ctx, unlockTable); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("somebody else changes the tables, or was killed at it less than %s ago: %w", s.stale, ctx.Err())
		}
	}
}

// createDatabase does so only if the database is missing: many users may not, and need not. A database
// that is missing cannot be connected to, so it goes by the server's default one.
func (s *Store) createDatabase(ctx context.Context) error {
	err := s.conn.Ping(ctx)
	if !isException(err, unknownDatabase) {
		return err
	}
	options := *s.options
	options.Auth.Database = "default"
	options.MaxOpenConns, options.MaxIdleConns = 1, 1
	conn, err := clickhouse.Open(&options)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is lost with it
	statement := "CREATE DATABASE IF NOT EXISTS " + s.options.Auth.Database
	if s.cluster != "" {
		statement = schema.OnCluster(statement, s.cluster)
	}
	return conn.Exec(ctx, statement)
}
