package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
)

func TestKeysAreMadeAndRevokedByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if out := d.do("keys"); out != "no keys but the administrator's\n" {
		t.Errorf("none yet: %s", out)
	}
	out := d.do("keys", "create", "website", "--scope=channels:publish,channels:read", "--expires=2160h")
	text := strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n"):])
	if !strings.Contains(out, " of website is made; this is shown once:\nwsk_") {
		t.Errorf("create: %s", out)
	}
	var made createdKey
	d.read(&made, "keys", "create", "alice", "--owner=supplierId=42", "--channel=supplier:dashboard:{supplierId}", "--scope=integrations:read", "--expires=2099-01-01T00:00:00Z")
	if made.Text == "" || made.Owner["supplierId"] != "42" || made.ExpiresAt.Year() != 2099 || made.CreatedBy != "admin:admin" {
		t.Errorf("made %+v", made.Key)
	}
	var listed []access.Key
	if d.read(&listed, "keys"); len(listed) != 2 {
		t.Errorf("listed %+v", listed)
	}
	if out := d.do("keys", "list"); !strings.Contains(out, "channels:publish channels:read") || !strings.Contains(out, "supplierId=42") ||
		!strings.Contains(out, "never") && !strings.Contains(out, "2099-01-0") || strings.Contains(out, made.Text) {
		t.Errorf("list:\n%s", out)
	}
	if out := d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--key", text); !strings.Contains(out, "is in the log at") {
		t.Errorf("publish with the key: %s", out)
	}
	if got := d.run("integrations", "--key", text); got.code != exitFailed || !strings.Contains(got.errors, "integrations:read") || !strings.Contains(got.errors, "403 scope_missing") {
		t.Errorf("without the scope: %+v", got)
	}
	if out := d.do("integrations", "--key", made.Text); strings.Contains(out, "sim-slack") {
		t.Errorf("another owner's are listed:\n%s", out)
	}
	var used []access.Key
	d.read(&used, "keys")
	for _, k := range used {
		if time.Since(k.LastUsedAt) > 2*time.Minute {
			t.Errorf("%s was last used at %v", k.Name, k.LastUsedAt)
		}
	}
	if out := d.do("keys"); !strings.Contains(out, " used ") || strings.Contains(out, "never") {
		t.Errorf("list:\n%s", out)
	}
	if out := d.do("keys", "revoke", made.ID); out != "key "+made.ID+" is revoked\n" {
		t.Errorf("revoke: %s", out)
	}
	if got := d.run("integrations", "--key", made.Text); got.code != exitFailed || !strings.Contains(got.errors, "401 key_invalid") {
		t.Errorf("with a revoked key: %+v", got)
	}
	if got := d.run("keys", "revoke", made.ID); got.code != exitFailed || !strings.Contains(got.errors, "key_unknown") {
		t.Errorf("revoked twice: %+v", got)
	}
}

func TestScopesAreListed(t *testing.T) {
	t.Parallel()
	var scopes []struct{ Scope access.Scope }
	if got := wedsync(t, "keys", "scopes", "--json"); json.Unmarshal([]byte(got.out), &scopes) != nil || len(scopes) != len(access.Scopes()) {
		t.Errorf("%+v", got)
	}
	if got := wedsync(t, "keys", "scopes"); !strings.Contains(got.out, "\naudit:read ") || !strings.Contains(got.out, "\nadmin  ") {
		t.Errorf("%+v", got)
	}
}

