package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

func TestPutThenRead(t *testing.T) {
	t.Parallel()
	n := start(t)
	in := studio("studio-42", "42")
	in.Name, in.Channel = "Studio of 42", "couple:updates:{coupleId}"
	in.Limits.PerSecond = 2
	stored := put(t, n.Registry, in)
	if stored.Category != event.PhotographyCRM || stored.Revision == 0 || stored.V != event.Version {
		t.Errorf("stored as %+v", stored)
	}
	e := lookup(t, n.Registry, "studio-42")
	if e.Revision != stored.Revision || e.Integration.Revision != stored.Revision || e.Integration.Name != in.Name ||
		e.Integration.Owner["supplierId"] != "42" || e.Integration.Limits != in.Limits || e.Integration.Channel != in.Channel ||
		string(e.Integration.Settings) != string(in.Settings) || e.Integration.Category != event.PhotographyCRM {
		t.Errorf("read as %+v", e.Integration)
	}
	if again := lookup(t, n.Registry, "studio-42"); again != e {
		t.Error("without a change there is another entry")
	}
	// Put again without a revision: replaced, whatever was there.
	in.Name = "renamed"
	if again := put(t, n.Registry, in); again.Revision <= stored.Revision {
		t.Errorf("revision %d after %d", again.Revision, stored.Revision)
	}
	if got := lookup(t, n.Registry, "studio-42"); got == e || got.Integration.Name != "renamed" || e.Integration.Name != "Studio of 42" {
		t.Errorf("got %q, and the old entry says %q", got.Integration.Name, e.Integration.Name)
	}
	if _, ok := n.Lookup("studio-43"); ok {
		t.Error("there is one that was never put")
	}
	if got := fmt.Sprint(e); !strings.HasPrefix(got, "integration studio-42 (studiocloud, revision ") {
		t.Errorf("printed as %s", got)
	}
}

