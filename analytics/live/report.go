package live

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wedsync/wedsync/analytics"
)

// Query says what is asked of Books.
type Query struct {
	By      analytics.Dimension `json:"by"`            // overall, vendor or integration
	Key     string              `json:"key,omitempty"` // only this vendor or integration
	Last    int                 `json:"last"`          // minutes, with the one that goes on; 1 to 60
	Series  bool                `json:"series"`        // each minute by itself, not all of them together
	After   string              `json:"after,omitempty"`
	MaxRows int                 `json:"maxRows,omitempty"` // 0: all
}

// Validate returns an error that names what is wrong.
func (q Query) Validate() error {
	switch {
	case q.By != analytics.ByOverall && q.By != analytics.ByVendor && q.By != analytics.ByIntegration:
		return fmt.Errorf("live numbers by %.40q: use %s, %s or %s", q.By, analytics.ByOverall, analytics.ByVendor, analytics.ByIntegration)
	case q.Last < 1 || q.Last > int(minutes):
		return fmt.Errorf("live numbers of the last %d minutes: 1 to %d are there", q.Last, minutes)
	case q.MaxRows < 0:
		return errors.New("live numbers: MaxRows is below 0")
	}
	return nil
}

// Report is what one Book, or several, have counted.
type Report struct {
	Since time.Time `json:"since"` // nothing from before this is counted
	Rows  []Row     `json:"rows"`  // ordered by Key; by overall one at most, with Key ""
	More  bool      `json:"more,omitempty"`
}

// Row is one vendor's, or one integration's.
type Row struct {
	Key     string   `json:"key"`
	Minutes []Minute `json:"minutes"` // those with something, ascending; one where Query.Series is not set
}

// Minute is what is known of one minute, or of all that were asked for.
type Minute struct {
	At int64 `json:"at"` // minutes since 1970; 0: all of them together
	Figures
}

// Sum adds up the row's minutes.
func (r *Row) Sum() Figures {
	var sum Figures
	var latencies histogram
	for i := range r.Minutes {
		m := &r.Minutes[i]
		sum.Counts.add(&m.Counts)
		_ = latencies.add(m.Latencies) // or Add has failed
	}
	sum.Latencies = latencies.pack()
	return sum
}

// Report answers a query, which is valid.
func (b *Book) Report(q Query) Report {
	pages, since := b.read(q)
	r := Report{Rows: []Row{}, Since: since}
	if first := time.Unix(60*(b.now().Unix()/60-int64(q.Last)+1), 0).UTC(); since.Before(first) {
		r.Since = first
	}
	all := make([]cursor, len(pages))
	for i := range pages {
		all[i] = cursor{minute: pages[i].minute, sheet: pages[i].sheet(q.By)}
		if q.After != "" {
			all[i].seek(q.After + "\x00")
		}
	}
	for key, ok := least(all); ok; key, ok = least(all) {
		if q.Key != "" && q.Key != key {
			if q.Key < key {
				break
			}
			for i := range all {
				all[i].seek(q.Key)
			}
			continue
		}
		if q.MaxRows > 0 && len(r.Rows) == q.MaxRows {
			r.More = true
			break
		}
		r.Rows = append(r.Rows, Row{key, take(all, key, q.Series)})
	}
	return r
}

// cursor reads a minute's sheet, which is closed, in the order of its keys.
type cursor struct {
	minute int64
	sheet  sheet
	next   int
}

// seek goes on at the first key that is not below this one.
func (c *cursor) seek(key string) {
	c.next, _ = slices.BinarySearchFunc(c.sheet.rows, key, func(r row, key string) int { return cmp.Compare(r.key, key) })
}

// least returns the least key at which one stands.
func least(all []cursor) (key string, ok bool) {
	for _, c := range all {
		if c.next == len(c.sheet.rows) {
			continue
		}
		if k := c.sheet.rows[c.next].key; !ok || k < key {
			key, ok = k, true
		}
	}
	return key, ok
}

// take reads what all have of a key, as minutes or as one sum.
func take(all []cursor, key string, series bool) []Minute {
	var each []Minute
	for i := range all {
		if c := &all[i]; c.next < len(c.sheet.rows) && c.sheet.rows[c.next].key == key {
			each = append(each, Minute{c.minute, c.sheet.figures(c.next)})
			c.next++
		}
	}
	if series {
		return each
	}
	r := Row{Minutes: each}
	return []Minute{{Figures: r.Sum()}}
}

// Add has r tell of what another node has counted too, or fails and leaves it as it was.
func (r *Report) Add(o Report) error {
	sum := Report{Since: r.Since, Rows: []Row{}}
	if o.Since.After(sum.Since) {
		sum.Since = o.Since
	}
	for a, b := r.Rows, o.Rows; len(a)+len(b) > 0; {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Key < b[0].Key:
			sum.Rows, a = append(sum.Rows, a[0]), a[1:]
		case len(a) == 0 || b[0].Key < a[0].Key:
			sum.Rows, b = append(sum.Rows, b[0]), b[1:]
		default:
			minutes, err := join(a[0].Minutes, b[0].Minutes)
			if err != nil {
				return fmt.Errorf("%.100s: %w", a[0].Key, err)
			}
			sum.Rows, a, b = append(sum.Rows, Row{a[0].Key, minutes}), a[1:], b[1:]
		}
	}
	*r = sum
	return nil
}

// join adds up what two nodes have of a key.
func join(a, b []Minute) ([]Minute, error) {
	var out []Minute
	for len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].At < b[0].At:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].At < a[0].At:
			out, b = append(out, b[0]), b[1:]
		default:
			m := a[0]
			if err := m.add(&b[0].Figures); err != nil {
				return nil, err
			}
			out, a, b = append(out, m), a[1:], b[1:]
		}
	}
	return out, nil
}
