package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/webhook"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// auditor prints what is to be audited.
type auditor struct{}

func (auditor) Audit(a event.Audit) { fmt.Println("audit:", a.Actor, a.Action, a.Outcome) }

// The addresses for vendors' webhooks on a mux of one's own: a venue's becomes an event on the couple's channel.
func ExampleHandler_Mount() {
	ctx := context.Background()
	dir := get(os.MkdirTemp("", "wedsync"))
	defer os.RemoveAll(dir)
	log := get(journal.Open(ctx, journal.Config{Dir: dir, Shards: 1}))
	defer log.Close(ctx)
	integrations := get(registry.Open(ctx, registry.Config{
		Store:  registry.Store{Config: get(log.KV(ctx, "config")), Secrets: get(log.KV(ctx, "secrets"))},
		Sealer: get(registry.NewSealer(get(registry.GenerateKey()))),
	}))
	defer integrations.Close()
	venue := get(vendors.StartVenueMaster(ctx, vendors.Config{}))
	defer venue.Close()
	in, secrets := venue.Integration("venue")
	in.Channel = "couple:updates:{coupleId}"
	get(integrations.Put(ctx, in))
	if err := integrations.SetSecrets(ctx, "venue", map[string]event.Secret{
		"signing": secrets.Current("signing"), "webhook": secrets.Current("webhook"),
	}); err != nil {
		panic(err)
	}

	handler := get(webhook.New(webhook.Config{
		Directory: webhook.Registry{From: integrations}, Publisher: get(ingest.New(ingest.Config{Log: log})),
		Seen: get(log.KV(ctx, "seen")), Auditor: auditor{},
	}))
	mux := http.NewServeMux()
	handler.Mount(mux)
	server := httptest.NewServer(mux)
	defer server.Close()

	sent := get(venue.Send(ctx, server.URL+"/api/webhooks/venuemaster/venue", vendors.Webhook{
		Type: "capacity.changed", Data: map[string]any{"venue_id": "v1", "client_id": "c1", "capacity": 110},
	}))
	fmt.Println(sent[0].Status)
	var ev event.Event
	if err := json.Unmarshal(get(log.HistoryLast(ctx, "couple:updates:c1", 1))[0].Data, &ev); err != nil {
		panic(err)
	}
	fmt.Printf("%s from %s: %s\n", ev.Type, ev.Source, ev.Payload)
	// Output:
	// audit: webhook:venue webhook.receive ok
	// 202
	// capacity.changed from webhook:venue: {"capacity":110,"coupleId":"c1","venueId":"v1"}
}

func get[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
