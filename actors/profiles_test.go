package actors_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// studio connects a simulated studio as the integration "crm".
func (n *node) studio() *vendors.StudioCloud {
	n.t.Helper()
	sim, err := vendors.StartStudioCloud(n.t.Context(), vendors.Config{})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { sim.Close() })
	in, secrets := sim.Integration("crm")
	if _, err := n.registry.Put(n.t.Context(), in); err != nil {
		n.t.Fatal(err)
	}
	if err := n.registry.SetSecrets(n.t.Context(), "crm", map[string]event.Secret{"signing": secrets.Current("signing")}); err != nil {
		n.t.Fatal(err)
	}
	return sim
}

func profile(i int) event.Profile {
	return event.Profile{ClientID: fmt.Sprintf("c.%d", i), Name: fmt.Sprintf("Couple %d", i), Email: fmt.Sprintf("c%d@example.com", i), WeddingDate: "2027-06-12"}
}

func profiles(from, to int) (all []event.Profile) {
	for i := from; i < to; i++ {
		all = append(all, profile(i))
	}
	return all
}

// sync starts a sync that must be taken.
func (n *node) sync(syncID string, all ...event.Profile) event.ProfileSync {
	n.t.Helper()
	s, err := n.SyncClientProfiles(n.t.Context(), "crm", syncID, all)
	if err != nil {
		n.t.Fatalf("sync %s: %v", syncID, err)
	}
	return s
}

// synced waits until a sync has ended.
func (n *node) synced(syncID string) event.ProfileSync {
	n.t.Helper()
	return n.syncedAs(syncID, func(s event.ProfileSync) bool { return s.Pending == 0 })
}

func (n *node) syncedAs(syncID string, want func(event.ProfileSync) bool) event.ProfileSync {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := n.ClientProfileSync(ctx, "crm", syncID)
		if err != nil {
			n.t.Fatalf("sync %s: %v", syncID, err)
		}
		if want(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.t.Fatalf("the sync never became as wanted: %+v", s)
		}
	}
}

// counts are those of a sync: created, updated, unchanged, failed.
func counts(s event.ProfileSync) [4]int { return [4]int{s.Created, s.Updated, s.Unchanged, s.Failed} }

func TestSyncClientProfiles(t *testing.T) {
	t.Parallel()
	n := start(t)
	sim := n.studio()
	if s := n.sync("first", profiles(0, 4)...); s.SyncID != "first" || s.Total != 4 {
		t.Errorf("begun: %+v", s)
	}
	if s := n.synced("first"); counts(s) != [4]int{4, 0, 0, 0} || s.Results[3] != (event.ProfileResult{ClientID: "c.3", Outcome: event.ProfileCreated}) {
		t.Errorf("first: %+v", s)
	}
	if got := sim.Clients()["c.2"]; len(sim.Clients()) != 4 || got["name"] != "Couple 2" || got["email"] != "c2@example.com" || got["venue"] != nil {
		t.Errorf("the vendor has %v", sim.Clients())
	}
	calls := sim.Counts().Calls
	if s := n.sync("first", profiles(0, 4)...); counts(s) != [4]int{4, 0, 0, 0} || sim.Counts().Calls != calls {
		t.Errorf("the same again: %+v, %d calls more", s, sim.Counts().Calls-calls)
	}

	remove := sim.Faults().Add(vendors.Fault{Status: 422, Contains: "Couple 5"})
	changed := profile(1)
	changed.Venue = "Old Mill"
	n.sync("second", profile(0), changed, profile(2), profile(5))
	n.sync("second", profile(6)) // one more
	s := n.synced("second")
	want := []event.ProfileResult{
		{ClientID: "c.0", Outcome: event.ProfileUnchanged},
		{ClientID: "c.1", Outcome: event.ProfileUpdated},
		{ClientID: "c.2", Outcome: event.ProfileUnchanged},
		{ClientID: "c.5", Outcome: event.ProfileFailed, Reason: "http_422"},
		{ClientID: "c.6", Outcome: event.ProfileCreated},
	}
	if !slices.Equal(s.Results, want) || counts(s) != [4]int{1, 1, 2, 1} || sim.Clients()["c.1"]["venue"] != "Old Mill" {
		t.Errorf("second: %+v", s)
	}
	if got := sim.Counts().Calls - calls; got != 3 {
		t.Errorf("%d calls for what has changed, want 3", got)
	}

	// What failed is a dead letter like another, and the sync learns what becomes of it.
	letter := n.letters(1)[0]
	if d := letter.Letter.Delivery; d.EventType != event.TypeClientProfile || d.WeddingID != "c.5" || d.EventID != "second" || letter.Letter.Event.ID != "" {
		t.Errorf("letter %+v", letter.Letter)
	}
	remove()
	if _, err := n.Replay(t.Context(), letter.Seq); err != nil {
		t.Fatal(err)
	}
	if s := n.syncedAs("second", func(s event.ProfileSync) bool { return s.Failed+s.Pending == 0 }); s.Results[3].Outcome != event.ProfileCreated || s.Results[3].Reason != "" {
		t.Errorf("replayed: %+v", s)
	}
}

