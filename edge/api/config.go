package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
)

// The backends, as the node has them. All are safe for concurrent use.
type (
	// Publisher takes events in; *ingest.Ingest is one.
	Publisher interface {
		Publish(ctx context.Context, d ingest.Draft) (ingest.Receipt, error)
		Prepare(d ingest.Draft) (*event.Event, error)
	}
	// History reads the event log; *journal.Journal is one.
	History interface {
		Epoch() string
		History(ctx context.Context, channel string, after uint64, limit int) ([]journal.Entry, error)
		HistoryLast(ctx context.Context, channel string, limit int) ([]journal.Entry, error)
		Status(ctx context.Context) (journal.Status, error)
		Events
		LogNodes
		Backups
	}
	// Backups copy the log into files, the manifest as the last.
	Backups interface {
		Backup(ctx context.Context, online bool, create func(file string) (io.Writer, error), told func(journal.Progress)) error
	}
	// LogNodes are the nodes that hold the log.
	LogNodes interface {
		Shards() int
		Peers(ctx context.Context) ([]journal.Peer, error)
		RemovePeer(ctx context.Context, name string) error
	}
	// ClusterKeys are the keys that nodes share, on all nodes; *cluster.Rotation is one.
	ClusterKeys interface {
		List(ctx context.Context) ([]cluster.NodeKeys, error)
		Add(ctx context.Context, k cluster.Key) ([]cluster.NodeKeys, error)
		Use(ctx context.Context, id string) ([]cluster.NodeKeys, error)
		Remove(ctx context.Context, id string) ([]cluster.NodeKeys, error)
	}
	// Members are the nodes; *cluster.Gossip is one, and *cluster.Solo.
	Members interface{ View() *cluster.View }
	// Clients are those that listen; *ws.Server has them.
	Clients interface {
		Present(ctx context.Context, channel string) (event.Presence, error)
		Token(user, channel string, lasts time.Duration) (event.Secret, error)
	}
	// Events are read by their place in the log, and over channels.
	Events interface {
		EventAt(ctx context.Context, seq uint64) (*event.Event, error)
		HistoryOf(ctx context.Context, pattern string, limit int) ([]journal.Entry, error)
	}
	// Dead keeps the dead letters; *journal.Journal is one.
	Dead interface {
		DeadLetters(ctx context.Context, q journal.DeadQuery) ([]journal.Buried, error)
		DeadLetter(ctx context.Context, seq uint64) (*journal.Buried, error)
		Exhume(ctx context.Context, seq uint64) error
	}
	// Integrations are stored in the registry; *registry.Registry is one.
	Integrations interface {
		Lookup(id string) (*registry.Entry, bool)
		Integrations() []event.Integration
		Put(ctx context.Context, in event.Integration) (event.Integration, error)
		Delete(ctx context.Context, id string) error
	}
	// Controls change integrations in part; *registry.Registry is one.
	Controls interface {
		SetSecrets(ctx context.Context, id string, values map[string]event.Secret) error
		RetireSecrets(ctx context.Context, id string) error
		MasterKeys(ctx context.Context) (registry.MasterKeys, error)
		Pause(ctx context.Context, id string, p event.Pause) error
		Resume(ctx context.Context, id string) error
	}
	// Mappings are stored in the registry; *registry.Registry is one.
	Mappings interface {
		Mappings() []event.Mapping
		PutMapping(ctx context.Context, m event.Mapping) (event.Mapping, error)
		DeleteMapping(ctx context.Context, id string) error
	}
	// Engine delivers; *actors.System is one.
	Engine interface {
		Health(ctx context.Context, id string) (event.Health, error)
		Healths(ctx context.Context) []event.Health
		Live(ctx context.Context, q live.Query) (sum live.Report, silent []string)
		Commands
		Previews
		Eraser
		Profiles
	}
	// Profiles tells vendors of clients.
	Profiles interface {
		SyncClientProfiles(ctx context.Context, id, syncID string, profiles []event.Profile) (event.ProfileSync, error)
		ClientProfileSync(ctx context.Context, id, syncID string) (event.ProfileSync, error)
	}
	// Eraser removes a wedding from the log.
	Eraser interface {
		Erase(ctx context.Context, what actors.Erase) (removed, left journal.Erased, err error)
	}
	// Commands are what the engine can be told.
	Commands interface {
		ResetBreaker(ctx context.Context, id string) error
		Reinstate(ctx context.Context, id string) error
		Test(ctx context.Context, id, eventType string) (event.Attempt, error)
		Replay(ctx context.Context, seq uint64) (*event.Delivery, error)
	}
	// Previews tell what would be, and do nothing.
	Previews interface {
		Preview(ev *event.Event, id string) (actors.Preview, error)
		Compare(ctx context.Context, m event.Mapping, events []*event.Event) (actors.Comparison, error)
	}
	// Analytics answers questions about what was; *analytics.Store is one.
	Analytics interface {
		SLO(ctx context.Context, q analytics.SLOQuery) (analytics.SLOReport, error)
		Series(ctx context.Context, q analytics.SLOQuery, key string) (analytics.SLOSeries, error)
		Summary(ctx context.Context, since time.Time) ([]analytics.IntegrationSummary, error)
		Finder
		Forgetter
	}
	// Forgetter takes out of the records whose wedding they were about.
	Forgetter interface {
		Identified(ctx context.Context, wedding string) (rows uint64, err error)
		Erase(ctx context.Context, wedding string) (rows, left uint64, err error)
	}
	// Finder finds single records.
	Finder interface {
		Audit(ctx context.Context, q analytics.AuditQuery) ([]analytics.AuditRow, analytics.Cursor, error)
		Deliveries(ctx context.Context, q analytics.DeliveryQuery) ([]analytics.DeliveryRow, analytics.Cursor, error)
		Attempts(ctx context.Context, deliveryID string) ([]analytics.AttemptRow, error)
		Receipts(ctx context.Context, deliveryID string) ([]analytics.ReceiptRow, error)
	}
	// Keys are the API keys; *access.Keyring is one.
	Keys interface {
		Find(text string) (*access.Caller, error)
		Keys(by *access.Caller) []access.Key
		Key(by *access.Caller, id string) (access.Key, error)
		KeyMaker
	}
	// KeyMaker makes and ends keys.
	KeyMaker interface {
		Create(ctx context.Context, by *access.Caller, k access.Key) (access.Key, event.Secret, error)
		Revoke(ctx context.Context, by *access.Caller, id string) (access.Key, error)
	}
	// Auditor takes audit records and never blocks; *audit.Log is one.
	Auditor interface{ Audit(a event.Audit) }
)

