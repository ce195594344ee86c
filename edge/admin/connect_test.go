package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/edge/ingest"
)

func TestAVendorIsConnectedInSteps(t *testing.T) {
	t.Parallel()
	n := start(t)
	in, err := ingest.New(ingest.Config{Log: n.journal})
	must(t, err)
	publish := func() {
		_, err := in.Publish(t.Context(), ingest.Draft{Channel: "supplier:dashboard:42", Type: "timeline.updated", Payload: json.RawMessage(`{"coupleId":"c1"}`), Source: "test"})
		must(t, err)
	}
	publish()
	b := n.signedIn(t, adminKey)
	if got := b.get("/admin/connect"); !strings.Contains(got.body, `href="/admin/connect?vendor=slack"`) || strings.Contains(got.body, "vendor=channel") {
		t.Errorf("the choice: %d %s", got.status, got.body)
	}
	if got := b.get("/admin/connect?vendor=nothing"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a vendor that there is not: %d", got.status)
	}
	form := b.get("/admin/connect?vendor=webhook").body
	for _, field := range []string{`name="settings.url"`, `name="secrets.signing"`, `name="owner"`, `name="category"`} {
		if !strings.Contains(form, field) {
			t.Errorf("the form has no %s", field)
		}
	}
	_, secrets := n.sim.Integration("x")
	settings, _ := n.sim.Integration("x")
	var values map[string]string
	must(t, json.Unmarshal(settings.Settings, &values))
	entered := url.Values{"owner": {"supplierId"}, "category": {"project-management"}, "secrets.signing": {secrets.Current("signing").Reveal()}}
	if got := b.post("/admin/connect/vendor/webhook/check", entered, htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, "Is required") {
		t.Errorf("checked without an address: %d %s", got.status, got.body)
	}
	if got := b.post("/admin/connect/vendor/webhook/create", entered, htmx()...); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "settings.url") {
		t.Errorf("stored without an address: %d %s", got.status, got.body)
	}
	entered.Set("settings.url", values["url"])
	if got := b.post("/admin/connect/vendor/webhook/create", entered, htmx()...); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "supplierId=42") {
		t.Errorf("with an owner that is none: %d %s", got.status, got.body)
	}
	if all := n.registry.Integrations(); len(all) > 0 {
		t.Fatalf("what is wrong was stored: %+v", all)
	}
	entered.Set("owner", " supplierId = 42 ")
	made := b.post("/admin/connect/vendor/webhook/create", entered, htmx()...)
	to := made.header.Get("Hx-Redirect")
	all := n.registry.Integrations()
	if made.status != http.StatusOK || len(all) != 1 || to != "/admin/connect/"+all[0].ID || all[0].Owner["supplierId"] != "42" || all[0].Paused == nil {
		t.Fatalf("stored: %d %v %+v", made.status, made.header, all)
	}
	if got := b.get(to); got.status != http.StatusOK || !strings.Contains(got.body, "Switch on") {
		t.Errorf("the steps: %d", got.status)
	}
	for pattern, want := range map[string]string{"": "Write a pattern", "a::b": "pattern", "supplier:dashboard:{supplierId}": "timeline.updated", "venue:*": "adds none"} {
		if got := b.post(to+"/preview", url.Values{"pattern": {pattern}, "types": {"timeline.updated, x.y"}}, htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("preview of %q: %d %s", pattern, got.status, got.body)
		}
	}
	if got := b.post(to+"/map", url.Values{"pattern": {"supplier:dashboard:*"}}, htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, "Mapped by") {
		t.Errorf("mapped: %d %s", got.status, got.body)
	}
	if maps := n.registry.Mappings(); len(maps) != 1 || maps[0].Targets[0].Integration != all[0].ID {
		t.Errorf("mappings: %+v", maps)
	}
	publish()
	if got := b.post(to+"/switch-on", url.Values{}); got.status != http.StatusSeeOther || got.header.Get("Location") != "/admin/integration/"+all[0].ID {
		t.Errorf("switched on: %d %v", got.status, got.header)
	}
	must(t, n.sim.Wait(t.Context(), 1)) // what waited
	if got := b.get(to); strings.Contains(got.body, "Switch on") || !strings.Contains(got.body, "It is switched on") {
		t.Error("it can be switched on twice")
	}
	for _, path := range []string{"vendor/nothing/check", "vendor/nothing/create"} {
		if got := b.post("/admin/connect/"+path, url.Values{}, htmx()...); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := b.get("/admin/connect/nobody"); got.status != http.StatusNotFound {
		t.Errorf("the steps of none: %d", got.status)
	}
}
