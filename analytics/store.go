package analytics

import (
	"context"
	"errors"
	"time"
)

var errTodo = errors.New("not there yet")

// Store is a database in ClickHouse with the schema of this package. It is safe for concurrent use.
type Store struct{}

// Open checks the DSN, clickhouse://user:password@host:port/database, and returns a store that
// connects when it is first used. The database defaults to "wedsync".
func Open(ctx context.Context, dsn string) (*Store, error) { return nil, errTodo }

// Close closes the connections.
func (s *Store) Close() error { return nil }

// Migrate creates the database and brings its schema up to date. Concurrent calls are harmless.
func (s *Store) Migrate(ctx context.Context) error { return errTodo }

// Version returns the server's version, such as "26.7.2.1".
func (s *Store) Version(ctx context.Context) (string, error) { return "", errTodo }

// Counts is how many rows each table has.
type Counts struct {
	Attempts   uint64 `json:"attempts"`
	Deliveries uint64 `json:"deliveries"`
	Audit      uint64 `json:"audit"`
}

// Counts counts the rows of each table.
func (s *Store) Counts(ctx context.Context) (Counts, error) { return Counts{}, errTodo }

// AttemptRow is one call to a vendor as the attempts table holds it.
type AttemptRow struct {
	DeliveryID  string        `json:"deliveryId"`
	Replay      int           `json:"replay"`
	Number      int           `json:"number"`
	Node        string        `json:"node"`
	EventID     string        `json:"eventId"`
	EventType   string        `json:"eventType"`
	Channel     string        `json:"channel"`
	Integration string        `json:"integration"`
	Vendor      string        `json:"vendor"`
	StartedAt   time.Time     `json:"startedAt"`
	Duration    time.Duration `json:"duration"`
	Status      int           `json:"status"`
	Verdict     string        `json:"verdict"`
	Reason      string        `json:"reason"`
	Detail      string        `json:"detail"`
	Probe       bool          `json:"probe"`
}

// Attempts returns the attempts of a delivery in the order they were made.
func (s *Store) Attempts(ctx context.Context, deliveryID string) ([]AttemptRow, error) {
	return nil, errTodo
}

// IntegrationSummary is what became of one integration's deliveries. A delivery counts once, by its
// final outcome, however often it was replayed.
type IntegrationSummary struct {
	Integration string        `json:"integration"`
	Vendor      string        `json:"vendor"`
	Sent        uint64        `json:"sent"` // deliveries for which at least one call was made
	Delivered   uint64        `json:"delivered"`
	Dead        uint64        `json:"dead"`
	Skipped     uint64        `json:"skipped"`
	Attempts    uint64        `json:"attempts"`
	P50         time.Duration `json:"p50"` // from accepting the event to the end of the delivery, delivered ones only
	P99         time.Duration `json:"p99"`
}

// Summary tells of each integration what ended, and was tried, at or after since; ordered by
// integration. The zero time means from the beginning.
func (s *Store) Summary(ctx context.Context, since time.Time) ([]IntegrationSummary, error) {
	return nil, errTodo
}
