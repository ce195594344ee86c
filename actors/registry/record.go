package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/event"
)

// Prefixes of the buckets' keys; an id follows. Keys with other prefixes are not the registry's.
const (
	integrationPrefix = "integration."
	mappingPrefix     = "mapping."
)

// Limits on what is stored for one integration. They keep 100,000 of them small, and are far above
// what any vendor needs.
const (
	MaxNameBytes     = 128
	MaxSettingsBytes = 16 << 10
	MaxSecretBytes   = 8 << 10
	MaxOwnerVars     = event.MaxChannelSegments // a pattern cannot capture more
)

// decodeIntegration reads a stored integration; id is the key's. What this release cannot know to
// be wrong, such as an unknown vendor, is not an error: Entry.Connection tells of it.
func decodeIntegration(id string, data []byte, revision uint64) (event.Integration, error) {
	var in event.Integration
	if err := decodeRecord(data, &in, &in.V); err != nil {
		return event.Integration{}, err
	}
	if in.ID != id {
		return event.Integration{}, fmt.Errorf("it holds the id %.80q", in.ID)
	}
	if err := checkIntegration(in); err != nil {
		return event.Integration{}, err
	}
	in.Revision = revision
	return in, nil
}

func decodeMapping(id string, data []byte, revision uint64) (event.Mapping, error) {
	var m event.Mapping
	if err := decodeRecord(data, &m, &m.V); err != nil {
		return event.Mapping{}, err
	}
	if m.ID != id {
		return event.Mapping{}, fmt.Errorf("it holds the id %.80q", m.ID)
	}
	if err := m.Validate(); err != nil {
		return event.Mapping{}, err
	}
	m.Revision = revision
	return m, nil
}

// decodeRecord reads a record of this release's version or below. A newer one may have another shape,
// so where a record does not fit, its version is looked at first.
func decodeRecord(data []byte, into any, version *int) error {
	err := json.Unmarshal(data, into)
	if err != nil {
		var only struct {
			V int `json:"v"`
		}
		if json.Unmarshal(data, &only) != nil {
			return fmt.Errorf("not a record in JSON: %w", err)
		}
		*version = only.V
	}
	switch {
	case *version > event.Version:
		return fmt.Errorf("written by a newer release (version %d, this one reads up to %d)", *version, event.Version)
	case *version < 1:
		return fmt.Errorf("version %d is not one", *version)
	case err != nil:
		return fmt.Errorf("not as this release writes it: %w", err)
	}
	return nil
}

// checkIntegration checks what does not depend on the vendor.
func checkIntegration(in event.Integration) error {
	if err := event.CheckID(in.ID); err != nil {
		return err
	}
	switch {
	case in.Vendor == "":
		return errors.New("vendor: must be given")
	case !event.ValidSegment(string(in.Category)):
		return fmt.Errorf("category: %.80q is none", in.Category)
	case len(in.Name) > MaxNameBytes || !utf8.ValidString(in.Name):
		return fmt.Errorf("name: must be UTF-8 of at most %d bytes", MaxNameBytes)
	case len(in.Settings) > MaxSettingsBytes:
		return fmt.Errorf("settings: %d bytes, at most %d are allowed", len(in.Settings), MaxSettingsBytes)
	case len(in.Owner) > MaxOwnerVars:
		return fmt.Errorf("owner: %d variables, at most %d are allowed, as a channel has no more segments", len(in.Owner), MaxOwnerVars)
	}
	for name, value := range in.Owner {
		if !validVar(name) {
			return fmt.Errorf("owner: %.80q is no variable name; use letters, digits and _, as in supplierId", name)
		}
		if !event.ValidSegment(value) {
			return fmt.Errorf("owner: %s=%.80q can never be captured, as it cannot be a segment of a channel", name, value)
		}
	}
	if in.Channel != "" {
		if _, err := event.ParseTemplate(in.Channel); err != nil {
			return err
		}
	}
	return checkLimits(in.Limits)
}

func checkLimits(l event.Limits) error {
	switch {
	case l.PerSecond < 0 || math.IsNaN(l.PerSecond) || math.IsInf(l.PerSecond, 0):
		return fmt.Errorf("limits.perSecond: %v; use 0 for the vendor's default, or more", l.PerSecond)
	case l.Burst < 0:
		return fmt.Errorf("limits.burst: %d; use 0 for the vendor's default, or more", l.Burst)
	case l.RecipientBurst < 0:
		return fmt.Errorf("limits.recipientBurst: %d; use 0 for the vendor's default, or more", l.RecipientBurst)
	case l.MaxInFlight < 0:
		return fmt.Errorf("limits.maxInFlight: %d; use 0 for a fair share, or more", l.MaxInFlight)
	case l.WebhooksPerHour < 0:
		return fmt.Errorf("limits.webhooksPerHour: %d; use 0 for the default, or more", l.WebhooksPerHour)
	case l.PerRecipient < 0 || l.Timeout < 0 || l.ParkLimit < 0:
		return errors.New("limits: a duration is negative; use 0 for the default, or more")
	}
	return nil
}

// validVar reports whether a pattern can capture under that name.
func validVar(name string) bool {
	_, err := event.ParsePattern("{" + name + "}")
	return err == nil
}
