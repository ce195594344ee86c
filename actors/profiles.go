package actors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Errors of syncing profiles.
var (
	// ErrNoProfiles means that the integration's vendor keeps no profiles of clients.
	ErrNoProfiles = errors.New("actors: the vendor takes no profiles of clients")
	// ErrSyncReused means that the sync has another profile of a client already.
	ErrSyncReused = errors.New("actors: the sync has another profile of the client; give what has changed a sync of its own")
)

// SyncClientProfiles has an integration's vendor told of clients, and returns once that is durable, with how the
// sync stands; ClientProfileSync returns that later. Each profile that the vendor does not have already
// becomes a delivery like any other, in the client's order: signed, retried and recorded. The same call
// again tells nothing twice, so after an error, or a crash, it is made again; more clients can be added to
// a sync. An empty syncID begins a new one.
//
// It fails with ErrUnknown, ErrPassedOver (disabled), ErrNoProfiles, ErrSyncReused, an *event.FieldError that
// names what is wrong with the profiles, or with what keeps the integration from working, such as an
// *adapter.SettingsError. Nothing is told then. A profile that the vendor has no form for fails by itself.
func (s *System) SyncClientProfiles(ctx context.Context, id, syncID string, profiles []event.Profile) (event.ProfileSync, error) {
	if syncID == "" {
		syncID = "sync_" + strings.ToLower(rand.Text()[:16])
	}
	if err := checkProfiles(syncID, profiles); err != nil {
		return event.ProfileSync{}, err
	}
	b := &briefing{sys: s, syncID: syncID, now: s.cfg.Now().UTC()}
	if err := b.connect(id); err != nil {
		return event.ProfileSync{}, err
	}
	rest, err := b.notYet(ctx, profiles)
	if err != nil {
		return event.ProfileSync{}, err
	}
	if err := b.tell(ctx, rest); err != nil {
		return event.ProfileSync{}, fmt.Errorf("actors: sync %s with %s: %w", syncID, id, err)
	}
	return s.ClientProfileSync(ctx, id, syncID)
}

// ClientProfileSync returns how a sync stands, for a week from its last change. It fails with journal.ErrNotFound
// where there is none.
func (s *System) ClientProfileSync(ctx context.Context, id, syncID string) (event.ProfileSync, error) {
	sync := event.ProfileSync{SyncID: syncID}
	parts, err := s.cfg.Journal.Synced(ctx, id, syncID)
	if err != nil {
		return sync, fmt.Errorf("actors: sync %s with %s: %w", syncID, id, err)
	}
	if len(parts) == 0 {
		return sync, fmt.Errorf("actors: sync %s with %s: %w", syncID, id, journal.ErrNotFound)
	}
	slices.SortFunc(parts, func(a, b journal.Synced) int { return strings.Compare(a.ID, b.ID) })
	for _, p := range parts {
		sync.Add(event.ProfileResult{ClientID: p.ID, Outcome: p.Outcome, Reason: p.Reason})
	}
	return sync, nil
}

func checkProfiles(syncID string, profiles []event.Profile) error {
	if event.CheckID(syncID) != nil {
		return &event.FieldError{Field: "syncId", Reason: "must have 1 to 64 of A-Z a-z 0-9 _ and -"}
	}
	if n := len(profiles); n == 0 || n > event.MaxProfiles {
		return &event.FieldError{Field: "profiles", Reason: fmt.Sprintf("%d, where 1 to %d are allowed; more can follow under the same syncId", n, event.MaxProfiles)}
	}
	at := make(map[string]int, len(profiles))
	for i := range profiles {
		field := fmt.Sprintf("profiles[%d]", i)
		if err := profiles[i].Check(); err != nil {
			return err.In(field)
		}
		if first, twice := at[profiles[i].ClientID]; twice {
			return &event.FieldError{Field: field + ".clientId", Reason: fmt.Sprintf("is that of profiles[%d], too", first)}
		}
		at[profiles[i].ClientID] = i
	}
	return nil
}

