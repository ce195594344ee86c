package analytics

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/analytics/queries"
)

// burntTop is how many of each a report names.
const burntTop = 10

// Burnt says what the deliveries have in common that spent the budget for failures: the vendors, reasons and
// weddings of most of them, at most ten of each, the most first.
type Burnt struct {
	Vendors  []BurntBy `json:"vendors" nullable:"false"`
	Reasons  []BurntBy `json:"reasons" nullable:"false"`
	Weddings []BurntBy `json:"weddings" nullable:"false"`
}

// BurntBy is how many deliveries failed that have something in common.
type BurntBy struct {
	Key   string  `json:"key"` // of weddings also "", those of none, and event.Erased
	Dead  uint64  `json:"dead"`
	Share float64 `json:"share"` // of all that failed
}

// NewBurnt returns one of nothing.
func NewBurnt() Burnt {
	return Burnt{Vendors: []BurntBy{}, Reasons: []BurntBy{}, Weddings: []BurntBy{}}
}

// burnt looks among the deliveries of a report for what its dead ones have in common.
func (s *Store) burnt(ctx context.Context, q SLOQuery, dead uint64) (Burnt, error) {
	b := NewBurnt()
	if dead == 0 {
		return b, nil
	}
	period := q.Now.Sub(q.Since)
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{
		"from": micros(WindowStart(q.Now, period)), "until": micros(windowEnd(q.Now, period)), "top": strconv.Itoa(burntTop),
		"all": strconv.FormatBool(q.Among == nil), "among": list(q.Among),
	}), queries.Burnt)
	if err != nil {
		return b, fmt.Errorf("what burnt the budget: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	into := map[string]*[]BurntBy{"vendor": &b.Vendors, "reason": &b.Reasons, "wedding": &b.Weddings}
	for rows.Next() {
		var what string
		var by BurntBy
		if err := rows.Scan(&what, &by.Key, &by.Dead); err != nil {
			return b, fmt.Errorf("what burnt the budget: %w", err)
		}
		by.Share = float64(by.Dead) / float64(dead)
		*into[what] = append(*into[what], by)
	}
	if err := rows.Err(); err != nil {
		return b, fmt.Errorf("what burnt the budget: %w", err)
	}
	return b, nil
}
