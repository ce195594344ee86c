package live

import (
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// Span is how far back a Book goes, to the minute.
const Span = time.Hour

const minutes = int64(Span / time.Minute)

// DefaultMaxBytes is what the pages of a Book may take together.
const DefaultMaxBytes = 64 << 20

// Config is what a Book needs.
type Config struct {
	MaxBytes int              // of pages whose minute is over; default DefaultMaxBytes
	Now      func() time.Time // default time.Now
}

// Book counts a node's deliveries of the last hour. It is safe for concurrent use.
type Book struct {
	maxBytes int
	now      func() time.Time

	mu    sync.Mutex
	since time.Time // when it began to count, or what was before was dropped
	pages []*page   // at most minutes of them, the newest last; all but that are closed
	bytes int       // of those that are closed
}

// NewBook returns a Book that counts from now on.
func NewBook(cfg Config) *Book {
	b := &Book{maxBytes: cfg.MaxBytes, now: cfg.Now}
	if b.maxBytes <= 0 {
		b.maxBytes = DefaultMaxBytes
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.since = b.now().UTC()
	return b
}

// Attempted counts a call to a vendor, and whether it delivered.
func (b *Book) Attempted(vendor, integration string, delivered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page()
	p.vendors.entry(vendor).attempted(delivered)
	p.integrations.entry(integration).attempted(delivered)
}

// Ended counts a delivery that has a result. A replay is in no number: analytics takes the failure back at the time of
// the first end, which a Book does not.
func (b *Book) Ended(r *event.DeliveryRecord) {
	excluded := r.Excluded()
	if excluded == event.ExcludedReplay {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page()
	vendor, integration := p.vendors.entry(r.Vendor), p.integrations.entry(r.Integration)
	took := r.Result.FinishedAt.Sub(r.CountsFrom())
	for _, e := range []*entry{vendor, integration} {
		switch {
		case excluded != "":
			e.excluded++
		case r.Result.Outcome == event.Dead:
			e.dead++
		default:
			e.delivery(binOf(took), took <= analytics.LatencyLimit)
		}
	}
}

// page returns the page of this minute. A clock that is set back goes on with the page that there is.
func (b *Book) page() *page {
	minute := b.now().Unix() / 60
	if n := len(b.pages); n > 0 {
		last := b.pages[n-1]
		if minute <= last.minute {
			return last
		}
		b.pages[n-1] = &page{last.minute, last.vendors.closed(""), last.integrations.closed("")} // who reads the other one may go on
		b.bytes += b.pages[n-1].bytes()
	}
	b.pages = append(b.pages, &page{minute: minute})
	for len(b.pages) > 1 && (b.pages[0].minute <= minute-minutes || b.bytes > b.maxBytes) {
		b.bytes -= b.pages[0].bytes()
		if b.pages[0].minute > minute-minutes {
			b.since = time.Unix(60*(b.pages[0].minute+1), 0).UTC()
		}
		b.pages[0] = nil
		b.pages = b.pages[1:]
	}
	return b.pages[len(b.pages)-1]
}

// Bytes is what the pages take whose minute is over.
func (b *Book) Bytes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// read returns the pages of the query's minutes, with what there is of this one, as far as it asks: whoever counts
// waits for as long as this takes. They do not change any more. It tells since when the Book has counted, too.
func (b *Book) read(q Query) (pages []page, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.now().Unix()/60 - int64(q.Last) + 1
	for _, p := range b.pages {
		switch {
		case p.minute < first:
		case q.By == analytics.ByIntegration:
			pages = append(pages, page{minute: p.minute, integrations: p.integrations.closed(q.Key)})
		case q.By == analytics.ByVendor:
			pages = append(pages, page{minute: p.minute, vendors: p.vendors.closed(q.Key)})
		default:
			pages = append(pages, page{minute: p.minute, vendors: p.vendors.closed("")})
		}
	}
	return pages, b.since
}