// briefing tells one integration's vendor of clients.
type briefing struct {
	sys    *System
	syncID string
	now    time.Time
	entry  *registry.Entry
	keeper adapter.ProfileKeeper
}

func (b *briefing) connect(id string) error {
	entry, ok := b.sys.cfg.Registry.Lookup(id)
	if !ok {
		return fmt.Errorf("%w: %q", ErrUnknown, id)
	}
	if a, err := adapter.Lookup(entry.Integration.Vendor); err != nil || !a.Describe().Profiles {
		return fmt.Errorf("%w: %s", ErrNoProfiles, entry.Integration.Vendor)
	}
	if entry.Integration.Disabled {
		return fmt.Errorf("%w: %q: %s", ErrPassedOver, id, event.ReasonDisabled)
	}
	conn, err := entry.Connection()
	if err != nil {
		return err
	}
	b.entry, b.keeper = entry, conn.(adapter.ProfileKeeper) //nolint:errcheck // its adapter says so, and a test holds it to that
	return nil
}

// notYet returns the profiles of clients that the sync does not have yet.
func (b *briefing) notYet(ctx context.Context, profiles []event.Profile) ([]event.Profile, error) {
	parts, err := b.sys.cfg.Journal.Synced(ctx, b.entry.Integration.ID, b.syncID)
	if err != nil {
		return nil, fmt.Errorf("actors: sync %s: %w", b.syncID, err)
	}
	known := make(map[string]string, len(parts))
	for _, p := range parts {
		known[p.ID] = p.Hash
	}
	var rest []event.Profile
	for i := range profiles {
		hash, there := known[profiles[i].ClientID]
		switch {
		case !there:
			rest = append(rest, profiles[i])
		case hash != hashOf(&profiles[i]):
			return nil, fmt.Errorf("%w: profiles[%d]", ErrSyncReused, i)
		}
	}
	return rest, nil
}