// TestPutOwnCategory: a vendor that can be anything takes the integration's category, and mappings
// to that category lead to it.
func TestPutOwnCategory(t *testing.T) {
	t.Parallel()
	n := start(t)
	in := studio("florist", "42")
	in.Vendor, in.Category = "webhook", event.VenueManagement
	if stored := put(t, n.Registry, in); stored.Category != event.VenueManagement {
		t.Errorf("stored as %+v", stored)
	}
	putMapping(t, n.Registry, "m", "supplier:{supplierId}", nil, event.Target{Category: event.VenueManagement})
	ev := event.Event{ID: "e", Channel: "supplier:42", Type: "a.b", Payload: json.RawMessage(`{}`)}
	if got := n.Resolve(&ev); len(got) != 1 || got[0].Entry.Integration.ID != "florist" {
		t.Errorf("the event goes to %v", got)
	}
	in.Category = event.ProjectManagement
	put(t, n.Registry, in)
	if got := n.Resolve(&ev); len(got) != 0 {
		t.Errorf("of another category now, the event still goes to %v", got)
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("taken", ""))
	for name, c := range map[string]struct {
		change func(*event.Integration)
		want   string
	}{
		"id":                {func(in *event.Integration) { in.ID = "a.b" }, `"." is not allowed`},
		"empty id":          {func(in *event.Integration) { in.ID = "" }, "must have 1 to 64 bytes"},
		"vendor":            {func(in *event.Integration) { in.Vendor = "nobody" }, `vendor "nobody" is not known; use one of [`},
		"no vendor":         {func(in *event.Integration) { in.Vendor = "" }, `vendor "" is not known`},
		"other vendor":      {func(in *event.Integration) { in.ID, in.Vendor, in.Settings = "taken", "slack", nil }, "delete it first"},
		"category":          {func(in *event.Integration) { in.Category = event.EmailService }, `studiocloud is of "photography-crm"`},
		"category wanted":   {func(in *event.Integration) { in.Vendor = "webhook" }, `category: ""; webhook can be anything, so give one of [photography-crm `},
		"category unknown":  {func(in *event.Integration) { in.Vendor, in.Category = "webhook", "florists" }, `category: "florists"`},
		"channel":           {func(in *event.Integration) { in.Channel = "a:*" }, "not * or **"},
		"name":              {func(in *event.Integration) { in.Name = strings.Repeat("n", 129) }, "name: must be UTF-8 of at most 128"},
		"name not UTF-8":    {func(in *event.Integration) { in.Name = "\xff" }, "name: must be UTF-8"},
		"owner name":        {func(in *event.Integration) { in.Owner = map[string]string{"supplier-id": "42"} }, `"supplier-id" is no variable name`},
		"owner value":       {func(in *event.Integration) { in.Owner = map[string]string{"supplierId": "*"} }, `supplierId="*" can never be captured`},
		"owner empty":       {func(in *event.Integration) { in.Owner = map[string]string{"supplierId": ""} }, "can never be captured"},
		"owners":            {func(in *event.Integration) { in.Owner = ownerOf(9) }, "9 variables, at most 8"},
		"setting missing":   {func(in *event.Integration) { in.Settings = nil }, "settings.url: is required"},
		"setting wrong":     {func(in *event.Integration) { in.Settings = json.RawMessage(`{"url":"ftp://x"}`) }, "settings.url: "},
		"setting unknown":   {func(in *event.Integration) { in.Settings = json.RawMessage(`{"url":"https://a.b","x":1}`) }, "settings.x: "},
		"settings no JSON":  {func(in *event.Integration) { in.Settings = json.RawMessage(`{`) }, "settings: is not valid JSON"},
		"settings too long": {func(in *event.Integration) { in.Settings = json.RawMessage(`"` + strings.Repeat("x", 17<<10) + `"`) }, "at most 16384"},
		"rate":              {func(in *event.Integration) { in.Limits.PerSecond = -1 }, "limits.perSecond"},
		"burst":             {func(in *event.Integration) { in.Limits.Burst = -1 }, "limits.burst"},
		"recipientBurst":    {func(in *event.Integration) { in.Limits.RecipientBurst = -1 }, "limits.recipientBurst"},
		"in flight":         {func(in *event.Integration) { in.Limits.MaxInFlight = -1 }, "limits.maxInFlight"},
		"webhooks":          {func(in *event.Integration) { in.Limits.WebhooksPerHour = -1 }, "limits.webhooksPerHour"},
		"duration":          {func(in *event.Integration) { in.Limits.Timeout = -1 }, "a duration is negative"},
	} {
		in := studio("new", "42")
		c.change(&in)
		_, err := n.Put(t.Context(), in)
		var invalid *registry.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) || invalid.ID != in.ID {
			t.Errorf("%s: error %v, want an InvalidError with %q", name, err, c.want)
		}
		if _, ok := n.Lookup("new"); ok {
			t.Fatalf("%s: it was stored", name)
		}
	}
	var unknown *adapter.UnknownVendorError
	if _, err := n.Put(t.Context(), event.Integration{ID: "x", Vendor: "nobody"}); !errors.As(err, &unknown) {
		t.Errorf("unknown vendor: %v", err)
	}
	var settings *adapter.SettingsError
	if _, err := n.Put(t.Context(), event.Integration{ID: "x", Vendor: "studiocloud"}); !errors.As(err, &settings) || len(settings.Problems) != 1 {
		t.Errorf("settings: %v; the secrets that are still missing must not be among the problems", err)
	}
}

func ownerOf(n int) map[string]string {
	owner := map[string]string{}
	for i := range n {
		owner[fmt.Sprintf("v%d", i)] = "1"
	}
	return owner
}

func TestPutComparesRevisions(t *testing.T) {
	t.Parallel()
	n := start(t)
	first := put(t, n.Registry, studio("s", "1"))
	second := first
	second.Name = "second"
	second = put(t, n.Registry, second)
	first.Name = "late"
	if _, err := n.Put(t.Context(), first); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("an old revision: %v, want ErrConflict", err)
	}
	if got := lookup(t, n.Registry, "s").Integration; got.Name != "second" || got.Revision != second.Revision {
		t.Errorf("got %+v", got)
	}
	other := studio("other", "1")
	other.Revision = 12345
	if _, err := n.Put(t.Context(), other); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("a revision of one that is not there: %v, want ErrConflict", err)
	}
}

