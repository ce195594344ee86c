package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

type simCmd struct {
	Port   int    `help:"Port of the first simulator; the others take those behind it. 0 takes free ones." default:"9100"`
	Limits bool   `help:"Answer as the vendors do when their rate limits are exceeded."`
	Season string `help:"Write integrations with the simulators, and mappings, to a file for \"wedsync apply -f\"." placeholder:"FILE"`
}

func (simCmd) Help() string {
	return `The simulators listen on 127.0.0.1 and print each call they receive. They verify signatures and fail
on demand; GET /_sim/faults, /_sim/received and /_sim/counts below their addresses steer them.

To have a node call them:

    wedsync sim --season sim.yaml
    wedsync serve --set delivery.allowPrivate=127.0.0.0/8
    wedsync apply -f sim.yaml`
}

func (c simCmd) Run(ctx context.Context, p printer) error {
	var mu sync.Mutex // receipts come from many goroutines
	set, err := vendors.StartAll(ctx, vendors.Config{Port: c.Port, RateLimits: c.Limits, Notify: func(r vendors.Receipt) {
		mu.Lock()
		defer mu.Unlock()
		if p.json {
			_ = p.line(r)
			return
		}
		p.say("%s  %-13s %3d  %s %s", r.At.Local().Format("15:04:05.000"), r.Vendor, r.Status, plain(r.EventType), plain(r.ID))
	}})
	if err != nil {
		return err
	}
	if c.Season != "" {
		text, err := simSeason(set)
		if err == nil {
			err = os.WriteFile(c.Season, text, 0o600)
		}
		if err != nil {
			_ = set.Close()
			return err
		}
	}
	mu.Lock()
	err = announce(p, set)
	mu.Unlock()
	if err == nil {
		<-ctx.Done()
	}
	if closing := set.Close(); err == nil {
		err = closing
	}
	return err
}

func announce(p printer, set *vendors.Set) error {
	addresses := map[string]string{}
	rows := make([][]string, 0, len(set.All()))
	for _, v := range set.All() {
		addresses[v.Name()] = v.URL()
		rows = append(rows, []string{v.Name(), v.URL(), v.URL() + "/_sim/received"})
	}
	if p.json {
		return p.line(map[string]any{"simulators": addresses})
	}
	return p.table([]string{"vendor", "address", "what it received"}, rows)
}

// simSeason is a file for apply: every simulator, and mappings of the wedding scenes.
func simSeason(set *vendors.Set) ([]byte, error) {
	type m = map[string]any
	var integrations []m
	for _, v := range set.All() {
		in, secrets := v.Integration("sim-" + v.Name())
		var settings m
		if err := yaml.Unmarshal(in.Settings, &settings); err != nil { // JSON is YAML
			return nil, fmt.Errorf("settings of the simulator of %s: %w", v.Name(), err)
		}
		open := m{}
		for name := range secrets {
			open[name] = secrets.Current(name).Reveal()
		}
		entry := m{"id": in.ID, "vendor": in.Vendor, "category": string(in.Category), "settings": settings, "secrets": open}
		switch v {
		case set.StudioCloud, set.VenueMaster, set.PartyRental, set.EventPlanning, set.AnySystem, set.IrisWorks, set.ShootQ:
			entry["channel"] = "couple:updates:{coupleId}"
		case set.Tripleseat:
			entry["channel"] = "venue:updates:{venueId}"
		}
		integrations = append(integrations, entry)
	}
	to := func(categories ...event.Category) (targets []m) {
		for _, c := range categories {
			targets = append(targets, m{"category": string(c)})
		}
		return targets
	}
	everybody := to(event.PhotographyCRM, event.VenueManagement, event.EmailService, event.SlackNotifications, event.WhatsAppBusiness, event.ProjectManagement)
	return yaml.Marshal(m{
		"integrations": integrations,
		"mappings": []m{
			{"id": "sim-dashboards", "pattern": "supplier:dashboard:*", "targets": everybody},
			{"id": "sim-milestones", "pattern": "journey:milestone:*", "targets": everybody},
			{"id": "sim-capacity", "pattern": "couple:updates:*", "types": []string{"capacity.changed"}, "targets": to(event.SlackNotifications)},
			{"id": "sim-guests", "pattern": "couple:updates:*", "types": []string{"guest_count.changed"}, "targets": to(event.VenueManagement)},
		},
	})
}
