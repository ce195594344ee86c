package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// embedded is what a program needs that has wedsync inside.
type embedded struct {
	journal  *journal.Journal
	registry *registry.Registry
	sender   *delivery.Sender
	system   *actors.System
	dir      string
}

// embed opens the parts from the log up.
func embed(ctx context.Context) *embedded {
	e := &embedded{dir: must(os.MkdirTemp("", "wedsync"))}
	e.journal = must(journal.Open(ctx, journal.Config{Dir: e.dir, Shards: 1}))
	e.registry = must(registry.Open(ctx, registry.Config{
		Store:  registry.Store{Config: must(e.journal.KV(ctx, "config")), Secrets: must(e.journal.KV(ctx, "secrets"))},
		Sealer: must(registry.NewSealer(must(registry.GenerateKey()))),
	}))
	// The examples' vendors are on this machine, which the guard would refuse.
	e.sender = delivery.NewSender(delivery.SenderConfig{Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})})
	e.system = must(actors.New(actors.Config{
		Node: "example", Journal: e.journal, Registry: e.registry, Caller: e.sender, Placement: cluster.NewSolo("example"),
	}))
	e.system.Start()
	return e
}

// close closes them, the last first.
func (e *embedded) close(ctx context.Context) {
	err := e.system.Stop(ctx)
	e.registry.Close()
	e.sender.Close()
	if err := errors.Join(err, e.journal.Close(ctx), os.RemoveAll(e.dir)); err != nil {
		panic(err)
	}
}

// connect connects a studio's CRM.
func (e *embedded) connect(ctx context.Context, url string) {
	must(e.registry.Put(ctx, event.Integration{ID: "crm", Vendor: "studiocloud", Settings: json.RawMessage(`{"url":"` + url + `"}`)}))
	if err := e.registry.SetSecrets(ctx, "crm", map[string]event.Secret{"signing": event.SecretOf(whsec)}); err != nil {
		panic(err)
	}
}

// publish appends an event; a program that takes events from others uses ingest.Publish.
func (e *embedded) publish(ctx context.Context, id string) *event.Event {
	now := time.Now().UTC()
	ev := &event.Event{
		V: event.Version, ID: id, Channel: "supplier:dashboard:42", Type: "timeline.updated",
		Payload:    json.RawMessage(`{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","venue":"Old Mill"}`),
		OccurredAt: now, AcceptedAt: now, Source: "system",
	}
	ev.Seq = must(e.journal.Append(ctx, ev)).Seq
	return ev
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// crm is a vendor's server that tells what it got and answers with a status.
func crm(status func() int) (*httptest.Server, <-chan string) {
	got := make(chan string, 10)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(status())
		got <- string(body)
	})), got
}

// Events of every dashboard, as they are appended.
func ExampleSystem_Subscribe() {
	ctx := context.Background()
	e := embed(ctx)
	defer e.close(ctx)
	seen := make(chan struct{})
	stop := must(e.system.Subscribe("supplier:dashboard:{supplierId}", func(_ context.Context, ev *event.Event, vars map[string]string) {
		fmt.Println(ev.Type, "for supplier", vars["supplierId"])
		close(seen)
	}))
	e.publish(ctx, "evt-1")
	<-seen
	stop()
	// Output: timeline.updated for supplier 42
}

// One event to one integration, without a mapping.
func ExampleSystem_Deliver() {
	ctx := context.Background()
	e := embed(ctx)
	defer e.close(ctx)
	vendor, got := crm(func() int { return http.StatusOK })
	defer vendor.Close()
	e.connect(ctx, vendor.URL)

	d := must(e.system.Deliver(ctx, "crm", e.publish(ctx, "evt-1")))
	fmt.Println(d.Vendor, "is to get", d.EventID)
	fmt.Println(<-got)
	// Output:
	// studiocloud is to get evt-1
	// {"client_id":"c1","shoot_date":"2027-06-12T16:00:00+02:00","location":"Old Mill","timeline":null,"special_requests":null}
}

