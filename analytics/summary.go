package analytics

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/queries"
)

// IntegrationSummary is what became of one integration's deliveries. A delivery counts once, by its
// latest replay's outcome.
type IntegrationSummary struct {
	Integration string         `json:"integration"`
	Vendor      string         `json:"vendor"`
	Sent        uint64         `json:"sent"` // deliveries for which at least one call was made
	Delivered   uint64         `json:"delivered"`
	Dead        uint64         `json:"dead"`
	Skipped     uint64         `json:"skipped"`
	Attempts    uint64         `json:"attempts"` // calls
	Reached     uint64         `json:"reached"`  // deliveries whose message the vendor says was delivered or read
	Read        uint64         `json:"read"`     // of these, read
	Failed      uint64         `json:"failed"`   // deliveries whose message the vendor accepted, and then says failed
	P50         event.Duration `json:"p50"`      // from accepting the event to the end of the delivery, of those delivered; exact, to the microsecond
	P99         event.Duration `json:"p99"`
}

// Summary tells of each integration what ended and what was tried at or after since, ordered by
// integration; with the zero time, all of it.
func (s *Store) Summary(ctx context.Context, since time.Time) ([]IntegrationSummary, error) {
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{"since": micros(since)}), queries.Summary)
	if err != nil {
		return nil, fmt.Errorf("summary: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	var all []IntegrationSummary
	for rows.Next() {
		var i IntegrationSummary
		var p50, p99 int64
		if err := rows.Scan(&i.Integration, &i.Vendor, &i.Sent, &i.Delivered, &i.Dead, &i.Skipped, &i.Attempts, &i.Reached, &i.Read, &i.Failed, &p50, &p99); err != nil {
			return nil, fmt.Errorf("summary: %w", err)
		}
		i.P50, i.P99 = event.Duration(p50)*event.Duration(time.Microsecond), event.Duration(p99)*event.Duration(time.Microsecond)
		all = append(all, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("summary: %w", err)
	}
	return all, nil
}

// micros writes a time for a query; what is before 1970, such as the zero time, is 1970.
func micros(t time.Time) string { return strconv.FormatInt(max(t.UnixMicro(), 0), 10) }

// seconds does so, too.
func seconds(t time.Time) string { return strconv.FormatInt(max(t.Unix(), 0), 10) }

// AttemptRow is one call to a vendor as the attempts table has it.
type AttemptRow struct {
	DeliveryID  string         `json:"deliveryId"`
	Replay      int            `json:"replay"`
	Number      int            `json:"number"`
	Node        string         `json:"node"`
	EventID     string         `json:"eventId"`
	TraceID     string         `json:"traceId,omitempty"`
	EventType   string         `json:"eventType"`
	Channel     string         `json:"channel"`
	Integration string         `json:"integration"`
	Vendor      string         `json:"vendor"`
	StartedAt   time.Time      `json:"startedAt"`
	Duration    event.Duration `json:"duration"`
	Status      int            `json:"status,omitempty"`
	Verdict     string         `json:"verdict"`
	Reason      string         `json:"reason,omitempty"`
	Detail      string         `json:"detail,omitempty"`
	Probe       bool           `json:"probe,omitempty"`
}

// ReceiptRow is what a vendor said became of a delivery's message.
type ReceiptRow struct {
	DeliveryID  string              `json:"deliveryId"`
	Integration string              `json:"integration"`
	Vendor      string              `json:"vendor"`
	Status      event.ReceiptStatus `json:"status"`
	At          time.Time           `json:"at"`
	Reason      string              `json:"reason,omitempty"`
	Detail      string              `json:"detail,omitempty"`
}

// Receipts returns what the vendor said of a delivery's messages, each status once, in order; none if
// it said nothing, or that is not recorded yet.
func (s *Store) Receipts(ctx context.Context, deliveryID string) ([]ReceiptRow, error) {
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{"delivery": param(deliveryID)}), queries.Receipts)
	if err != nil {
		return nil, fmt.Errorf("receipts of %s: %w", deliveryID, err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	var all []ReceiptRow
	for rows.Next() {
		var r ReceiptRow
		var status string
		if err := rows.Scan(&r.DeliveryID, &r.Integration, &r.Vendor, &status, &r.At, &r.Reason, &r.Detail); err != nil {
			return nil, fmt.Errorf("receipts of %s: %w", deliveryID, err)
		}
		r.Status = event.ReceiptStatus(status)
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("receipts of %s: %w", deliveryID, err)
	}
	return all, nil
}

// Attempts returns the calls made for a delivery over all its replays, in order; none if there were
// none or they are not recorded yet.
func (s *Store) Attempts(ctx context.Context, deliveryID string) ([]AttemptRow, error) {
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{"delivery": param(deliveryID)}), queries.Attempts)
	if err != nil {
		return nil, fmt.Errorf("attempts of %s: %w", deliveryID, err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	var all []AttemptRow
	for rows.Next() {
		var a AttemptRow
		var replay, number, status uint16
		var micros uint64
		if err := rows.Scan(&a.DeliveryID, &replay, &number, &a.Node, &a.EventID, &a.TraceID, &a.EventType, &a.Channel, &a.Integration,
			&a.Vendor, &a.StartedAt, &micros, &status, &a.Verdict, &a.Reason, &a.Detail, &a.Probe); err != nil {
			return nil, fmt.Errorf("attempts of %s: %w", deliveryID, err)
		}
		a.Replay, a.Number, a.Status = int(replay), int(number), int(status)
		a.Duration = event.Duration(micros) * event.Duration(time.Microsecond)
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("attempts of %s: %w", deliveryID, err)
	}
	return all, nil
}
