package adapter_test

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func sampleProfile(client string) *event.Profile {
	return &event.Profile{
		ClientID: client, Name: "Amélie & Jonas", Email: client + "@example.com", Phone: "+33 6 12 34 56 78",
		WeddingDate: "2026-06-20T16:00:00+02:00", Venue: "Château de Vaux, Orangerie", Notes: "Grandmother Odile needs <step-free> access.",
	}
}

// profileDelivery is a client's profile on its way, in a sync of its own.
func (c *conformance) profileDelivery(t *testing.T, keeper adapter.ProfileKeeper, p *event.Profile, syncID string) *event.Delivery {
	t.Helper()
	body, err := keeper.EncodeProfile(p)
	if err != nil {
		t.Fatal(err)
	}
	channel := event.ProfileChannel(p.ClientID)
	return stored(t, &event.Delivery{
		V: event.Version, ID: event.DeliveryID(channel, syncID, "int_conformance"), EventID: syncID, EventType: event.TypeClientProfile,
		Channel: channel, Integration: "int_conformance", Vendor: c.vendor, WeddingID: p.ClientID, Profile: "x", Body: body,
	})
}

func (c *conformance) goldenProfile(t *testing.T, conn adapter.Connection, keeper adapter.ProfileKeeper) {
	t.Helper()
	d := c.profileDelivery(t, keeper, sampleProfile("cpl_7Qm2x"), "sync_1")
	again := c.profileDelivery(t, keeper, sampleProfile("cpl_7Qm2x"), "sync_1")
	if !bytes.Equal(d.Body, again.Body) {
		t.Errorf("EncodeProfile is not deterministic:\n%s\n%s", d.Body, again.Body)
	}
	call, err := conn.Call(d, time.Unix(1773480413, 0))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("testdata", c.vendor, c.way.name)
	checkGolden(t, filepath.Join(dir, event.TypeClientProfile+".json"), string(d.Body)+"\n")
	checkGolden(t, filepath.Join(dir, event.TypeClientProfile+".call.txt"), c.callText(call))
}

// profiles tells the vendor of two clients, and of one of them again.
func (c *conformance) profiles(t *testing.T, conn adapter.Connection, keeper adapter.ProfileKeeper) {
	t.Helper()
	sim := c.sim.(vendors.Keeper)
	told := func(d *event.Delivery, want event.ProfileOutcome) {
		t.Helper()
		if v := c.try(t.Context(), t, conn, d); v.Kind != adapter.KindDelivered || v.Kept != want {
			t.Errorf("verdict %+v, want delivered and %s", v, want)
		}
	}
	before := len(sim.Clients())
	first, second := sampleProfile("cpl_1_"+c.way.name), &event.Profile{ClientID: "cpl_2_" + c.way.name, Name: "Bo", Email: "bo@example.com"}
	told(c.profileDelivery(t, keeper, first, "sync_1"), event.ProfileCreated)
	told(c.profileDelivery(t, keeper, second, "sync_1"), event.ProfileCreated)
	first.Name = "Amélie & Jonas Martin"
	told(c.profileDelivery(t, keeper, first, "sync_2"), event.ProfileUpdated)
	d := c.profileDelivery(t, keeper, second, "sync_2")
	for _, fault := range []vendors.Fault{{LoseAnswer: true}, {Status: 503}} {
		remove := c.sim.Faults().Add(fault)
		if v := c.try(t.Context(), t, conn, d); v.Kind != adapter.KindRetry || v.Kept != "" {
			t.Errorf("%+v: verdict %+v", fault, v)
		}
		remove()
	}
	told(d, event.ProfileUpdated)
	if got := sim.Clients(); len(got) != before+2 || got[first.ClientID] == nil || got[second.ClientID] == nil {
		t.Errorf("the vendor has %v", got)
	}
	// What is no profile's delivery tells nothing of clients.
	if v := c.try(t.Context(), t, conn, c.fresh(t, conn)); v.Kept != "" {
		t.Errorf("verdict %+v of an event", v)
	}
}
