package vendors

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
)

// Vendor is a running simulator. It is safe for concurrent use.
type Vendor interface {
	// Name is the adapter's id of the vendor, such as "studiocloud".
	Name() string
	// URL is where the simulator listens, by HTTP. Mail is taken at a port of its own; see
	// Integration's settings.
	URL() string
	// Integration gives an integration with this simulator and its secrets, ready to be connected.
	Integration(id string) (event.Integration, event.Secrets)
	// Received returns the receipts kept, oldest first.
	Received() []Receipt
	// Counts returns how many calls came, of all time.
	Counts() Counts
	// Wait returns when n different deliveries were taken (with Config.Discard: n calls), or with
	// the context's error.
	Wait(ctx context.Context, n int) error
	// Forget drops receipts and counts, so that a next part can be counted from zero.
	Forget()
	// Faults are the faults to switch on and off.
	Faults() *Faults
	// Close stops the simulator, lets go of what hangs, and waits for its goroutines.
	Close() error
}

// Sender is a vendor that sends webhooks.
type Sender interface {
	Vendor
	// Send posts a signed webhook to an address and returns each answer: one, or two where a
	// WebhookFault duplicates it. It fails where no answer came.
	Send(ctx context.Context, to string, w Webhook) ([]Sent, error)
	// Webhooks gives a realistic webhook of each type that the vendor sends.
	Webhooks() []Webhook
}

// Keeper is a vendor that keeps clients.
type Keeper interface {
	Vendor
	// Clients gives the clients by our id of them, as the vendor was told of them last.
	Clients() map[string]map[string]any
}

// Webhook is what a vendor says, in the vendor's own words.
type Webhook struct {
	ID   string         `json:"id"` // the vendor's id; "": a new one
	Type string         `json:"type"`
	Data map[string]any `json:"data"`
}

// Sent is the answer to a webhook.
type Sent struct {
	ID     string      `json:"id"`
	Status int         `json:"status"`
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"` // at most 64 KiB
}

// Receipt is one call as the vendor saw it.
type Receipt struct {
	At        time.Time   `json:"at"`
	Vendor    string      `json:"vendor"`
	ID        string      `json:"id,omitempty"`        // the delivery's, or what else the protocol tells repeats by
	EventID   string      `json:"eventId,omitempty"`   // where the protocol carries it
	EventType string      `json:"eventType,omitempty"` // likewise
	Status    int         `json:"status"`              // answered: HTTP status or SMTP code; 0: none
	Taken     bool        `json:"taken"`               // the vendor acted on it, even if the answer was lost
	Repeat    int         `json:"repeat,omitempty"`    // how often the same ID had been taken before
	Body      []byte      `json:"-"`
	Header    http.Header `json:"-"`
}

// Counts are totals of calls. Probes are not counted.
type Counts struct {
	Calls    int `json:"calls"`
	Taken    int `json:"taken"`    // acted upon, repeats among them
	Distinct int `json:"distinct"` // different IDs taken
	Repeats  int `json:"repeats"`  // taken with an ID that had been taken before
	Refused  int `json:"refused"`  // answered with an error, or not at all
}

// Config configures a simulator.
type Config struct {
	Host       string         // default 127.0.0.1
	Port       int            // default 0: any free one; StartAll counts on from it
	Keep       int            // receipts kept, the oldest go first; default 10,000
	Discard    bool           // only count: keep no receipt and no ID, for benchmarks
	RateLimits bool           // answer as the vendor does to more calls than its limits allow
	Notify     func(Receipt)  // called with each receipt, one after the other; must not block, nor ask the simulator
	Logger     zerolog.Logger // default: silent
	// Certificate has the mail server offer STARTTLS and take no password without it; default: no TLS.
	Certificate *tls.Certificate
	Now         func() time.Time // default time.Now
}

// WithDefaults returns the config with each zero field set to its default.
func (c Config) WithDefaults() Config {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Keep == 0 {
		c.Keep = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// maxSimulators is at least how many ports StartAll takes in a row.
const maxSimulators = 20

// Validate returns an error that names the first bad field, its value and what is allowed.
func (c Config) Validate() error {
	switch {
	case c.Port < 0 || c.Port > 65535-maxSimulators:
		return fmt.Errorf("simulator: port is %d; it must be 0, or up to %d", c.Port, 65535-maxSimulators)
	case c.Keep < 0:
		return fmt.Errorf("simulator: keep is %d; it must be at least 1", c.Keep)
	}
	return nil
}

// Set is one simulator of each vendor.
type Set struct {
	StudioCloud   *StudioCloud
	VenueMaster   *VenueMaster
	WhatsApp      *WhatsApp
	Slack         *Slack
	Email         *Email
	PartyRental   *PartyRental
	EventPlanning *EventPlanning
	Tripleseat    *Tripleseat
	AnySystem     *AnySystem
	IrisWorks     *IrisWorks
	ShootQ        *ShootQ
	VSCO          *VSCO

	started []Vendor
}

// StartAll starts one simulator of each vendor. With a fixed Config.Port the HTTP ports are, in the
// order of Set's fields, that one and those after it; mail is taken at the port after Email's. ctx bounds
// the start only; Close ends them.
func StartAll(ctx context.Context, cfg Config) (*Set, error) {
	s := &Set{}
	for _, start := range []func(Config) error{
		func(c Config) error { return begin(ctx, s, c, StartStudioCloud, &s.StudioCloud) },
		func(c Config) error { return begin(ctx, s, c, StartVenueMaster, &s.VenueMaster) },
		func(c Config) error { return begin(ctx, s, c, StartWhatsApp, &s.WhatsApp) },
		func(c Config) error { return begin(ctx, s, c, StartSlack, &s.Slack) },
		func(c Config) error { return begin(ctx, s, c, StartEmail, &s.Email) },
		func(c Config) error { return begin(ctx, s, c, StartPartyRental, &s.PartyRental) },
		func(c Config) error { return begin(ctx, s, c, StartEventPlanning, &s.EventPlanning) },
		func(c Config) error { return begin(ctx, s, c, StartTripleseat, &s.Tripleseat) },
		func(c Config) error { return begin(ctx, s, c, StartAnySystem, &s.AnySystem) },
		func(c Config) error { return begin(ctx, s, c, StartIrisWorks, &s.IrisWorks) },
		func(c Config) error { return begin(ctx, s, c, StartShootQ, &s.ShootQ) },
		func(c Config) error { return begin(ctx, s, c, StartVSCO, &s.VSCO) },
	} {
		if err := start(cfg); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if cfg.Port != 0 {
			cfg.Port++
		}
		if _, two := s.started[len(s.started)-1].(*Email); two && cfg.Port != 0 {
			cfg.Port++
		}
	}
	return s, nil
}

// begin starts a simulator of the set.
func begin[V Vendor](ctx context.Context, s *Set, cfg Config, start func(context.Context, Config) (V, error), into *V) error {
	v, err := start(ctx, cfg)
	if err != nil {
		return err
	}
	*into = v
	s.started = append(s.started, v)
	return nil
}

// All returns the simulators in the order of Set's fields.
func (s *Set) All() []Vendor { return slices.Clone(s.started) }

// Lookup returns the simulator of a vendor, or nil.
func (s *Set) Lookup(name string) Vendor {
	for _, v := range s.All() {
		if v.Name() == name {
			return v
		}
	}
	return nil
}

// Close closes all of them.
func (s *Set) Close() error {
	var errs []error
	for _, v := range s.All() {
		errs = append(errs, v.Close())
	}
	return errors.Join(errs...)
}