// TestWhatWasDoneIsFoundByCommand: deliveries with their attempts, and who did what, by way of ClickHouse.
func TestWhatWasDoneIsFoundByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.ClickHouse.DSN = clickhouseEmbedded })
	waitComponent(t, d.node.URL(), "clickhouse", "")
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=evt-1")
	d.run("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=evt-2")
	d.do("integrations", "pause", "sim-slack")

	var deliveries page[analytics.DeliveryRow]
	d.eventually("a delivery to be found", func() bool {
		d.read(&deliveries, "deliveries", "--event=evt-1", "--integration=sim-studiocloud")
		return len(deliveries.Items) == 1
	})
	one := deliveries.Items[0]
	if one.Outcome != "delivered" || one.Channel != "supplier:dashboard:42" || one.Attempts != 1 {
		t.Errorf("found %+v", one)
	}
	d.eventually("both to be found", func() bool {
		return strings.Contains(d.do("deliveries", "--integration=sim-studiocloud", "--limit=1", "--since=1h"), "\nmore: --after ")
	})
	if out := d.do("deliveries", "show", one.ID); !strings.HasPrefix(out, "delivered") || !strings.Contains(out, "event evt-1") || !strings.Contains(out, " 204 ") {
		t.Errorf("show:\n%s", out)
	}
	var traced tracedDelivery
	if d.read(&traced, "deliveries", "show", one.ID); len(traced.Ends) != 1 || len(traced.Attempts) != 1 {
		t.Errorf("show: %+v", traced)
	}
	if got := d.run("deliveries", "show", "dlv_0"); got.code != exitFailed || !strings.Contains(got.errors, "delivery_unknown") {
		t.Errorf("one that is not there: %+v", got)
	}
	if out := d.do("deliveries", "--outcome=dead"); out != "nothing found\n" {
		t.Errorf("dead ones: %s", out)
	}

	var audit page[analytics.AuditRow]
	d.eventually("the pause to be found", func() bool {
		d.read(&audit, "audit", "--action=integration.pause", "--actor=admin:admin", "--outcome=ok", "--until=2099-01-01T00:00:00Z")
		return len(audit.Items) == 1
	})
	if a := audit.Items[0]; a.Target != "sim-slack" || a.From != "127.0.0.1" {
		t.Errorf("audited %+v", a)
	}
	if out := d.do("audit", "--target=sim-slack"); !strings.Contains(out, "integration.pause") || !strings.Contains(out, "integration.put") {
		t.Errorf("audit:\n%s", out)
	}
	if got := d.run("audit", "--after=x"); got.code != exitFailed || !strings.Contains(got.errors, "field_invalid") {
		t.Errorf("a bad cursor: %+v", got)
	}
}

// TestOwnersReadWhatOthersDidToTheirs: an owner's key finds what the administrator did to the owner's integration,
// its dead letters too, and its end; it finds nothing of anybody else's.
func TestOwnersReadWhatOthersDidToTheirs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.ClickHouse.DSN = clickhouseEmbedded })
	waitComponent(t, d.node.URL(), "clickhouse", "")
	keys := map[string]createdKey{}
	for _, owner := range []string{"alice", "bob"} {
		var made createdKey
		d.read(&made, "keys", "create", owner, "--owner=supplierId="+owner, "--channel=supplier:dashboard:{supplierId}", "--scope=audit:read,integrations:read")
		keys[owner] = made
	}
	in, _ := d.sims.StudioCloud.Integration("alices")
	in.Owner = map[string]string{"supplierId": "alice"}
	if _, err := d.node.registry.Put(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	d.do("integrations", "pause", "alices")
	d.do("integrations", "pause", "sim-slack")
	var letter event.DeadLetter
	letter.V, letter.DiedAt, letter.Delivery.V, letter.Delivery.ID, letter.Delivery.Integration = event.Version, time.Now(), event.Version, "dlv_1", "alices"
	letter.Event.V, letter.Event.ID, letter.Delivery.Body, letter.Event.Payload = event.Version, "e", json.RawMessage(`{}`), json.RawMessage(`{}`)
	if err := d.node.journal.Bury(t.Context(), &letter); err != nil {
		t.Fatal(err)
	}
	d.do("dead", "discard", "1")
	d.do("integrations", "delete", "alices")
	if got := d.run("keys", "--key", keys["alice"].Text); got.code != exitFailed {
		t.Errorf("beyond its scopes: %+v", got)
	}
	var found page[analytics.AuditRow]
	d.eventually("the last of it to be found", func() bool {
		d.read(&found, "audit", "--key", keys["alice"].Text)
		return len(found.Items) > 0 && found.Items[0].Action == "access.refuse"
	})
	var did []string
	for _, r := range found.Items {
		did = append(did, r.Action+" "+r.Target)
	}
	if want := []string{"access.refuse list-keys", "integration.delete alices", "dead.discard 1", "integration.pause alices", "key.create " + keys["alice"].ID}; !slices.Equal(did, want) {
		t.Errorf("alice finds %q, want %q", did, want)
	}
	d.read(&found, "audit", "--key", keys["bob"].Text)
	if len(found.Items) != 1 || found.Items[0].Target != keys["bob"].ID {
		t.Errorf("bob finds %+v", found.Items)
	}
}

// eventually asks until what holds.
func (d *desk) eventually(what string, holds func() bool) {
	d.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("waited in vain for %s", what)
		}
	}
}