// What the vendor refused for good is a dead letter; when the cause is mended, it is replayed.
func ExampleSystem_Replay() {
	ctx := context.Background()
	e := embed(ctx)
	defer e.close(ctx)
	answers := make(chan int, 2)
	answers <- http.StatusUnprocessableEntity
	answers <- http.StatusOK
	vendor, got := crm(func() int { return <-answers })
	defer vendor.Close()
	e.connect(ctx, vendor.URL)
	failures := make(chan struct{}, 10)
	must(e.system.Deliver(ctx, "crm", e.publish(ctx, "evt-1")))
	<-got

	// The record log tells what became of each delivery.
	for after := uint64(0); len(failures) == 0; {
		for _, r := range must(e.journal.Records(ctx, after, 100, time.Second)) {
			after = r.Seq
			if d := r.Record.Delivery; d != nil && d.Result != nil && d.Result.Outcome == event.Dead {
				fmt.Println(d.EventID, "for", d.Integration, "is dead:", d.Result.Reason)
				failures <- struct{}{}
			}
		}
	}
	letter := must(e.journal.DeadLetters(ctx, journal.DeadQuery{Limit: 1}))[0]
	d := must(e.system.Replay(ctx, letter.Seq))
	<-got
	fmt.Println("replayed under the same id:", d.ID == letter.Letter.Delivery.ID)
	// Output:
	// evt-1 for crm is dead: http_422
	// replayed under the same id: true
}

// A studio's CRM is told of clients, and of those that have changed once more.
func ExampleSystem_SyncClientProfiles() {
	ctx := context.Background()
	e := embed(ctx)
	defer e.close(ctx)
	vendor, got := crm(func() int { return http.StatusCreated })
	defer vendor.Close()
	e.connect(ctx, vendor.URL)
	ended := func(syncID string) event.ProfileSync {
		for {
			if s := must(e.system.ClientProfileSync(ctx, "crm", syncID)); s.Pending == 0 {
				return s
			}
			runtime.Gosched()
		}
	}

	clients := []event.Profile{{ClientID: "c1", Name: "Amélie & Jonas"}}
	must(e.system.SyncClientProfiles(ctx, "crm", "night-1", clients))
	fmt.Println(<-got)
	fmt.Println("created:", ended("night-1").Created)
	must(e.system.SyncClientProfiles(ctx, "crm", "night-2", clients))
	fmt.Println("unchanged:", ended("night-2").Unchanged)
	// Output:
	// {"client_id":"c1","name":"Amélie \u0026 Jonas","email":null,"phone":null,"wedding_date":null,"venue":null,"notes":null}
	// created: 1
	// unchanged: 1
}

// How an integration does.
func ExampleSystem_Health() {
	ctx := context.Background()
	e := embed(ctx)
	defer e.close(ctx)
	vendor, got := crm(func() int { return http.StatusOK })
	defer vendor.Close()
	e.connect(ctx, vendor.URL)
	must(e.system.Deliver(ctx, "crm", e.publish(ctx, "evt-1")))
	<-got

	h := must(e.system.Health(ctx, "crm"))
	fmt.Println(h.Integration, h.State, h.SuccessRate)
	for _, h := range e.system.Healths(ctx) {
		fmt.Println(h.Integration, h.Vendor)
	}
	// Output:
	// crm healthy 1
	// crm studiocloud
}

// Whom a channel's events are told, and how: the rules are a mapping's, and an event that is appended goes by them.
func ExampleSystem_notifications() {
	ctx := context.Background()
	e := embed(ctx)
	defer e.close(ctx)
	sim := must(vendors.StartWhatsApp(ctx, vendors.Config{}))
	defer sim.Close()
	in, secrets := sim.Integration("whatsapp")
	must(e.registry.Put(ctx, in))
	if err := e.registry.SetSecrets(ctx, in.ID, map[string]event.Secret{"access_token": secrets.Current("access_token")}); err != nil {
		panic(err)
	}
	must(e.registry.PutMapping(ctx, event.Mapping{ID: "couple", Pattern: "supplier:dashboard:*", Targets: []event.Target{{
		Category:   event.WhatsAppBusiness,
		Recipients: []string{"+33600000001", "+33600000002"},
		QuietHours: &event.QuietHours{From: "22:00", To: "07:00", TimeZone: "Europe/Paris"},
		Critical:   []string{"timeline.updated"},
	}}}))

	ev := e.publish(ctx, "evt-1")
	if err := sim.Wait(ctx, 2); err != nil {
		panic(err)
	}
	fmt.Println("told:", sim.Counts().Distinct)
	p := must(e.system.Preview(ev, "whatsapp"))
	fmt.Println(p.Mapping, p.Sends, p.Reason == actors.ReasonHeld)
	// Output:
	// told: 2
	// couple true false
}
