package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// TestKilledWhileProfilesAreSynced kills the node in the middle of a sync. The next one goes on by itself,
// the same request again tells nothing twice, and each client is counted once and right.
func TestKilledWhileProfilesAreSynced(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sim, err := vendors.StartStudioCloud(ctx, vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	st := newStation(t, "--clickhouse", "off")
	st.start(ctx)
	in, secrets := sim.Integration("crm")
	in.Limits.MaxInFlight = 2
	if err := st.api.Connect(ctx, in, secrets); err != nil {
		t.Fatal(err)
	}

	const unchanged, updated, created, failed = 5, 5, 35, 5
	before := make([]event.Profile, unchanged+updated)
	for i := range before {
		before[i] = event.Profile{ClientID: fmt.Sprintf("c%d", i), Name: fmt.Sprintf("Couple %d", i)}
	}
	night := append([]event.Profile(nil), before...)
	for i := unchanged; i < len(night); i++ {
		night[i].Venue = "Old Mill"
	}
	for i := range created + failed {
		p := event.Profile{ClientID: fmt.Sprintf("new%d", i), Name: "Couple"}
		if i%(created/failed) == 0 && i/(created/failed) < failed {
			p.Name = "Odd"
		}
		night = append(night, p)
	}
	send := func(syncID string, profiles []event.Profile) (s event.ProfileSync) {
		body := map[string]any{"syncId": syncID, "profiles": profiles}
		if err := st.api.Call(ctx, http.MethodPost, "/api/integrations/crm/client-profiles/sync", body, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	ended := func(syncID string) (s event.ProfileSync) {
		until(ctx, t, "the sync has ended", func(ctx context.Context) (bool, string) {
			err := st.api.Call(ctx, http.MethodGet, "/api/integrations/crm/client-profiles/sync/"+syncID, nil, &s)
			return err == nil && s.Pending == 0, fmt.Sprintf("%+v, %v", s, err)
		})
		return s
	}
	send("before", before)
	if s := ended("before"); s.Created != len(before) || s.Total != len(before) {
		t.Errorf("before: %+v", s)
	}

	sim.Faults().Add(vendors.Fault{Status: http.StatusUnprocessableEntity, Contains: "Odd"})
	sim.Faults().Add(vendors.Fault{Latency: event.Duration(20 * time.Millisecond)})
	if s := send("night", night); s.Total != len(night) || s.Pending == 0 {
		t.Errorf("begun: %+v", s)
	}
	for _, taken := range []int{8, 20} {
		if err := sim.Wait(ctx, len(before)+taken); err != nil {
			t.Fatal(err)
		}
		st.node.Kill()
		st.start(ctx)
		if s := send("night", night); s.Total != len(night) {
			t.Errorf("sent again: %+v", s)
		}
	}
	s := ended("night")
	if s.Total != len(night) || s.Unchanged != unchanged || s.Updated != updated || s.Created != created || s.Failed != failed {
		t.Errorf("%+v", s)
	}
	if got := len(sim.Clients()); got != len(before)+created {
		t.Errorf("the vendor has %d clients, want %d", got, len(before)+created)
	}
	if got := sim.Counts(); got.Distinct != len(before)+updated+created {
		t.Errorf("the vendor took %+v", got)
	}
	st.stop(ctx)
	t.Logf("%d calls were made again", sim.Counts().Repeats)
}
