package vendors

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
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

// Validate returns an error that names the first bad field, its value and what is allowed.
func (c Config) Validate() error {
	switch {
	case c.Port < 0 || c.Port > 65535-10:
		return fmt.Errorf("simulator: port is %d; it must be 0, or up to 65525", c.Port)
	case c.Keep < 0:
		return fmt.Errorf("simulator: keep is %d; it must be at least 1", c.Keep)
	}
	return nil
}

// Set is one simulator of each vendor.
type Set struct {
	StudioCloud *StudioCloud
	VenueMaster *VenueMaster
	WhatsApp    *WhatsApp
	Slack       *Slack
	Email       *Email
}

// StartAll starts one simulator of each vendor. With a fixed Config.Port the HTTP ports are, in the
// order of Set's fields, that one and the following four; mail is taken at the one after these. ctx
// bounds the start only; Close ends them.
func StartAll(ctx context.Context, cfg Config) (*Set, error) {
	set := &Set{}
	var err error
	next := func() Config {
		c := cfg
		if cfg.Port != 0 {
			cfg.Port++
		}
		return c
	}
	for _, start := range []func() error{
		func() error { set.StudioCloud, err = StartStudioCloud(ctx, next()); return err },
		func() error { set.VenueMaster, err = StartVenueMaster(ctx, next()); return err },
		func() error { set.WhatsApp, err = StartWhatsApp(ctx, next()); return err },
		func() error { set.Slack, err = StartSlack(ctx, next()); return err },
		func() error { set.Email, err = StartEmail(ctx, next()); return err },
	} {
		if err := start(); err != nil {
			return nil, errors.Join(err, set.Close())
		}
	}
	return set, nil
}

// All returns the simulators in the order of Set's fields.
func (s *Set) All() []Vendor {
	var all []Vendor
	if s.StudioCloud != nil {
		all = append(all, s.StudioCloud)
	}
	if s.VenueMaster != nil {
		all = append(all, s.VenueMaster)
	}
	if s.WhatsApp != nil {
		all = append(all, s.WhatsApp)
	}
	if s.Slack != nil {
		all = append(all, s.Slack)
	}
	if s.Email != nil {
		all = append(all, s.Email)
	}
	return all
}

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
