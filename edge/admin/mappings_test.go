package admin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
)

// mappingForm is what the form of a mapping to a sends.
func mappingForm(changes map[string]string) url.Values {
	form := url.Values{
		"pattern": {"c:{who}"}, "types": {"timeline.updated, guest.added"}, "when": {""},
		"kind": {"integration", "category"}, "to": {"a", "photography-crm"}, "targetTypes": {"", ""}, "recipients": {"", ""},
		"quietFrom": {"", "22:00"}, "quietTo": {"", "07:00"}, "quietZone": {"", "Europe/Paris"}, "digest": {"", "15m"}, "critical": {"", "guest.added"},
		"field": {"notes", ""}, "expression": {`"for " + vars.who`, ""},
	}
	for name, value := range changes {
		form.Set(name, value)
	}
	return form
}

var revisionIn = regexp.MustCompile(`name="revision" value="(\d+)"`)

func TestMappingsAreListedAndSearched(t *testing.T) {
	t.Parallel()
	n := start(t)
	b := n.signedIn(t, adminKey)
	if got := b.get("/admin/mappings"); !strings.Contains(got.body, "no mapping yet") {
		t.Errorf("without any: %d", got.status)
	}
	n.connect(t, "a", nil)
	n.mapTo(t, "a")
	many := make([]event.Target, 6)
	for i := range many {
		many[i] = event.Target{Category: event.Categories()[i]}
	}
	_, err := n.registry.PutMapping(t.Context(), event.Mapping{V: 1, ID: "wide", Pattern: "supplier:**", Types: []string{"guest.added"}, Targets: many, When: "payload.n > 3"})
	must(t, err)
	for query, want := range map[string][]string{
		"": {"m-a", "wide"}, "?q=SUPPLIER": {"wide"}, "?q=guest.added+supplier": {"wide"}, "?q=photography": {"wide"}, "?q=c:*": {"m-a"}, "?q=nothing": nil, "?page=9": {"m-a", "wide"},
	} {
		got := b.get("/admin/mappings" + query)
		var found []string
		for _, m := range regexp.MustCompile(`<tr id="mapping-([^"]*)"`).FindAllStringSubmatch(got.body, -1) {
			found = append(found, m[1])
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s lists %v, want %v", query, found, want)
		}
	}
	if got := b.get("/admin/mappings"); !strings.Contains(got.body, "and 2 more") || !strings.Contains(got.body, "payload.n &gt; 3") {
		t.Error("it does not say that there are more targets, or the condition")
	}
}

func TestAMappingIsMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	if got := b.get("/admin/mappings/new"); got.status != http.StatusOK || !strings.Contains(got.body, `<option value="a">`) {
		t.Errorf("the form: %d", got.status)
	}
	for _, row := range []string{"target", "field"} {
		if got := b.get("/admin/mappings/"+row, htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, "data-remove") {
			t.Errorf("a row of %s: %d", row, got.status)
		}
	}
	made := b.post("/admin/mappings/save", mappingForm(map[string]string{"id": "mine"}), htmx()...)
	if made.status != http.StatusOK || made.header.Get("Hx-Redirect") != "/admin/mapping/mine" {
		t.Fatalf("made: %d %s", made.status, made.body)
	}
	m := n.registry.Mappings()[0]
	second := m.Targets[1]
	if m.Fields["notes"] != `"for " + vars.who` || len(m.Types) != 2 || m.Targets[0].Integration != "a" || m.Targets[0].QuietHours != nil ||
		second.Category != event.PhotographyCRM || second.QuietHours.From != "22:00" || second.Digest == nil || second.Critical[0] != "guest.added" {
		t.Errorf("stored: %+v", m)
	}
	page := b.get("/admin/mapping/mine").body
	form := mappingForm(map[string]string{"id": "mine", "revision": revisionIn.FindStringSubmatch(page)[1]})
	same := b.post("/admin/mappings/save", form, htmx()...)
	if same.status != http.StatusOK || !strings.Contains(same.body, "Nothing was changed") {
		t.Errorf("stored as it was: %d %s", same.status, same.body)
	}
	stale := form.Get("revision")
	form.Set("revision", revisionIn.FindStringSubmatch(same.body)[1])
	form.Set("pattern", "c:*")
	form["quietTo"] = []string{"", "08:00"}
	form["field"] = []string{"more"}
	form["expression"] = []string{"1 + 1"}
	form.Set("when", "payload.n > 1")
	changed := b.post("/admin/mappings/save", form, htmx()...)
	for _, want := range []string{
		"Channels: c:*, was c:{who}", "Rules of all of photography-crm: quiet 22:00–08:00", "Condition: payload.n &gt; 1, was none", "Field more: 1 + 1, was none", "Field notes: none, was",
	} {
		if changed.status != http.StatusOK || !strings.Contains(changed.body, want) {
			t.Errorf("changed: %d without %s", changed.status, want)
		}
	}
	form.Set("revision", stale)
	if got := b.post("/admin/mappings/save", form, htmx()...); got.status != http.StatusPreconditionFailed {
		t.Errorf("over what somebody else stored: %d", got.status)
	}
	for name, form := range map[string]url.Values{
		"an id that is taken": mappingForm(map[string]string{"id": "mine"}), "no revision": mappingForm(map[string]string{"id": "mine", "revision": "x"}),
		"no pattern": mappingForm(map[string]string{"pattern": ""}), "no digest": mappingForm(map[string]string{"digest": "long"}),
	} {
		if got := b.post("/admin/mappings/save", form, htmx()...); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := b.post("/admin/mappings/save", mappingForm(map[string]string{"id": "gone", "revision": "7"}), htmx()...); got.status != http.StatusNotFound {
		t.Errorf("one that was deleted meanwhile: %d", got.status)
	}
	if got := b.post("/admin/mapping/mine/delete", url.Values{}, htmx()...); got.status != http.StatusOK || len(n.registry.Mappings()) != 0 {
		t.Errorf("deleted: %d %s", got.status, got.body)
	}
	for _, got := range []answer{b.post("/admin/mapping/mine/delete", url.Values{}, htmx()...), b.get("/admin/mapping/mine")} {
		if got.status != http.StatusNotFound {
			t.Errorf("one that is gone: %d", got.status)
		}
	}
	if got := b.post("/admin/mappings/save", mappingForm(nil), htmx()...); got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Hx-Redirect"), "/admin/mapping/map_") {
		t.Errorf("without an id: %d %v", got.status, got.header)
	}
}

