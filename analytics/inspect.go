package analytics

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/analytics/queries"
	"github.com/wedsync/wedsync/analytics/schema"
)

// SchemaStatus is how a database stands.
type SchemaStatus struct {
	Database string        `json:"database"`
	Server   string        `json:"server"` // its version
	Version  int           `json:"version"`
	Latest   int           `json:"latest"`  // what this release knows
	Pending  []string      `json:"pending"` // the files that Migrate would apply, in order
	Tables   []TableStatus `json:"tables"`  // none where there is no database yet
}

// TableStatus is what one server has of a table.
type TableStatus struct {
	Name  string `json:"name"`
	Rows  uint64 `json:"rows"`
	Bytes uint64 `json:"bytes"` // on disk
	Parts uint64 `json:"parts"`
}

// SchemaStatus tells how the database stands, and changes nothing.
func (s *Store) SchemaStatus(ctx context.Context) (SchemaStatus, error) {
	steps, err := schema.Steps()
	if err != nil {
		return SchemaStatus{}, err
	}
	status := SchemaStatus{Database: s.options.Auth.Database, Latest: len(steps), Pending: []string{}, Tables: []TableStatus{}}
	status.Server, err = s.Version(ctx)
	switch {
	case isException(err, unknownDatabase):
	case err != nil:
		return status, err
	default:
		if err := s.tables(ctx, &status); err != nil {
			return status, err
		}
	}
	for _, step := range steps[min(status.Version, len(steps)):] {
		status.Pending = append(status.Pending, step.Name)
	}
	return status, nil
}

func (s *Store) tables(ctx context.Context, status *SchemaStatus) error {
	var version uint32
	err := s.conn.QueryRow(ctx, "SELECT max(version) FROM schema_versions").Scan(&version)
	if err != nil && !isException(err, unknownTable) {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	status.Version = int(version)
	rows, err := s.conn.Query(ctx, queries.Tables)
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	for rows.Next() {
		var t TableStatus
		if err := rows.Scan(&t.Name, &t.Rows, &t.Bytes, &t.Parts); err != nil {
			return fmt.Errorf("list tables: %w", err)
		}
		status.Tables = append(status.Tables, t)
	}
	return rows.Err()
}

// What ClickHouse answers (ErrorCodes.cpp).
const (
	tableExists     = 57 // TABLE_ALREADY_EXISTS
	unknownTable    = 60 // UNKNOWN_TABLE
	unknownDatabase = 81 // UNKNOWN_DATABASE
)

func isException(err error, code int32) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && exception.Code == code
}
