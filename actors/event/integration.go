package event

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Category groups vendors by what they are to a wedding; mappings target categories.
type Category string

// The categories.
const (
	PhotographyCRM       Category = "photography-crm"
	VenueManagement      Category = "venue-management"
	WhatsAppBusiness     Category = "whatsapp-business"
	SlackNotifications   Category = "slack-notifications"
	EmailService         Category = "email-service"
	SupplierDashboards   Category = "supplier-dashboards"
	ProjectManagement    Category = "project-management"
	TimelineCoordination Category = "timeline-coordination"
	ClientCommunications Category = "client-communications"
)

// Categories returns all of them.
func Categories() []Category {
	return []Category{
		PhotographyCRM, VenueManagement, WhatsAppBusiness, SlackNotifications, EmailService,
		SupplierDashboards, ProjectManagement, TimelineCoordination, ClientCommunications,
	}
}

// Integration is one connection to one vendor for one owner. Its secrets are kept apart.
type Integration struct {
	V        int               `json:"v"`
	ID       string            `json:"id"` // see CheckID
	Name     string            `json:"name,omitempty"`
	Vendor   string            `json:"vendor"`
	Category Category          `json:"category"`          // filled in from the vendor's adapter, unless that has none
	Owner    map[string]string `json:"owner,omitempty"`   // such as supplierId=42; empty: everybody's
	Settings json.RawMessage   `json:"settings"`          // an object of the adapter's schema
	Channel  string            `json:"channel,omitempty"` // Template of the channel that inbound webhooks go to
	Limits   Limits            `json:"limits,omitzero"`
	Disabled bool              `json:"disabled,omitempty"` // neither sends nor receives; its deliveries are skipped
	Paused   *Pause            `json:"paused,omitempty"`   // nothing is sent; its deliveries wait
	Resumed  time.Time         `json:"resumed,omitzero"`   // when an admin's pause last ended

	Revision uint64 `json:"-"` // of the configuration store; 0 before it is stored
}

// Pause says why an integration sends nothing for now.
type Pause struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"` // "admin:<name>", or PausedBySystem
	At     time.Time `json:"at"`
}

// PausedBySystem is who paused after an answer that only an admin can mend.
const PausedBySystem = "system"

// Wanted reports that an admin wants it, and not the system, which would rather send.
func (p *Pause) Wanted() bool { return p != nil && p.By != PausedBySystem }

// Limits bound one integration. A zero field takes the vendor's default, then the node's.
type Limits struct {
	PerSecond       float64  `json:"perSecond,omitzero"`       // calls a second
	Burst           int      `json:"burst,omitzero"`           // calls at once above the rate
	PerRecipient    Duration `json:"perRecipient,omitzero"`    // at least so long between calls to one recipient
	RecipientBurst  int      `json:"recipientBurst,omitzero"`  // calls to one recipient at once after a pause; default 1
	MaxInFlight     int      `json:"maxInFlight,omitzero"`     // calls at once; default: a fair share
	WebhooksPerHour int      `json:"webhooksPerHour,omitzero"` // inbound, verified; default 1000
	Timeout         Duration `json:"timeout,omitzero"`         // of one attempt; default 30 s
	ParkLimit       Duration `json:"parkLimit,omitzero"`       // what waited longer dies; default 24 h
}

// Or returns the limits with each zero field taken from other, but for one: a rate given without a
// burst has none, as a burst made for another rate would undo it.
func (l Limits) Or(other Limits) Limits {
	or := func(a *Duration, b Duration) {
		if *a == 0 {
			*a = b
		}
	}
	if l.PerSecond == 0 {
		l.PerSecond = other.PerSecond
		if l.Burst == 0 {
			l.Burst = other.Burst
		}
	}
	if l.PerRecipient == 0 {
		l.PerRecipient = other.PerRecipient
		if l.RecipientBurst == 0 {
			l.RecipientBurst = other.RecipientBurst
		}
	}
	if l.MaxInFlight == 0 {
		l.MaxInFlight = other.MaxInFlight
	}
	if l.WebhooksPerHour == 0 {
		l.WebhooksPerHour = other.WebhooksPerHour
	}
	or(&l.Timeout, other.Timeout)
	or(&l.ParkLimit, other.ParkLimit)
	return l
}

// Duration is a time.Duration that JSON writes as text, such as "1m30s".
type Duration time.Duration

