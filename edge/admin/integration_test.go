package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestActsDoWhatTheAPIDoes(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	act := func(name, want string, form url.Values) string {
		t.Helper()
		got := b.post("/admin/integration/a/"+name, form, htmx()...)
		if got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		return got.body
	}
	act("pause", "Paused.", url.Values{"reason": {" moving house "}})
	if e, _ := n.registry.Lookup("a"); e.Integration.Paused == nil || e.Integration.Paused.Reason != "moving house" || e.Integration.Paused.By != "admin:tester" {
		t.Errorf("paused: %+v", e.Integration.Paused)
	}
	act("resume", "Resumed.", url.Values{})
	if e, _ := n.registry.Lookup("a"); e.Integration.Paused != nil {
		t.Error("it is paused still")
	}
	act("reset-breaker", "closed", url.Values{})
	act("test", "The vendor took the sample", url.Values{})
	n.sim.Faults().Add(vendors.Fault{Status: http.StatusServiceUnavailable})
	act("test", "fault is on the vendor", url.Values{})
	n.sim.Faults().Clear()
	if got := b.post("/admin/integration/a/pause", url.Values{}, htmx()...); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "reason") {
		t.Errorf("pausing without a reason: %d %s", got.status, got.body)
	}
	for _, name := range []string{"pause", "resume", "reset-breaker", "reinstate", "test", "check", "settings", "secrets/retire", "secrets/signing/rotate"} {
		if got := b.post("/admin/integration/nobody/"+name, url.Values{"reason": {"x"}}, htmx()...); got.status != http.StatusNotFound {
			t.Errorf("%s of none: %d", name, got.status)
		}
	}
	if got := b.post("/admin/integration/nobody/resume", url.Values{}); got.status != http.StatusNotFound || !strings.Contains(got.body, "<html") {
		t.Errorf("without htmx: %d", got.status)
	}
	if got := b.post("/admin/integration/a/resume", url.Values{}); got.status != http.StatusOK || !strings.Contains(got.body, "<html") {
		t.Errorf("without htmx: %d", got.status)
	}
	if got := b.post("/admin/integration/a/pause", url.Values{"reason": {strings.Repeat("x", 300<<10)}}, htmx()...); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a form that is too large: %d", got.status)
	}
	if got := n.audited(); !strings.Contains(got, "integration.pause ok, integration.resume ok, integration.reset_breaker ok, integration.test ok") {
		t.Errorf("audited: %s", got)
	}
}

func TestSettingsAreCheckedAndStored(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	e, _ := n.registry.Lookup("a")
	var was map[string]string
	must(t, json.Unmarshal(e.Integration.Settings, &was))
	page := b.get("/admin/integration/a").body
	revision := regexp.MustCompile(`name="revision" value="(\d+)"`)
	form := url.Values{"revision": {revision.FindStringSubmatch(page)[1]}, "name": {"Renamed"}, "settings.url": {"ftp://x"}, "channel": {"couple:updates:{coupleId}"}}
	if !strings.Contains(page, `value="`+was["url"]+`"`) || strings.Contains(page, e.Integration.ID+"secret") {
		t.Error("the form does not have what is stored")
	}
	wrong := b.post("/admin/integration/a/check", form, htmx()...)
	if wrong.status != http.StatusOK || !regexp.MustCompile(`id="settings.url-wrong"[^>]*hx-swap-oob="true"[^>]*>[^<]*must begin with https`).MatchString(wrong.body) {
		t.Errorf("checked: %d %s", wrong.status, wrong.body)
	}
	if got := b.post("/admin/integration/a/settings", form, htmx()...); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "settings.url") {
		t.Errorf("storing what is wrong: %d %s", got.status, got.body)
	}
	form.Set("settings.url", was["url"])
	form.Set("settings.format", "cloudevents")
	right := b.post("/admin/integration/a/check", form, htmx()...)
	if right.status != http.StatusOK || strings.Contains(right.body, "must") {
		t.Errorf("checked: %d %s", right.status, right.body)
	}
	stored := b.post("/admin/integration/a/settings", form, htmx()...)
	if stored.status != http.StatusOK || !strings.Contains(stored.body, "Saved.") {
		t.Errorf("stored: %d %s", stored.status, stored.body)
	}
	if e, _ = n.registry.Lookup("a"); e.Integration.Name != "Renamed" || !strings.Contains(string(e.Integration.Settings), "cloudevents") {
		t.Errorf("stored: %+v", e.Integration)
	}
	if got := b.post("/admin/integration/a/settings", form, htmx()...); got.status != http.StatusPreconditionFailed {
		t.Errorf("over what somebody else stored: %d", got.status)
	}
	form.Set("revision", revision.FindStringSubmatch(strings.ReplaceAll(stored.body, `type="hidden" `, ""))[1])
	form.Set("secrets.signing", "not one")
	if got := b.post("/admin/integration/a/settings", form, htmx()...); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "secrets.signing") || strings.Contains(got.body, "not one") {
		t.Errorf("a secret that is none: %d %s", got.status, got.body)
	}
	form.Set("revision", "x")
	if got := b.post("/admin/integration/a/settings", form, htmx()...); got.status != http.StatusUnprocessableEntity {
		t.Errorf("without a revision: %d", got.status)
	}
}

func TestSecretsAreShownOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	got := b.post("/admin/integration/a/secrets/signing/rotate", url.Values{}, htmx()...)
	secret := regexp.MustCompile(`whsec_[A-Za-z0-9+/=]{20,}`).FindString(got.body)
	if got.status != http.StatusOK || secret == "" {
		t.Fatalf("rotated: %d %s", got.status, got.body)
	}
	if page := b.get("/admin/integration/a"); strings.Contains(page.body, secret) {
		t.Error("the page shows the secret once more")
	}
	if got := b.post("/admin/integration/a/secrets/retire", url.Values{}, htmx()...); got.status != http.StatusOK {
		t.Errorf("retired: %d %s", got.status, got.body)
	}
	if got := b.post("/admin/integration/a/secrets/nothing/rotate", url.Values{}, htmx()...); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a secret that there is not: %d", got.status)
	}
}

func TestThePageTellsHowAnIntegrationDoes(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	_, err := n.registry.PutMapping(t.Context(), event.Mapping{V: event.Version, ID: "m", Pattern: "c:*", Targets: []event.Target{{Integration: "a"}}})
	must(t, err)
	in, err := ingest.New(ingest.Config{Log: n.journal})
	must(t, err)
	publish := func(channel string) {
		_, err := in.Publish(t.Context(), ingest.Draft{Channel: channel, Type: "timeline.updated", Payload: json.RawMessage(`{"coupleId":"c1"}`), Source: "test"})
		must(t, err)
	}
	publish("c:1")
	b := n.signedIn(t, adminKey)
	b.get("/admin/integration/a").shows(t, "an attempt may take as long as the nodes&#39; delivery.timeout says")
	eventually(t, "the chart to have a minute", func() bool {
		return strings.Contains(b.get("/admin/integration/a").body, `data-chart="{&#34;unit&#34;`)
	})
	n.sim.Faults().Add(vendors.Fault{Status: http.StatusServiceUnavailable})
	publish("c:2")
	publish("c:3")
	eventually(t, "the page to say that the breaker is open", func() bool {
		body := b.get("/admin/integration/a").body
		return strings.Contains(body, "Reset breaker") && strings.Contains(body, "it tries again") && strings.Contains(body, `<rect class="is-open"`)
	})
	if got := b.get("/admin/integration/a/deliveries", htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, "no ClickHouse") {
		t.Errorf("deliveries without ClickHouse: %d %s", got.status, got.body)
	}
	for path, want := range map[string]int{
		"/admin/integration/nobody": http.StatusNotFound, "/admin/integration/nobody/deliveries": http.StatusNotFound, "/admin/delivery/dlv_1": http.StatusServiceUnavailable,
	} {
		if got := b.get(path); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
}

func TestADeliveryIsShownWithWhatIsSent(t *testing.T) {
	t.Parallel()
	s := numbers{asked: &analytics.DeliveryQuery{}, attempts: []analytics.AttemptRow{{
		Number: 2, Replay: 1, EventID: "e1", EventType: "timeline.updated", Channel: "c:1", Integration: "a", Verdict: "dead", Status: 422, Reason: "http_422", Detail: "no such client",
	}}}
	n := start(t, withNumbers(s))
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	b.get("/admin/delivery/dlv_1").shows(t, "422 · dead", "no such client", "replay 1", "1m10s", "The event is older than what the log keeps")
	for _, id := range []string{"e0", "e1"} {
		_, err := n.ingest.Publish(t.Context(), ingest.Draft{ID: id, Channel: "c:1", Type: "timeline.updated", Payload: json.RawMessage(`{"coupleId":"c-` + id + `"}`), Source: "test"})
		must(t, err)
	}
	b.get("/admin/delivery/dlv_1").shows(t, "it would not be sent")
	_, err := n.registry.PutMapping(t.Context(), event.Mapping{V: event.Version, ID: "m", Pattern: "c:*", Targets: []event.Target{{Integration: "a"}}})
	must(t, err)
	page := b.get("/admin/delivery/dlv_1")
	page.shows(t, "Secrets, and what is made of them, are masked", "c-e1")
	page.hides(t, "c-e0")
	viewer := n.signedIn(t, n.key(t, access.Key{Name: "viewer", Scopes: []access.Scope{access.DeliveriesRead}}))
	viewer.get("/admin/delivery/dlv_1").shows(t, "lacks channels:read or integrations:read")
	if got := n.audited(); strings.Contains(got, "access.refuse") {
		t.Errorf("a page asked for what its visitor may not see: %s", got)
	}
}
