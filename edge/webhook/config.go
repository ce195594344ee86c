package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
)

// Directory knows the integrations. It is safe for concurrent use.
type Directory interface {
	Find(id string) (Party, bool)
}

// Party is an integration and how to connect to it. Connection fails where settings or secrets are
// incomplete.
type Party struct {
	Integration event.Integration
	Connection  func() (adapter.Connection, error)
}

// Registry makes a Directory of the registry.
type Registry struct {
	From interface {
		Lookup(id string) (*registry.Entry, bool)
	}
}

var _ Directory = Registry{}

// Find returns the integration of that id.
func (r Registry) Find(id string) (Party, bool) {
	e, ok := r.From.Lookup(id)
	if !ok {
		return Party{}, false
	}
	return Party{Integration: e.Integration, Connection: e.Connection}, true
}

// Publisher takes events in; *ingest.Ingest is one.
type Publisher interface {
	Publish(ctx context.Context, d ingest.Draft) (ingest.Receipt, error)
}

// Seen remembers ids for longer than the log does; the journal's bucket "seen" is one.
type Seen interface {
	// Get fails with journal.ErrNotFound for a key that is not there.
	Get(ctx context.Context, key string) (journal.Value, error)
	// Create fails with journal.ErrConflict for a key that is there.
	Create(ctx context.Context, key string, data []byte) (revision uint64, err error)
}

// Auditor takes audit records and never blocks; *audit.Log is one.
type Auditor interface{ Audit(a event.Audit) }

// Config is what New needs. Directory, Publisher, Seen and Auditor are required.
type Config struct {
	Directory Directory
	Publisher Publisher
	Seen      Seen
	Auditor   Auditor

	Peers   Peers                 // share the budgets; nil: this node is alone
	Now     func() time.Time      // default time.Now
	Metrics prometheus.Registerer // nil: none

	MaxBytes          int           // of a body; default 3 MiB, the largest any vendor sends
	PerHour           int           // verified webhooks an hour and integration, where neither it nor its vendor says; default 1000
	RefusalsPerMinute int           // refused webhooks a minute and source address that are each answered and audited; default 60
	Timeout           time.Duration // of the work on one webhook; default 20 s, more than the log lets an event wait

	// Source tells where a request comes from; default: its connection's address. A node behind a
	// proxy has to look further.
	Source func(r *http.Request) netip.Addr
}

// WithDefaults returns the configuration with zero fields filled in.
func (c Config) WithDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 3 << 20
	}
	if c.PerHour == 0 {
		c.PerHour = 1000
	}
	if c.RefusalsPerMinute == 0 {
		c.RefusalsPerMinute = 60
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	if c.Source == nil {
		c.Source = connectionAddr
	}
	return c
}

// Validate returns an error that names the first field that is missing or wrong.
func (c Config) Validate() error {
	switch {
	case c.Directory == nil, c.Publisher == nil, c.Seen == nil, c.Auditor == nil:
		return errors.New("webhook: Config needs Directory, Publisher, Seen and Auditor")
	case c.MaxBytes < 1, c.PerHour < 1, c.RefusalsPerMinute < 1, c.Timeout < 0:
		return errors.New("webhook: MaxBytes, PerHour, RefusalsPerMinute and Timeout must be positive")
	}
	return nil
}

func connectionAddr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap().WithZone("")
}
