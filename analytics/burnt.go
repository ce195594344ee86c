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

// share says of each how much it is of all that failed. What was recorded only since that was counted is left out.
func (b *Burnt) share(dead uint64) {
	if dead == 0 {
		*b = NewBurnt()
	}
	for _, all := range [][]BurntBy{b.Vendors, b.Reasons, b.Weddings} {
		for i := range all {
			all[i].Share = float64(all[i].Dead) / float64(dead)
		}
	}
}

// burnt looks for what the deliveries of a report that failed have in common. Their shares are not known yet.
func (s *Store) burnt(ctx context.Context, q SLOQuery) (Burnt, error) {
	b := NewBurnt()
	period := q.Now.Sub(q.Since)
	rows, err := s.conn.Query(with(ctx, clickhouse.Parameters{
		"from": seconds(WindowStart(q.Now, period)), "until": seconds(windowEnd(q.Now, period)), "top": strconv.Itoa(burntTop),
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
		*into[what] = append(*into[what], by)
	}
	if err := rows.Err(); err != nil {
		return b, fmt.Errorf("what burnt the budget: %w", err)
	}
	return b, nil
}
