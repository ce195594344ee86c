package analytics

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/queries"
)

// MaxFound is how many records one query finds at most.
const MaxFound = 1000

// Page says which part of what was found is wanted, the newest first.
type Page struct {
	Since time.Time // default: all that is kept
	Until time.Time // before this; default: no bound
	After Cursor    // default: from the newest
	Limit int       // default 100, at most MaxFound
}

// Cursor names a record: the next page begins behind it. The zero Cursor stands before the newest.
type Cursor struct {
	At         int64 // microseconds since 1970, as Generation, Seq and Epoch of the record
	Generation uint16
	Seq        uint64
	Epoch      string
}

// String writes the cursor as ParseCursor reads it; the zero one as "".
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d.%s", c.At, c.Generation, c.Seq, c.Epoch)
}

// ParseCursor reads what String wrote.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	var c Cursor
	parts := strings.SplitN(text, ".", 4)
	if len(parts) == 4 {
		at, err1 := strconv.ParseInt(parts[0], 10, 64)
		generation, err2 := strconv.ParseUint(parts[1], 10, 16)
		seq, err3 := strconv.ParseUint(parts[2], 10, 64)
		c = Cursor{at, uint16(generation), seq, parts[3]}
		if err1 == nil && err2 == nil && err3 == nil && at > 0 && c.String() == text {
			return c, nil
		}
	}
	return Cursor{}, fmt.Errorf("cursor %.80q is none; give the next of the page before", text)
}

// AuditQuery selects audit records. What is empty selects all.
type AuditQuery struct {
	Page
	Actor   string // also with what follows it behind a "/"
	Action  string // also with what follows it behind a "."
	Target  string
	Outcome string
	Owner   map[string]string // only records of whoever has all these owner variables
}

// AuditRow is an audit record as the audit table has it.
type AuditRow struct {
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Target  string    `json:"target"`
	Outcome string    `json:"outcome"` // "ok" or an error code
	Detail  string    `json:"detail,omitempty"`
	From    string    `json:"from,omitempty"` // remote address
	Node    string    `json:"node"`
}

// DeliveryQuery selects deliveries that ended. What is empty selects all.
type DeliveryQuery struct {
	Page
	ID          string
	Channel     string
	Integration string
	EventID     string
	WeddingID   string
	EventType   string
	Vendor      string
	Category    string
	Reason      string
	Outcome     event.Outcome
	SlowerThan  time.Duration // only with a longer latency
	Among       []string      // only to these integrations; nil: to all
}

// DeliveryRow is the end of a delivery as the deliveries table has it.
type DeliveryRow struct {
	ID          string         `json:"id"`
	Replay      int            `json:"replay"` // how often it had come back from the dead letters
	Outcome     event.Outcome  `json:"outcome"`
	Reason      string         `json:"reason,omitempty"`
	Attempts    int            `json:"attempts"` // calls, since the last replay
	EventID     string         `json:"eventId"`
	EventType   string         `json:"eventType"`
	Channel     string         `json:"channel"`
	Integration string         `json:"integration"`
	Vendor      string         `json:"vendor"`
	Category    string         `json:"category"`
	WeddingID   string         `json:"weddingId,omitempty"`
	AcceptedAt  time.Time      `json:"acceptedAt"`
	RoutedAt    time.Time      `json:"routedAt"`
	FinishedAt  time.Time      `json:"finishedAt"`
	Latency     event.Duration `json:"latency"` // from accepting the event to the end
	Node        string         `json:"node"`
}

// Audit returns audit records, and where the next page begins; the zero Cursor if there is none.
func (s *Store) Audit(ctx context.Context, q AuditQuery) ([]AuditRow, Cursor, error) {
	p := clickhouse.Parameters{
		"actor": param(q.Actor), "action": param(q.Action), "target": param(q.Target), "outcome": param(q.Outcome),
	}
	names := slices.Sorted(maps.Keys(q.Owner))
	of := make([]string, len(names))
	for i, name := range names {
		of[i] = q.Owner[name]
	}
	p["names"], p["values"] = list(names), list(of)
	return find(ctx, s, "audit records", queries.Audit, p, q.Page, func(rows driver.Rows, r *AuditRow, c *Cursor) error {
		err := rows.Scan(&r.At, &r.Actor, &r.Action, &r.Target, &r.Outcome, &r.Detail, &r.From, &r.Node, &c.Generation, &c.Seq, &c.Epoch)
		c.At = r.At.UnixMicro()
		return err
	})
}