// TestPutRace has writers take turns by compare-and-swap alone: no increment may be lost.
func TestPutRace(t *testing.T) {
	t.Parallel()
	n := start(t)
	other := n.open(t, zerolog.Nop())
	put(t, n.Registry, studio("s", "1"))
	const writers, each = 4, 15
	var done sync.WaitGroup
	for w := range writers {
		r := []*registry.Registry{n.Registry, other}[w%2]
		done.Go(func() {
			for i := 0; i < each; {
				e, ok := r.Lookup("s")
				if !ok {
					continue // the other node has not heard of it yet
				}
				in := e.Copy()
				in.Limits.Burst++
				_, err := r.Put(t.Context(), in)
				switch {
				case err == nil:
					i++
				case !errors.Is(err, registry.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	eventually(t, n.Registry, "all writes are seen", func() bool {
		return lookup(t, n.Registry, "s").Integration.Limits.Burst == writers*each
	})
}

func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	n := start(t)
	var done sync.WaitGroup
	for w := range 8 {
		done.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("s-%d-%d", w, i)
				stored, err := n.Put(t.Context(), studio(id, "1"))
				if err != nil {
					t.Error(err)
					return
				}
				if e, ok := n.Lookup(id); !ok || e.Revision != stored.Revision {
					t.Errorf("%s: cannot be seen after Put", id)
				}
				if i%2 == 0 {
					if err := n.Delete(t.Context(), id); err != nil {
						t.Error(err)
					}
					if _, ok := n.Lookup(id); ok {
						t.Errorf("%s: can be seen after Delete", id)
					}
				}
			}
		})
	}
	done.Wait()
	if got := len(n.Integrations()); got != 80 {
		t.Errorf("%d integrations, want 80", got)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	if err := n.SetSecrets(t.Context(), "s", map[string]event.Secret{"signing": event.SecretOf(secretA)}); err != nil {
		t.Fatal(err)
	}
	if err := n.Delete(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if _, ok := n.Lookup("s"); ok || len(n.Integrations()) != 0 {
		t.Error("it is still there")
	}
	if err := n.Delete(t.Context(), "s"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("deleted again: %v, want ErrNotFound", err)
	}
	// One that takes its id does not get its secrets.
	put(t, n.Registry, studio("s", "1"))
	if _, err := lookup(t, n.Registry, "s").Connection(); err == nil {
		t.Error("a new integration has the secrets of a deleted one")
	}
	// And secrets can be set for it.
	if err := n.SetSecrets(t.Context(), "s", map[string]event.Secret{"signing": event.SecretOf(secretB)}); err != nil {
		t.Error(err)
	}
	if _, err := lookup(t, n.Registry, "s").Connection(); err != nil {
		t.Error(err)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	paused := func() *event.Pause { return lookup(t, n.Registry, "s").Integration.Paused }
	system := event.Pause{Reason: "invalid_auth", By: "system"}
	if err := n.Pause(t.Context(), "s", system); err != nil {
		t.Fatal(err)
	}
	if p := paused(); p == nil || p.Reason != "invalid_auth" || p.By != "system" || !p.At.Equal(now) {
		t.Errorf("got %+v", p)
	}
	if err := n.Pause(t.Context(), "s", event.Pause{Reason: "holidays", By: "admin:ops", At: now.AddDate(0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if p := paused(); p == nil || p.Reason != "holidays" || !p.At.Equal(now.AddDate(0, 0, 1)) {
		t.Errorf("paused by an admin: %+v", p)
	}
	before := lookup(t, n.Registry, "s")
	if err := n.Pause(t.Context(), "s", system); err != nil {
		t.Fatal(err)
	}
	if lookup(t, n.Registry, "s") != before {
		t.Error("the system replaced an admin's pause")
	}
	for range 2 { // the second time there is nothing to do
		if err := n.Resume(t.Context(), "s"); err != nil || paused() != nil {
			t.Errorf("resumed: %v, %+v", err, paused())
		}
	}
	if err := n.Pause(t.Context(), "s", event.Pause{Reason: "x"}); !errors.As(err, new(*registry.InvalidError)) {
		t.Errorf("by nobody: %v", err)
	}
	for _, err := range []error{n.Pause(t.Context(), "none", system), n.Resume(t.Context(), "none")} {
		if !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("of none: %v, want ErrNotFound", err)
		}
	}
}

// TestPauseKeepsOthersChanges pauses while another node changes the same integration.
func TestPauseKeepsOthersChanges(t *testing.T) {
	t.Parallel()
	n := start(t)
	other := n.open(t, zerolog.Nop())
	put(t, n.Registry, studio("s", "1"))
	var done sync.WaitGroup
	done.Go(func() {
		for i := range 30 {
			in := lookup(t, n.Registry, "s").Copy()
			in.Limits.Burst = i + 1
			for {
				_, err := n.Put(t.Context(), in)
				if err == nil {
					break
				}
				if !errors.Is(err, registry.ErrConflict) {
					t.Error(err)
					return
				}
				in = lookup(t, n.Registry, "s").Copy()
				in.Limits.Burst = i + 1
			}
		}
	})
	eventually(t, other, "the other node knows it", func() bool { _, ok := other.Lookup("s"); return ok })
	for range 30 {
		if err := other.Pause(t.Context(), "s", event.Pause{Reason: "r", By: "admin:a"}); err != nil {
			t.Fatal(err)
		}
		if err := other.Resume(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
	}
	done.Wait()
	eventually(t, n.Registry, "both are done", func() bool {
		in := lookup(t, n.Registry, "s").Integration
		return in.Limits.Burst == 30 && in.Paused == nil
	})
}

func TestListsBelongToTheCaller(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("b", "1"))
	put(t, n.Registry, studio("a", "2"))
	if err := n.Pause(t.Context(), "a", event.Pause{Reason: "r", By: "admin:a"}); err != nil {
		t.Fatal(err)
	}
	all := n.Integrations()
	if len(all) != 2 || all[0].ID != "a" || all[1].ID != "b" || all[0].Revision == 0 {
		t.Fatalf("got %+v", all)
	}
	scribble := func(in event.Integration) {
		in.Owner["supplierId"] = "changed"
		clear(in.Settings)
		in.Paused.Reason = "changed"
	}
	scribble(all[0])
	scribble(lookup(t, n.Registry, "a").Copy())
	for _, in := range []event.Integration{n.Integrations()[0], lookup(t, n.Registry, "a").Integration} {
		if in.Owner["supplierId"] != "2" || in.Settings[0] != '{' || in.Paused.Reason != "r" {
			t.Errorf("what the caller changed came into the registry: %+v", in)
		}
	}
}

func TestWritesAfterClose(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	putMapping(t, n.Registry, "m", "a", nil, event.Target{Integration: "s"})
	n.Close()
	n.Close()
	ctx := t.Context()
	_, errPut := n.Put(ctx, studio("s", "1"))
	_, errMapping := n.PutMapping(ctx, event.Mapping{ID: "m", Pattern: "a", Targets: []event.Target{{Integration: "s"}}})
	for i, err := range []error{
		errPut, errMapping, n.Delete(ctx, "s"), n.DeleteMapping(ctx, "m"), n.Resume(ctx, "s"),
		n.SetSecrets(ctx, "s", map[string]event.Secret{"signing": event.SecretOf(secretA)}),
	} {
		if !errors.Is(err, registry.ErrClosed) {
			t.Errorf("write %d: %v, want ErrClosed", i, err)
		}
	}
	if _, ok := n.Lookup("s"); !ok || len(n.Resolve(&event.Event{Channel: "a", Type: "t"})) != 1 {
		t.Error("reads do not answer any more")
	}
}

func TestWriteThatIsNotSeen(t *testing.T) {
	t.Parallel()
	r, config, secrets := inMemory(t)
	put(t, r, studio("s", "1"))
	config.hush(true)
	secrets.hush(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errPut := r.Put(ctx, studio("new", "1"))
	for i, err := range []error{
		errPut, r.Delete(ctx, "s"), r.SetSecrets(ctx, "s", map[string]event.Secret{"signing": event.SecretOf(secretA)}),
	} {
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "stored, but not yet seen") {
			t.Errorf("write %d: %v", i, err)
		}
	}
	// Closing ends the wait too.
	failed := make(chan error)
	go func() {
		_, err := r.Put(t.Context(), studio("another", "1"))
		failed <- err
	}()
	r.Close()
	if err := <-failed; !errors.Is(err, registry.ErrClosed) {
		t.Errorf("closed meanwhile: %v", err)
	}
}
