package analytics

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

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

// Migrate creates the database where it is missing and brings its tables up to date. Concurrent calls
// do no harm. The user needs CREATE TABLE and ALTER on the database, and CREATE DATABASE if it is
// missing.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.createDatabase(ctx); err != nil {
		return fmt.Errorf("database %s: %w", s.options.Auth.Database, err)
	}
	if err := s.conn.Exec(ctx, versionsTable); err != nil {
		return fmt.Errorf("create schema_versions: %w", err)
	}
	var at uint32
	if err := s.conn.QueryRow(ctx, "SELECT max(version) FROM schema_versions").Scan(&at); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	steps, err := schema.Steps()
	if err != nil {
		return err
	}
	if int(at) > len(steps) {
		return fmt.Errorf("%w: database %s has version %d, this one knows %d; use the newer release, or another database",
			ErrNewerSchema, s.options.Auth.Database, at, len(steps))
	}
	for _, step := range steps[at:] {
		for _, statement := range step.Statements {
			if err := s.conn.Exec(ctx, statement); err != nil {
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

// createDatabase does so only if the database is missing: many users may not, and need not. A database
// that is missing cannot be connected to, so it goes by the server's default one.
func (s *Store) createDatabase(ctx context.Context) error {
	err := s.conn.Ping(ctx)
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) || exception.Code != unknownDatabase {
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
	return conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+s.options.Auth.Database)
}

const unknownDatabase = 81 // ClickHouse: ErrorCodes.cpp, UNKNOWN_DATABASE
