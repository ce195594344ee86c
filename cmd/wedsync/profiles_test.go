package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestProfilesAreSyncedByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	all := make([]event.Profile, event.MaxProfiles+3) // in two requests
	for i := range all {
		all[i] = event.Profile{ClientID: fmt.Sprintf("c%d", i), Name: fmt.Sprintf("Couple %d", i)}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "profiles.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	sync := []string{"integrations", "sync-profiles", "sim-studiocloud", "@" + file}
	out := d.do(append(sync, "--wait", "--sync-id=s1")...)
	if !strings.HasSuffix(out, "sync  total  created  updated  unchanged  failed  pending\ns1    503    503      0        0          0       0\n") {
		t.Errorf("printed %s", out)
	}
	if got := len(d.sims.StudioCloud.Clients()); got != len(all) {
		t.Errorf("the vendor has %d clients", got)
	}
	var s event.ProfileSync
	if d.read(&s, append(sync, "--wait")...); s.Unchanged != len(all) || s.Total != len(all) || !strings.HasPrefix(s.SyncID, "sync_") {
		t.Errorf("%+v", s)
	}

	defer d.sims.StudioCloud.Faults().Add(vendors.Fault{Status: 422, Contains: "Odd"})()
	got := d.run("integrations", "sync-profiles", "sim-studiocloud", `[{"clientId":"c1","name":"Odd"},{"clientId":"c2","name":"Even"}]`, "--wait", "--sync-id=s2")
	if got.code != exitFailed || got.errors != "wedsync: 1 of 2 profiles have failed\n" || !strings.HasSuffix(got.out, "\ns2    2      0        1        0          1       0\n\nclient  outcome  reason\nc1      failed   http_422\n") {
		t.Errorf("%+v", got)
	}
	for want, args := range map[string][]string{
		"vendor_takes_no_profiles": {"integrations", "sync-profiles", "sim-slack", `[{"clientId":"c1","name":"B"}]`},
		"profiles[0].email":        {"integrations", "sync-profiles", "sim-studiocloud", `[{"clientId":"c1","name":"B","email":"x"}]`},
	} {
		if got := d.run(args...); got.code != exitFailed || !strings.Contains(got.errors, want) || !strings.HasPrefix(got.errors, "wedsync: sync sync_") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// What waits is shown as far as it is, until it is not waited for any more.
func TestProfilesAreWaitedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	defer d.sims.StudioCloud.Faults().Add(vendors.Fault{Hang: true})()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	got := wedsyncWith(ctx, nil, strings.NewReader(`[{"clientId":"c1","name":"B"}]`), "integrations", "sync-profiles", "sim-studiocloud", "-", "--wait", "--addr", d.node.URL(), "--data", d.node.cfg.Data)
	if got.code == exitOK || got.out != "0 of 1\n" {
		t.Errorf("%+v", got)
	}
}
