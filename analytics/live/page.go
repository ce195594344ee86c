package live

import (
	"maps"
	"slices"
	"sort"

	"github.com/wedsync/wedsync/analytics"
)

// page is a minute's.
type page struct {
	minute       int64 // since 1970
	vendors      sheet
	integrations sheet
}

// bytes is how much memory a page takes that is closed, but for the keys, which others hold too.
func (p *page) bytes() int { return p.vendors.bytes() + p.integrations.bytes() }

// sheet has the counts of a minute by key: in open while it goes on, then in rows, which are sorted and do not
// change.
type sheet struct {
	open map[string]*entry
	rows []row
	bins []byte // of all rows
}

// row takes 48 bytes.
type row struct {
	key                                                 string
	delivered, dead, inTime, excluded, attempts, failed uint32
	end                                                 uint32 // of its part of bins, which begins where the one before ends
}

const rowBytes = 48

// entry is one key's in the minute that goes on.
type entry struct {
	delivered, dead, inTime, excluded, attempts, failed uint32
	bins                                                []bin // ascending
}

type bin struct {
	at    uint16
	count uint32
}

func (s *sheet) entry(key string) *entry {
	e := s.open[key]
	if e == nil {
		if s.open == nil {
			s.open = map[string]*entry{}
		}
		e = &entry{}
		s.open[key] = e
	}
	return e
}

func (e *entry) attempted(ok bool) {
	e.attempts++
	if !ok {
		e.failed++
	}
}

func (e *entry) delivery(at int, inTime bool) {
	e.delivered++
	if inTime {
		e.inTime++
	}
	i := sort.Search(len(e.bins), func(i int) bool { return int(e.bins[i].at) >= at })
	if i == len(e.bins) || int(e.bins[i].at) != at {
		e.bins = slices.Insert(e.bins, i, bin{at: uint16(at)}) // #nosec G115 -- below numBins
	}
	e.bins[i].count++
}

func (e *entry) appendTo(bins []byte) []byte {
	last := -1
	for _, b := range e.bins {
		bins = appendBin(bins, int(b.at)-last, uint64(b.count))
		last = int(b.at)
	}
	return bins
}

// closed returns what the sheet holds so far as one that does not change; of one that is open only a key, if it is given.
func (s *sheet) closed(only string) sheet {
	if s.open == nil {
		return *s
	}
	keys := []string{only}
	if only == "" {
		keys = slices.Sorted(maps.Keys(s.open))
	} else if s.open[only] == nil {
		return sheet{}
	}
	c := sheet{rows: make([]row, 0, len(keys))}
	for _, key := range keys {
		e := s.open[key]
		c.bins = e.appendTo(c.bins)
		c.rows = append(c.rows, row{key, e.delivered, e.dead, e.inTime, e.excluded, e.attempts, e.failed, uint32(len(c.bins))}) // #nosec G115 -- a minute's
	}
	c.bins = slices.Clip(c.bins)
	return c
}

func (s *sheet) bytes() int { return rowBytes*len(s.rows) + cap(s.bins) }

// figures returns what the sheet, which is closed, has in a row.
func (s *sheet) figures(at int) Figures {
	r, begin := &s.rows[at], uint32(0)
	if at > 0 {
		begin = s.rows[at-1].end
	}
	ended := analytics.Tally{
		Total: uint64(r.delivered) + uint64(r.dead), Delivered: uint64(r.delivered), Dead: uint64(r.dead),
		InTime: uint64(r.inTime), Excluded: uint64(r.excluded),
	}
	return Figures{Counts{ended, uint64(r.attempts), uint64(r.failed)}, s.bins[begin:r.end:r.end]}
}

// sheet returns a page's, which is closed, by what its keys are.
func (p *page) sheet(by analytics.Dimension) sheet {
	switch by {
	case analytics.ByVendor:
		return p.vendors
	case analytics.ByIntegration:
		return p.integrations
	}
	var sum row
	var h histogram
	for i := range p.vendors.rows {
		r := &p.vendors.rows[i]
		sum.delivered += r.delivered
		sum.dead += r.dead
		sum.inTime += r.inTime
		sum.excluded += r.excluded
		sum.attempts += r.attempts
		sum.failed += r.failed
		_ = h.add(p.vendors.figures(i).Latencies) // they were packed here
	}
	s := sheet{rows: []row{sum}, bins: h.pack()}
	s.rows[0].end = uint32(len(s.bins)) // #nosec G115 -- of all bins, once
	return s
}