// tell enqueues what the vendor does not have, and notes how each client stands. The notes come after the
// deliveries: after a crash between the two the same delivery is enqueued again, which has no effect.
func (b *briefing) tell(ctx context.Context, profiles []event.Profile) error {
	parts := make([]journal.Synced, len(profiles))
	var ds []*event.Delivery
	for i := range profiles {
		p := &profiles[i]
		parts[i] = journal.Synced{V: event.Version, ID: p.ClientID, Hash: hashOf(p), Outcome: event.ProfilePending, At: b.now}
		d, err := b.delivery(p)
		if err != nil {
			parts[i].Outcome, parts[i].Reason = event.ProfileFailed, reasonOf(err)
			continue
		}
		has, err := b.has(ctx, d)
		if err != nil {
			return err
		}
		if has {
			parts[i].Outcome = event.ProfileUnchanged
			continue
		}
		ds = append(ds, d)
	}
	if err := b.sys.cfg.Journal.Enqueue(ctx, ds...); err != nil {
		return err
	}
	for _, part := range parts {
		if err := b.note(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// note notes how a client stands, unless the client was erased since the sync was asked for.
func (b *briefing) note(ctx context.Context, part journal.Synced) error {
	id := b.entry.Integration.ID
	err := b.sys.cfg.Journal.AddSynced(ctx, id, b.syncID, part)
	if err != nil || !b.sys.isErased(&event.Delivery{Channel: event.ProfileChannel(part.ID), WeddingID: part.ID, AcceptedAt: b.now}) {
		return err
	}
	return b.sys.cfg.Journal.ForgetClient(ctx, id, b.syncID, part.ID)
}

func (b *briefing) delivery(p *event.Profile) (_ *event.Delivery, err error) {
	defer recovered(&err)
	body, err := b.keeper.EncodeProfile(p)
	if err != nil {
		return nil, err
	}
	in := &b.entry.Integration
	d := deliveryOf(&event.Event{
		ID: b.syncID, Channel: event.ProfileChannel(p.ClientID), Type: event.TypeClientProfile,
		WeddingID: p.ClientID, CorrelationID: b.syncID, AcceptedAt: b.now,
	}, in, nil, b.now)
	d.Body = body
	// Under other settings it may be another account, which has nothing yet.
	d.Profile = hash(string(in.Settings)) + "." + hashOf(p)
	return d, nil
}

// has reports whether the vendor has that very profile for sure. If not, it notes that it is on its way:
// until it has ended, an older one is not what the vendor has in the end.
func (b *briefing) has(ctx context.Context, d *event.Delivery) (bool, error) {
	c, err := b.sys.cfg.Journal.Client(ctx, d.Integration, d.WeddingID)
	if err != nil || c.Queued == "" && c.Hash == d.Profile {
		return err == nil, err
	}
	return false, b.sys.cfg.Journal.ChangeClient(ctx, d.Integration, d.WeddingID, func(c *journal.Client) {
		c.Queued, c.At = d.ID, b.now
	})
}

func hashOf(p *event.Profile) string {
	text, _ := json.Marshal(p) // a struct of texts can always be written
	return hash(string(text))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// briefed notes what the vendor has now, and how the delivery of a client's profile ended. It may be done
// twice: what was said of a profile that arrived stays; broken off between the two, one that the vendor never
// had counts as updated. Of a wedding that was erased meanwhile nothing is noted.
func (s *System) briefed(ctx context.Context, d *event.Delivery, result *event.Result, kept event.ProfileOutcome) error {
	if s.isErased(d) {
		return s.cfg.Journal.ForgetClient(ctx, d.Integration, d.EventID, d.WeddingID)
	}
	part, err := s.cfg.Journal.SyncedClient(ctx, d.Integration, d.EventID, d.WeddingID)
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return err
	}
	c, err := s.cfg.Journal.Client(ctx, d.Integration, d.WeddingID)
	if err != nil {
		return err
	}
	arrived := result.Outcome == event.Delivered
	switch {
	case !arrived:
		part.Outcome, part.Reason = event.ProfileFailed, result.Reason
	case part.Outcome == event.ProfileCreated, part.Outcome == event.ProfileUpdated:
	case kept != "":
		part.Outcome, part.Reason = kept, ""
	case c.Had:
		part.Outcome, part.Reason = event.ProfileUpdated, ""
	default:
		part.Outcome, part.Reason = event.ProfileCreated, ""
	}
	part.V, part.ID, part.At = event.Version, d.WeddingID, s.cfg.Now().UTC()
	_, part.Hash, _ = strings.Cut(d.Profile, ".") // as tell, which may not have come so far yet
	err = s.cfg.Journal.ChangeClient(ctx, d.Integration, d.WeddingID, func(c *journal.Client) {
		switch {
		case arrived:
			c.Had, c.Hash = true, d.Profile
		case result.Attempts > 0:
			c.Hash = "" // the vendor may have taken it all the same
		}
		if c.Queued == d.ID {
			c.Queued = ""
		}
		c.At = part.At
	})
	if err == nil { // only then: who hears that the sync has ended may ask for the next one
		err = s.cfg.Journal.PutSynced(ctx, d.Integration, d.EventID, part)
	}
	if err != nil || !s.isErased(d) {
		return err
	}
	return s.cfg.Journal.ForgetClient(ctx, d.Integration, d.EventID, d.WeddingID)
}

// briefAgain notes that a profile is on its way once more.
func (s *System) briefAgain(ctx context.Context, d *event.Delivery) error {
	part, err := s.cfg.Journal.SyncedClient(ctx, d.Integration, d.EventID, d.WeddingID)
	switch {
	case err == nil:
		part.Outcome, part.Reason, part.At = event.ProfilePending, "", d.RoutedAt
		err = s.cfg.Journal.PutSynced(ctx, d.Integration, d.EventID, part)
	case errors.Is(err, journal.ErrNotFound): // it is long ago
		err = nil
	}
	if err != nil {
		return err
	}
	return s.cfg.Journal.ChangeClient(ctx, d.Integration, d.WeddingID, func(c *journal.Client) { c.Queued, c.At = d.ID, d.RoutedAt })
}
