package vendors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"

	"github.com/wedsync/wedsync/actors/event"
)

// AnySystem simulates a system that is not listed: it takes generic signed webhooks of every type,
// as {type, timestamp, data} or as CloudEvents, and sends what it likes.
type AnySystem struct{ *signed }

var _ Sender = (*AnySystem)(nil)

// StartAnySystem starts the simulator. ctx bounds the start only.
func StartAnySystem(ctx context.Context, cfg Config) (*AnySystem, error) {
	v := &AnySystem{}
	err := startSigned(ctx, "webhook", "Any system", event.ProjectManagement, cfg, checkAny, func(s *signed) Vendor {
		v.signed = s
		return v
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// CloudEventsIntegration gives an integration that sends CloudEvents to this simulator.
func (v *AnySystem) CloudEventsIntegration(id string) (event.Integration, event.Secrets) {
	in, secrets := v.Integration(id)
	in.Settings = v.integrationOf(id, v.title, v.category, map[string]any{"url": v.url + signedPath, "format": "cloudevents"}).Settings
	return in, secrets
}

func checkAny(body []byte) error {
	var b map[string]any
	if err := json.Unmarshal(body, &b); err != nil {
		return err
	}
	if _, ok := b["data"].(map[string]any); !ok {
		return errors.New("data must be an object")
	}
	if _, cloud := b["specversion"]; cloud {
		return checkCloudEvent(b)
	}
	return errors.Join(missing(b, "type", "timestamp", "id", "channel"), isTime(b, "timestamp"))
}

// attribute is what CloudEvents 1.0 allows for the name of an attribute (spec.md, "Naming Conventions").
var attribute = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

func checkCloudEvent(b map[string]any) error {
	if b["specversion"] != "1.0" {
		return fmt.Errorf("specversion is %v, not 1.0", b["specversion"])
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !attribute.MatchString(name) {
			return fmt.Errorf("%q cannot be the name of an attribute", name)
		}
	}
	source, _ := b["source"].(string)
	if _, err := url.Parse(source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if b["datacontenttype"] != "application/json" {
		return fmt.Errorf("datacontenttype is %v, not application/json", b["datacontenttype"])
	}
	return errors.Join(missing(b, "id", "source", "type"), isTime(b, "time"))
}

// Webhooks gives a few of what such a system may send.
func (v *AnySystem) Webhooks() []Webhook {
	return []Webhook{
		{Type: "capacity.changed", Data: map[string]any{"coupleId": "cpl_7Qm2x", "venueId": "ven_41", "capacity": 110}},
		{Type: "florist.order_shipped", Data: map[string]any{
			"coupleId": "cpl_7Qm2x", "items": []string{"Peonies <white>", "Olive branches"}, "cost": map[string]any{"amount": 840, "currency": "EUR"},
		}},
	}
}
