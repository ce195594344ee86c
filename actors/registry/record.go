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
	if err := decodeRecord(data, &in); err != nil {
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
	if err := decodeRecord(data, &m); err != nil {
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

// decodeRecord reads the version before the rest, which a newer release may have shaped differently.
func decodeRecord(data []byte, into any) error {
	var version struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return fmt.Errorf("not a record in JSON: %w", err)
	}
	switch {
	case version.V > event.Version:
		return fmt.Errorf("written by a newer release (version %d, this one reads up to %d)", version.V, event.Version)
	case version.V < 1:
		return fmt.Errorf("version %d is not one", version.V)
	}
	if err := json.Unmarshal(data, into); err != nil {
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
			return fmt.Errorf("owner: %s=%.80q can never be captured; use 1 to %d of A-Z a-z 0-9 _ - and .", name, value, event.MaxSegmentBytes)
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