// A client's profiles arrive in the order in which they were given, and the last one counts, also where it is
// what the vendor had before.
func TestSyncsOfOneClientKeepTheirOrder(t *testing.T) {
	t.Parallel()
	n := start(t)
	sim := n.studio()
	n.sync("a", profile(1))
	n.synced("a")
	if err := n.registry.Pause(t.Context(), "crm", event.Pause{Reason: "x", By: "admin:x"}); err != nil {
		t.Fatal(err)
	}
	other := profile(1)
	other.Phone = "+33 6 12"
	if s := n.sync("b", other); s.Pending != 1 {
		t.Errorf("b: %+v", s)
	}
	if s := n.sync("c", profile(1)); s.Pending != 1 {
		t.Errorf("c: %+v; what is on its way changes it first", s)
	}
	if err := n.registry.Resume(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	if b, c := n.synced("b"), n.synced("c"); b.Updated != 1 || c.Updated != 1 || sim.Clients()["c.1"]["phone"] != nil {
		t.Errorf("%+v, %+v; the vendor has %v", b, c, sim.Clients())
	}
	if s := n.sync("d", profile(1)); s.Unchanged != 1 {
		t.Errorf("d: %+v", s)
	}
	// Under other settings it may be another account.
	in, _ := sim.Integration("crm")
	in.Settings = []byte(strings.Replace(string(in.Settings), "127.0.0.1", "localhost", 1))
	entry, _ := n.registry.Lookup("crm")
	in.Revision = entry.Revision
	if _, err := n.registry.Put(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	n.sync("e", profile(1))
	if s := n.synced("e"); s.Updated != 1 {
		t.Errorf("e: %+v", s)
	}
}

// Where the vendor's answer does not say whether it had the client, what we remember does; and what may have
// arrived, though it failed, is sent again.
func TestSyncWithASilentVendor(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("crm", s)
	s.answers(always(http.StatusNoContent))
	n.sync("a", profile(1))
	changed := profile(1)
	changed.Notes = "x"
	n.sync("b", changed)
	if a, b := n.synced("a"), n.synced("b"); a.Created != 1 || b.Updated != 1 {
		t.Errorf("%+v, %+v", a, b)
	}
	s.answers(always(http.StatusBadRequest))
	n.sync("c", profile(1))
	if c := n.synced("c"); c.Failed != 1 || c.Results[0].Reason != "http_400" {
		t.Errorf("%+v", c)
	}
	s.answers(always(http.StatusNoContent))
	n.sync("d", changed)
	if d := n.synced("d"); d.Updated != 1 {
		t.Errorf("%+v; the vendor may have taken c", d)
	}

	// What still waits when the integration is deleted does not arrive.
	if err := n.registry.Pause(t.Context(), "crm", event.Pause{Reason: "x", By: "admin:x"}); err != nil {
		t.Fatal(err)
	}
	n.sync("e", profile(2))
	if err := n.registry.Delete(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	if e := n.synced("e"); e.Failed != 1 || e.Results[0].Reason != event.ReasonDeleted {
		t.Errorf("%+v", e)
	}
}

func TestSyncIsRefused(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	sim := n.studio()
	for _, in := range []event.Integration{
		{ID: "venue", Vendor: "venuemaster", Settings: []byte(`{"url":"` + s.URL + `"}`)},
		{ID: "any", Vendor: "webhook", Category: event.PhotographyCRM, Settings: []byte(`{"url":"` + s.URL + `"}`)},
		{ID: "bare", Vendor: "studiocloud", Settings: []byte(`{"url":"` + s.URL + `"}`)},
		{ID: "off", Vendor: "studiocloud", Settings: []byte(`{"url":"` + s.URL + `"}`), Disabled: true},
	} {
		if _, err := n.registry.Put(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	var missing *adapter.SettingsError
	one := profiles(1, 2)
	for id, want := range map[string]error{"nobody": actors.ErrUnknown, "venue": actors.ErrNoProfiles, "any": actors.ErrNoProfiles, "off": actors.ErrPassedOver} {
		if _, err := n.SyncClientProfiles(t.Context(), id, "", one); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	if _, err := n.SyncClientProfiles(t.Context(), "bare", "", one); !errors.As(err, &missing) {
		t.Errorf("without secrets: %v", err)
	}
	bad := profile(1)
	bad.Name = " "
	for want, all := range map[string][]event.Profile{
		"profiles: 0, where":                                nil,
		"profiles: 501, where":                              profiles(0, 501),
		"profiles[1].name: is missing":                      {profile(0), bad},
		"profiles[2].clientId: is that of profiles[0], too": {profile(0), profile(1), profile(0)},
	} {
		var field *event.FieldError
		if _, err := n.SyncClientProfiles(t.Context(), "crm", "x", all); !errors.As(err, &field) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := n.SyncClientProfiles(t.Context(), "crm", "a sync", one); err == nil || !strings.Contains(err.Error(), "syncId") {
		t.Errorf("a bad id: %v", err)
	}
	if _, err := n.ClientProfileSync(t.Context(), "crm", "x"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("what was refused is a sync: %v", err)
	}
	begun := n.sync("", one...)
	if !strings.HasPrefix(begun.SyncID, "sync_") {
		t.Errorf("begun %+v", begun)
	}
	other := profile(1)
	other.Notes = "x"
	if _, err := n.SyncClientProfiles(t.Context(), "crm", begun.SyncID, []event.Profile{profile(2), other}); !errors.Is(err, actors.ErrSyncReused) {
		t.Errorf("another profile in the same sync: %v", err)
	}
	if s := n.synced(begun.SyncID); s.Total != 1 || len(sim.Clients()) != 1 {
		t.Errorf("what was refused was done in part: %+v", s)
	}
}

// Of an erased client nothing is left or told, and nothing of a call that was under way is noted afterwards.
func TestErasedClientIsForgotten(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("crm", s)
	n.sync("a", profile(1), profile(2))
	n.synced("a")
	n.emptied()
	called, answer := make(chan struct{}), make(chan struct{})
	s.answers(func(receipt) int {
		close(called)
		<-answer
		return http.StatusOK
	})
	changed := profile(1)
	changed.Notes = "x"
	n.sync("b", changed)
	<-called
	s.answers(always(http.StatusOK))
	later := changed
	later.Notes = "y"
	n.sync("c", later) // behind it
	want := journal.Erased{Deliveries: 2, Clients: 4}
	if removed, left, err := n.Erase(t.Context(), actors.Erase{Wedding: "c.1"}); removed != want || left.Sum() != 0 || err != nil {
		t.Errorf("erased %+v, left %+v, %v; want %+v", removed, left, err, want)
	}
	close(answer)
	anonymous := 0
	for _, r := range n.results(4) { // two of a, and those of b and c
		if r.WeddingID == event.Erased && r.Channel == event.Erased {
			anonymous++
		}
	}
	if anonymous != 2 {
		t.Errorf("%d records do not tell of whom, want 2", anonymous)
	}
	n.health("crm", func(h event.Health) bool { return h.Waiting+h.InFlight == 0 })
	if got, err := n.journal.Client(t.Context(), "crm", "c.1"); got.Had || got.Hash != "" || err != nil {
		t.Errorf("remembered is %+v, %v", got, err)
	}
	for _, id := range []string{"b", "c"} {
		if _, err := n.ClientProfileSync(t.Context(), "crm", id); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("of sync %s is left: %v", id, err)
		}
	}
	if a := n.synced("a"); a.Total != 1 || a.Results[0].ClientID != "c.2" {
		t.Errorf("of sync a is left %+v", a)
	}
	if got := len(s.receipts()); got != 3 {
		t.Errorf("%d calls, want 3: what waited of it was sent", got)
	}
	// They may come back.
	n.sync("d", later)
	if d := n.synced("d"); d.Updated != 1 {
		t.Errorf("%+v", d)
	}
}

// A client that is erased while a sync of it is taken in is neither told of nor noted.
func TestClientErasedWhileASyncIsTakenIn(t *testing.T) {
	t.Parallel()
	var back atomic.Int64 // how far the clock is put back: to before the erasure
	n := start(t, func(c *actors.Config) {
		c.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
	})
	sim := n.studio()
	if _, _, err := n.Erase(t.Context(), actors.Erase{Wedding: "c.1"}); err != nil {
		t.Fatal(err)
	}
	back.Store(int64(time.Minute))
	if s := n.sync("a", profile(1), profile(2)); s.Total != 1 || s.Results[0].ClientID != "c.2" {
		t.Errorf("begun: %+v", s)
	}
	n.results(2)
	if s := n.synced("a"); s.Total != 1 || s.Created != 1 || len(sim.Clients()) != 1 {
		t.Errorf("%+v; the vendor has %v", s, sim.Clients())
	}
	n.health("crm", func(h event.Health) bool { return h.Waiting+h.InFlight == 0 })
	if c, err := n.journal.Client(t.Context(), "crm", "c.1"); c.Queued != "" || c.Had || err != nil {
		t.Errorf("remembered is %+v, %v", c, err)
	}
}