// Deliveries returns deliveries that ended, and where the next page begins; the zero Cursor if there
// is none.
func (s *Store) Deliveries(ctx context.Context, q DeliveryQuery) ([]DeliveryRow, Cursor, error) {
	p := clickhouse.Parameters{
		"delivery": param(q.ID), "channel": param(q.Channel), "integration": param(q.Integration), "event": param(q.EventID),
		"wedding": param(q.WeddingID), "type": param(q.EventType), "vendor": param(q.Vendor), "category": param(q.Category), "reason": param(q.Reason),
		"slower": strconv.FormatInt(q.SlowerThan.Microseconds(), 10), "outcome": param(string(q.Outcome)), "all": strconv.FormatBool(q.Among == nil), "among": list(q.Among),
	}
	return find(ctx, s, "deliveries", queries.Deliveries, p, q.Page, func(rows driver.Rows, r *DeliveryRow, c *Cursor) error {
		var replay, attempts uint16
		var outcome string
		var latency int64
		err := rows.Scan(&r.FinishedAt, &r.AcceptedAt, &r.RoutedAt, &r.ID, &replay, &outcome, &r.Reason, &attempts, &r.EventID, &r.EventType,
			&r.Channel, &r.Integration, &r.Vendor, &r.Category, &r.WeddingID, &r.Node, &latency, &c.Generation, &c.Seq, &c.Epoch)
		r.Replay, r.Attempts, r.Outcome = int(replay), int(attempts), event.Outcome(outcome)
		r.Latency = event.Duration(latency) * event.Duration(time.Microsecond)
		c.At = r.FinishedAt.UnixMicro()
		return err
	})
}

// find runs a query for one record more than is wanted: that tells whether there is a next page.
func find[T any](
	ctx context.Context, s *Store, what, query string, p clickhouse.Parameters, page Page,
	scan func(driver.Rows, *T, *Cursor) error,
) ([]T, Cursor, error) {
	if page.Limit <= 0 {
		page.Limit = 100
	}
	page.Limit = min(page.Limit, MaxFound)
	until := latest.Add(time.Hour) // no record is later
	if !page.Until.IsZero() && page.Until.Before(until) {
		until = page.Until
	}
	maps.Copy(p, clickhouse.Parameters{
		"since": micros(page.Since), "until": micros(until), "limit": strconv.Itoa(page.Limit + 1),
		"before": strconv.FormatInt(page.After.At, 10), "generation": strconv.FormatUint(uint64(page.After.Generation), 10),
		"seq": strconv.FormatUint(page.After.Seq, 10), "epoch": param(page.After.Epoch),
	})
	rows, err := s.conn.Query(with(ctx, p), query)
	if err != nil {
		return nil, Cursor{}, fmt.Errorf("%s: %w", what, err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	found := []T{}
	var last, next Cursor
	for rows.Next() {
		var r T
		var at Cursor
		if err := scan(rows, &r, &at); err != nil {
			return nil, Cursor{}, fmt.Errorf("%s: %w", what, err)
		}
		if len(found) == page.Limit {
			next = last
			break
		}
		found, last = append(found, r), at
	}
	if err := rows.Err(); err != nil {
		return nil, Cursor{}, fmt.Errorf("%s: %w", what, err)
	}
	return found, next, nil
}

// escapes are those of the format in which ClickHouse reads the text of a parameter.
var escapes = strings.NewReplacer(`\`, `\\`, "'", `\'`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

func param(text string) string { return escapes.Replace(text) }

// list writes an Array(String).
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = "'" + param(t) + "'"
	}
	return "[" + strings.Join(quoted, ",") + "]"
}
