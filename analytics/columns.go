package analytics

import (
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// column is one column of rows on their way into a table.
type column interface {
	header() string
	send(to driver.BatchColumn) error
	// keep drops the rows that are not marked.
	keep(marked []bool)
	reset()
}

// values is a column of one Go type.
type values[T any] struct {
	name string
	rows []T
}

var _, _ column = (*values[string])(nil), (*labels)(nil)

func newValues[T any](name string) *values[T] { return &values[T]{name: name} }

func (v *values[T]) add(x T) { v.rows = append(v.rows, x) }

func (v *values[T]) header() string { return v.name }

func (v *values[T]) send(to driver.BatchColumn) error { return to.Append(v.rows) }

func (v *values[T]) keep(marked []bool) {
	kept := v.rows[:0]
	for i, x := range v.rows {
		if marked[i] {
			kept = append(kept, x)
		}
	}
	v.rows = kept
}

func (v *values[T]) reset() {
	clear(v.rows) // the texts of the last batch
	v.rows = v.rows[:0]
}

// labels is a column of few different texts, for a LowCardinality: clickhouse-go finds pointers in its dictionary for
// half of what texts take.
type labels struct {
	values[*string]
	known map[string]*string
	last  *string // added last, and often the next one too
}

func newLabels(name string) *labels {
	return &labels{values: values[*string]{name: name}, known: map[string]*string{}}
}

func (l *labels) add(x string) {
	if l.last == nil || *l.last != x {
		p := l.known[x]
		if p == nil {
			kept := x
			p = &kept
			l.known[x] = p
		}
		l.last = p
	}
	l.values.add(l.last)
}

func (l *labels) reset() {
	l.values.reset()
	clear(l.known)
	l.last = nil
}

// place is where in the log a row comes from; no two rows of a table have the same.
type place struct {
	seq uint64
	pos uint16 // in the record
}

// block is the rows of one batch for one table. The last columns are the rows' places.
type block struct {
	table      string
	columns    []column
	epoch      *labels
	generation *values[uint16]
	seq        *values[uint64]
	pos        *values[uint16]
}

func newBlock(table string, columns ...column) block {
	b := block{
		table: table, epoch: newLabels("log_epoch"), generation: newValues[uint16]("log_generation"),
		seq: newValues[uint64]("log_seq"), pos: newValues[uint16]("log_pos"),
	}
	b.columns = slices.Concat(columns, []column{b.epoch, b.generation, b.seq, b.pos})
	return b
}

func (b *block) addPlace(log logID, at place) {
	b.epoch.add(log.epoch)
	b.generation.add(log.generation)
	b.seq.add(at.seq)
	b.pos.add(at.pos)
}

func (b *block) len() int { return len(b.seq.rows) }

func (b *block) reset() {
	for _, c := range b.columns {
		c.reset()
	}
}

// without drops the rows whose places are given.
func (b *block) without(present map[place]struct{}) {
	marked := make([]bool, b.len())
	for i := range marked {
		_, there := present[place{b.seq.rows[i], b.pos.rows[i]}]
		marked[i] = !there
	}
	for _, c := range b.columns {
		c.keep(marked)
	}
}