func TestAMappingIsPreviewedOnRealEvents(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	preview := func(changes map[string]string, want ...string) {
		t.Helper()
		got := b.post("/admin/mappings/preview", mappingForm(changes), htmx()...)
		for _, w := range want {
			if got.status != http.StatusOK || !strings.Contains(got.body, w) {
				t.Errorf("%v: %d without %s: %s", changes, got.status, w, got.body)
			}
		}
	}
	preview(nil, "nothing to compare")
	n.happen(t, "c:1", `{"coupleId":"c1","n":1}`)
	n.happen(t, "c:2", `{"coupleId":"c2","n":2}`)
	preview(nil, "newest 2 events", "<strong>a</strong> 2 more", "Would be sent", "timeline.updated on c:1 to a")
	preview(map[string]string{"when": "payload.n > 1"}, "<strong>a</strong> 1 more")
	preview(map[string]string{"expression": "payload.n.deep.er"}, "would become dead letters", "Would die")
	if len(n.registry.Mappings()) != 0 || len(n.sim.Received()) != 0 {
		t.Error("a preview stored a mapping, or sent something")
	}
	n.mapTo(t, "a")
	preview(map[string]string{"id": "m-a", "pattern": "c:1", "expression": "1"}, "1 fewer", "Would not be sent", "1 with another body", "Another body")
	preview(map[string]string{"pattern": ""}, "not right yet", "pattern")
	preview(map[string]string{"when": "payload.("}, "not right yet", "when")
	preview(map[string]string{"digest": "long"}, "no duration such as 15m")
}

func TestMappingsNeedTheirScopes(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	n.mapTo(t, "a")
	key := func(scopes ...access.Scope) string {
		_, text, err := n.keys.Create(t.Context(), access.Everybody("x"), access.Key{Name: "k", Scopes: scopes})
		must(t, err)
		return text.Reveal()
	}
	b := n.signedIn(t, key(access.MappingsRead))
	for path, want := range map[string]int{
		"/admin/mappings": http.StatusOK, "/admin/mapping/m-a": http.StatusOK, "/admin/mappings/new": http.StatusForbidden, "/admin/audit": http.StatusForbidden, home: http.StatusForbidden,
	} {
		got := b.get(path)
		if got.status != want || strings.Contains(got.body, "Save mapping") || strings.Contains(got.body, "Add mapping") || strings.Contains(got.body, "Delete…") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := b.get("/admin/mapping/m-a"); !strings.Contains(got.body, "lacks channels:read") || strings.Contains(got.body, `<option value="a">`) {
		t.Error("it does not say why there is no preview, or tells of integrations")
	}
	for _, path := range []string{"/admin/mappings/save", "/admin/mappings/preview", "/admin/mapping/m-a/delete"} {
		if got := b.post(path, mappingForm(nil), htmx()...); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestAuditSaysWhyItHasNothing(t *testing.T) {
	t.Parallel()
	n := start(t)
	b := n.signedIn(t, adminKey)
	if got := b.get("/admin/audit?actor=admin:tester"); got.status != http.StatusOK || !strings.Contains(got.body, "no ClickHouse") || !strings.Contains(got.body, `value="admin:tester"`) {
		t.Errorf("without ClickHouse: %d %s", got.status, got.body)
	}
}