var (
	_ Publisher    = (*ingest.Ingest)(nil)
	_ History      = (*journal.Journal)(nil)
	_ Members      = (*cluster.Gossip)(nil)
	_ ClusterKeys  = (*cluster.Rotation)(nil)
	_ Dead         = (*journal.Journal)(nil)
	_ Integrations = (*registry.Registry)(nil)
	_ Controls     = (*registry.Registry)(nil)
	_ Mappings     = (*registry.Registry)(nil)
	_ Engine       = (*actors.System)(nil)
	_ Analytics    = (*analytics.Store)(nil)
	_ Keys         = (*access.Keyring)(nil)
)

// Config is what New needs. Everything is required, except where a default is named.
type Config struct {
	Keys Keys // who may call, and what
	// Insecure lets everybody do everything. For development.
	Insecure bool

	Publisher    Publisher
	History      History
	Members      Members
	Dead         Dead
	Integrations Integrations
	Controls     Controls
	Mappings     Mappings
	Engine       Engine
	Auditor      Auditor
	Answers      Answers // to writes with an idempotency key
	// Drain has other nodes take this one's shards over, for good, and returns when they can.
	Drain func(ctx context.Context) error
	// Clients returns those that listen, or nil where none do. It is called after Mount. Default: none do.
	Clients func() Clients
	// ClusterKeys are nil where the node is alone.
	ClusterKeys ClusterKeys
	// Analytics returns the store, or nil while there is none. Default: there is none.
	Analytics func() Analytics

	Node    string           // name of this node
	Version string           // of this release
	Now     func() time.Time // default time.Now
	Logger  zerolog.Logger
	// Source tells where a request comes from, for the audit; default: its connection's address.
	Source func(r *http.Request) netip.Addr
}

// WithDefaults returns the configuration with what was left out filled in.
func (c Config) WithDefaults() Config {
	if c.Analytics == nil {
		c.Analytics = func() Analytics { return nil }
	}
	if c.Clients == nil {
		c.Clients = func() Clients { return nil }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Source == nil {
		c.Source = connectionAddr
	}
	return c
}

// Validate returns an error that names the first field that is missing or wrong.
func (c Config) Validate() error {
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Keys", c.Keys == nil},
		{"Publisher", c.Publisher == nil},
		{"History", c.History == nil},
		{"Members", c.Members == nil},
		{"Drain", c.Drain == nil},
		{"Dead", c.Dead == nil},
		{"Integrations", c.Integrations == nil},
		{"Controls", c.Controls == nil},
		{"Mappings", c.Mappings == nil},
		{"Engine", c.Engine == nil},
		{"Auditor", c.Auditor == nil},
		{"Answers", c.Answers == nil},
	} {
		if f.missing {
			return fmt.Errorf("api: Config.%s is missing", f.name)
		}
	}
	return nil
}
