package event

import (
	"fmt"
	"slices"
	"time"
)

// Target is either a category or one integration, and the rules by which what goes there is told.
type Target struct {
	Category    Category `json:"category,omitempty"`
	Integration string   `json:"integration,omitempty"`

	// Types are those of the mapping's that go to this target; empty: all of them.
	Types []string `json:"types,omitempty"`
	// Recipients are addresses as the service writes them, each told by a delivery of its own: a number in
	// E.164, a mail address, a Slack channel. Empty: whom the integration's settings name.
	Recipients []string `json:"recipients,omitempty"`
	// QuietHours are when nobody is told; what comes in them is sent when they end.
	QuietHours *QuietHours `json:"quietHours,omitempty"`
	// Digest makes one message of what comes within a while.
	Digest *Digest `json:"digest,omitempty"`
	// Critical are the event types that are sent at once all the same.
	Critical []string `json:"critical,omitempty"`
}

// QuietHours are a part of the recipient's day.
type QuietHours struct {
	From     string `json:"from"`     // such as "22:00", by the clock there
	To       string `json:"to"`       // such as "07:00": the first minute that is not quiet
	TimeZone string `json:"timeZone"` // an IANA name, such as "Europe/Paris"
}

// Digest says how long events are gathered, from the first of them, to be told together.
type Digest struct {
	Window Duration `json:"window"` // such as "15m"
}

// Limits on a target's rules.
const (
	MinDigest = time.Second
	MaxDigest = 24 * time.Hour

	MaxRecipients     = 50
	MaxRecipientBytes = 254 // a mail address has no more (RFC 5321, 4.5.3.1.3)
)

// FieldError says which field is wrong, such as "targets[0].recipients[1]", and why.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

// In puts the field into another one.
func (e *FieldError) In(field string) *FieldError {
	if e.Field != "" {
		field += "." + e.Field
	}
	return &FieldError{field, e.Reason}
}

func wrong(field, format string, args ...any) *FieldError {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// check returns what is wrong with a target of a mapping of these types.
func (t *Target) check(types []string) *FieldError {
	switch {
	case (t.Category == "") == (t.Integration == ""):
		return wrong("", "give either a category or an integration")
	case t.Category != "" && !slices.Contains(Categories(), t.Category):
		return wrong("", "%q is no category; use one of %v", t.Category, Categories())
	case t.Integration != "":
		if err := CheckID(t.Integration); err != nil {
			return wrong("", "%v", err)
		}
	}
	for field, types := range map[string][]string{"types": t.Types, "critical": t.Critical} {
		if len(types) > MaxMappingTypes {
			return wrong(field, "%d, at most %d are allowed", len(types), MaxMappingTypes)
		}
	}
	for i, name := range t.Types {
		field := fmt.Sprintf("types[%d]", i)
		if err := CheckType(name); err != nil {
			return wrong(field, "%v", err)
		}
		if len(types) > 0 && !slices.Contains(types, name) {
			return wrong(field, "%s is none of the mapping's types %v, so it would never go there", name, types)
		}
	}
	if t.Digest != nil && (time.Duration(t.Digest.Window) < MinDigest || time.Duration(t.Digest.Window) > MaxDigest) {
		return wrong("digest.window", "%v; allowed are %v to %v", time.Duration(t.Digest.Window), MinDigest, MaxDigest)
	}
	if len(t.Critical) > 0 && t.QuietHours == nil && t.Digest == nil {
		return wrong("critical", "there is nothing that these types would pass; give quietHours or digest")
	}
	for i, name := range t.Critical {
		if err := CheckType(name); err != nil {
			return wrong(fmt.Sprintf("critical[%d]", i), "%v", err)
		}
	}
	return t.checkRecipients()
}

// checkRecipients checks what can be checked without knowing the service.
func (t *Target) checkRecipients() *FieldError {
	if len(t.Recipients) > MaxRecipients {
		return wrong("recipients", "%d, at most %d are allowed", len(t.Recipients), MaxRecipients)
	}
	for i, r := range t.Recipients {
		field := fmt.Sprintf("recipients[%d]", i)
		switch {
		case r == "" || len(r) > MaxRecipientBytes || !printable(r):
			return wrong(field, "%.80q: an address has 1 to %d bytes of printable UTF-8", r, MaxRecipientBytes)
		case slices.Contains(t.Recipients[:i], r):
			return wrong(field, "%s is there twice", r)
		}
	}
	return nil
}

// Takes reports whether events of a type that the mapping selects go to this target.
func (t *Target) Takes(eventType string) bool {
	return len(t.Types) == 0 || slices.Contains(t.Types, eventType)
}
