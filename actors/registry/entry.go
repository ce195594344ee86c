package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// Entry is an integration as it stood at one revision of its configuration and of its secrets. It
// is immutable, shared, and safe for concurrent use; its maps and bytes must not be changed (Copy
// may be). A change to settings or secrets makes a new Entry: compare pointers to notice.
type Entry struct {
	Integration     event.Integration
	Revision        uint64 // of the configuration, as Integration.Revision
	SecretsRevision uint64 // of the secrets; 0: it has none

	connect func() (adapter.Connection, error)
	secrets func() (event.Secrets, error)
}

// Connection returns the integration's adapter, bound to its settings and secrets. It is made on
// first use and kept. The error is an *adapter.SettingsError where settings or secrets are missing
// or wrong, an *adapter.UnknownVendorError, or wraps ErrSeal: until somebody mends it, the
// integration is misconfigured.
func (e *Entry) Connection() (adapter.Connection, error) { return e.connect() }

// Check returns what Connection would with other settings, and with these secrets over those in force. It stores
// nothing.
func (e *Entry) Check(settings json.RawMessage, values map[string]event.Secret) error {
	a, err := adapter.Lookup(e.Integration.Vendor)
	if err != nil {
		return err
	}
	secrets, err := e.secrets()
	if err != nil {
		return err
	}
	if secrets == nil {
		secrets = event.Secrets{}
	}
	for name, v := range values {
		rotate(secrets, name, v)
	}
	in := e.Copy()
	in.Settings = settings
	_, err = a.Connect(in, secrets)
	return err
}

// Copy returns the integration for the caller to change and Put.
func (e *Entry) Copy() event.Integration { return cloneIntegration(e.Integration) }

// String names the entry.
func (e *Entry) String() string {
	return fmt.Sprintf("integration %s (%s, revision %d)", e.Integration.ID, e.Integration.Vendor, e.Revision)
}

// Match is an integration that an event goes to, and whom it tells.
type Match struct {
	Entry     *Entry
	Recipient string            // whom the mapping's target names; "": whom the integration's settings do
	Vars      map[string]string // what the mapping's pattern captured; shared, not to be changed; nil: nothing
	Mapping   string            // id of the mapping that chose it: the first whose condition holds, where several do

	rules   *rules   // of the target; nil: none
	outcome *outcome // what the mapping's expressions make of the event; nil: it has none
}

// same reports whether two matches are of one integration and recipient.
func (m *Match) same(other *Match) bool {
	return m.Entry == other.Entry && m.Recipient == other.Recipient
}

// Event returns the event, for which the match was found, as the mapping's fields make it: that is what is
// to be encoded. It fails with an *ExpressionError where the mapping's condition or a field cannot be
// evaluated: then the event cannot be delivered.
func (m Match) Event(ev *event.Event) (*event.Event, error) {
	if m.outcome == nil {
		return ev, nil
	}
	return m.outcome.event, m.outcome.err
}

// WeddingID returns the couple that an event is about: as the event says, else the captured
// weddingId or coupleId, else the payload's coupleId, else "".
func WeddingID(ev *event.Event, vars map[string]string) string {
	for _, id := range []string{ev.WeddingID, vars["weddingId"], vars["coupleId"]} {
		if id != "" {
			return id
		}
	}
	var payload struct {
		CoupleID json.RawMessage `json:"coupleId"`
	}
	if json.Unmarshal(ev.Payload, &payload) != nil {
		return ""
	}
	var id string
	if json.Unmarshal(payload.CoupleID, &id) != nil {
		var number json.Number
		if json.Unmarshal(payload.CoupleID, &number) != nil {
			return ""
		}
		id = number.String()
	}
	if len(id) > event.MaxIDBytes {
		return ""
	}
	return id
}

// newEntry binds an integration to its vendor's adapter and its sealed secrets, opening nothing yet.
func newEntry(in event.Integration, sealer *Sealer, sealed []byte, secretsRevision uint64) *Entry {
	open := func() (event.Secrets, error) { return sealer.Open(in.ID, sealed) }
	return &Entry{
		Integration: in, Revision: in.Revision, SecretsRevision: secretsRevision,
		secrets: open,
		connect: sync.OnceValues(func() (adapter.Connection, error) {
			a, err := adapter.Lookup(in.Vendor)
			if err != nil {
				return nil, err
			}
			secrets, err := open()
			if err != nil {
				return nil, err
			}
			return a.Connect(in, secrets)
		}),
	}
}

func cloneIntegration(in event.Integration) event.Integration {
	in.Owner = maps.Clone(in.Owner)
	in.Settings = slices.Clone(in.Settings)
	if in.Paused != nil {
		p := *in.Paused
		in.Paused = &p
	}
	return in
}