// MarshalText writes the duration as time.Duration.String does; a negative one, which a clock that
// was set back can make, as 0s, so that what is written can be read.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(max(d, 0)).String()), nil
}

// UnmarshalText reads what time.ParseDuration reads; a negative duration is refused.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("duration %.40q: write it like 500ms, 30s or 24h", text)
	}
	*d = Duration(v)
	return nil
}

// CheckID returns an error unless id can name an integration or a mapping: 1 to 64 of A-Za-z0-9_-.
func CheckID(id string) error {
	if id == "" || len(id) > MaxSegmentBytes {
		return fmt.Errorf("id %.80q: must have 1 to %d bytes", id, MaxSegmentBytes)
	}
	if bad := firstOther(id, func(c byte) bool { return segmentByte(c) && c != '.' }); bad != "" {
		return fmt.Errorf("id %q: %q is not allowed; an id is made of A-Z a-z 0-9 _ and -", id, bad)
	}
	return nil
}

// Mapping says which events go to whom: events of these types on channels that the pattern selects
// go to the integrations named, and to those of the categories named whose owner variables agree
// with what the pattern captured.
type Mapping struct {
	V       int      `json:"v"`
	ID      string   `json:"id"` // see CheckID
	Pattern string   `json:"pattern"`
	Types   []string `json:"types,omitempty"` // empty: all
	Targets []Target `json:"targets"`
	// When is an expression: events for which it is false are not delivered by this mapping; "": all are.
	When string `json:"when,omitempty"`
	// Fields are expressions by the name of the payload's field that each makes, or makes anew, in what
	// is delivered. The event itself stays as it is.
	Fields map[string]string `json:"fields,omitempty"`

	Revision uint64 `json:"-"`
}

// Limits on a mapping.
const (
	MaxTargets           = 100
	MaxMappingTypes      = 100 // also of a target's types, and of those that are critical
	MaxExpressionBytes   = 4 << 10
	MaxMappingFields     = 32
	MaxMappingFieldBytes = 64
)

// Validate returns an error that names the first thing wrong with the mapping.
func (m *Mapping) Validate() error {
	if err := CheckID(m.ID); err != nil {
		return fmt.Errorf("mapping: %w", err)
	}
	if _, err := ParsePattern(m.Pattern); err != nil {
		return fmt.Errorf("mapping %s: pattern: %w", m.ID, err)
	}
	if len(m.Types) > MaxMappingTypes {
		return fmt.Errorf("mapping %s: types: %d, at most %d are allowed; without any, all are meant", m.ID, len(m.Types), MaxMappingTypes)
	}
	for _, t := range m.Types {
		if err := CheckType(t); err != nil {
			return fmt.Errorf("mapping %s: types: %w", m.ID, err)
		}
	}
	if len(m.Targets) == 0 {
		return fmt.Errorf("mapping %s: targets: name at least one category or integration", m.ID)
	}
	if len(m.Targets) > MaxTargets {
		return fmt.Errorf("mapping %s: targets: %d, at most %d are allowed; make another mapping of the rest", m.ID, len(m.Targets), MaxTargets)
	}
	for i := range m.Targets {
		if err := m.Targets[i].check(m.Types); err != nil {
			return fmt.Errorf("mapping %s: %w", m.ID, err.In(fmt.Sprintf("targets[%d]", i)))
		}
	}
	return m.checkExpressions()
}

// checkExpressions checks what can be checked without understanding them.
func (m *Mapping) checkExpressions() error {
	if len(m.When) > MaxExpressionBytes {
		return fmt.Errorf("mapping %s: when: %d bytes, at most %d are allowed", m.ID, len(m.When), MaxExpressionBytes)
	}
	if len(m.Fields) > MaxMappingFields {
		return fmt.Errorf("mapping %s: fields: %d, at most %d are allowed", m.ID, len(m.Fields), MaxMappingFields)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Fields)) {
		switch source := m.Fields[name]; {
		case name == "" || len(name) > MaxMappingFieldBytes || !printable(name):
			return fmt.Errorf("mapping %s: fields: %.80q: a name has 1 to %d bytes of printable UTF-8", m.ID, name, MaxMappingFieldBytes)
		case strings.TrimSpace(source) == "":
			return fmt.Errorf("mapping %s: fields.%s: the expression is empty", m.ID, name)
		case len(source) > MaxExpressionBytes:
			return fmt.Errorf("mapping %s: fields.%s: %d bytes, at most %d are allowed", m.ID, name, len(source), MaxExpressionBytes)
		}
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
