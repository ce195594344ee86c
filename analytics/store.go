package analytics

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/analytics/queries"
)

// DefaultDatabase is the database where the DSN names none.
const DefaultDatabase = "wedsync"

// Store is a database in ClickHouse with the tables of this package. It is safe for concurrent use.
type Store struct {
	conn    driver.Conn
	options *clickhouse.Options
	cluster string
	stale   time.Duration // how old a lock on the schema is that was left behind
}

// Option changes how a store is opened.
type Option func(*Store)

// OnCluster makes Migrate create replicated tables on all servers of a cluster, by the name that the servers know it
// by; "": there is one server.
func OnCluster(name string) Option { return func(s *Store) { s.cluster = name } }

// DSNError says what is wrong with a DSN, without its password.
type DSNError struct{ Reason string }

func (e *DSNError) Error() string {
	return "ClickHouse DSN: " + e.Reason + "; write it like clickhouse://user:password@host:9000/database"
}

// database names are not quoted anywhere, so they are plain.
var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// Open returns a store for a DSN, clickhouse://user:password@host:port/database, with any parameters
// of clickhouse-go; the database defaults to DefaultDatabase. It does not connect: what comes of that
// shows in the first call. The error is a *DSNError.
func Open(_ context.Context, dsn string, choices ...Option) (*Store, error) {
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, &DSNError{Reason: "it cannot be parsed"} // err may quote the password
	}
	if options.Auth.Database == "" {
		options.Auth.Database = DefaultDatabase
	}
	if !databaseName.MatchString(options.Auth.Database) {
		return nil, &DSNError{Reason: fmt.Sprintf("database %.70q: use letters, digits and _", options.Auth.Database)}
	}
	if options.Compression == nil {
		options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	if options.DialTimeout == 0 {
		options.DialTimeout = 5 * time.Second
	}
	if options.ReadTimeout == 0 {
		options.ReadTimeout = time.Minute
	}
	options.ClientInfo.Products = append(options.ClientInfo.Products, struct{ Name, Version string }{Name: "wedsync"})
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, &DSNError{Reason: err.Error()}
	}
	s := &Store{conn: conn, options: options, stale: lockStale}
	for _, choose := range choices {
		choose(s)
	}
	return s, nil
}

// Close closes the connections.
func (s *Store) Close() error { return s.conn.Close() }

// Version returns the server's version, such as "26.7.2.1".
func (s *Store) Version(ctx context.Context) (string, error) {
	var version string
	if err := s.conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return "", fmt.Errorf("ClickHouse version: %w", err)
	}
	return version, nil
}

// Counts is how many rows each table has.
type Counts struct {
	Attempts   uint64 `json:"attempts"`
	Deliveries uint64 `json:"deliveries"`
	Receipts   uint64 `json:"receipts"`
	Audit      uint64 `json:"audit"`
}

// Counts counts the rows of each table.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	if err := s.conn.QueryRow(ctx, queries.Counts).Scan(&c.Attempts, &c.Deliveries, &c.Receipts, &c.Audit); err != nil {
		return Counts{}, fmt.Errorf("count rows: %w", err)
	}
	return c, nil
}

// with returns a context that carries a query's named parameters.
func with(ctx context.Context, parameters clickhouse.Parameters) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithParameters(parameters))
}
