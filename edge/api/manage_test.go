package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const (
	secretA = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	crm     = `{"vendor":"studiocloud","name":"Alice's CRM","owner":{"supplierId":"42"},"settings":{"url":"https://crm.example.com/x"},
		"channel":"supplier:dashboard:{supplierId}","limits":{"perSecond":2.5,"burst":5,"timeout":"10s"}}`
)

type integration struct {
	event.Integration
	Revision uint64          `json:"revision"`
	Problems []problem.Field `json:"problems"`
}

type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

func TestIntegrationLifecycle(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	put := n.do(t, "PUT", "/api/integrations/crm", crm)
	in := into[integration](t, put)
	if in.ID != "crm" || in.Vendor != "studiocloud" || in.Category != event.PhotographyCRM || in.Owner["supplierId"] != "42" ||
		in.Limits.PerSecond != 2.5 || time.Duration(in.Limits.Timeout) != 10*time.Second || in.Revision == 0 || put.header.Get("ETag") != fmt.Sprintf("%q", fmt.Sprint(in.Revision)) {
		t.Errorf("put: %s", put.body)
	}
	if len(in.Problems) == 0 || in.Problems[0].Field != "secrets.signing" {
		t.Errorf("it lacks its secrets, and says %+v", in.Problems)
	}
	set := n.do(t, "PUT", "/api/integrations/crm/secrets", `{"signing":"`+secretA+`"}`)
	if got := into[integration](t, set); len(got.Problems) != 0 {
		t.Errorf("with its secrets: %s", set.body)
	}
	if strings.Contains(put.body+set.body, secretA) {
		t.Error("a secret came out")
	}
	get := n.do(t, "GET", "/api/integrations/crm", "")
	if into[integration](t, get).Name != "Alice's CRM" || strings.Contains(get.body, "whsec_") {
		t.Errorf("get: %s", get.body)
	}
	// What is shown can be sent back, and replaces what is at the revision that it names.
	changed := strings.Replace(get.body, "Alice's CRM", "Bob's CRM", 1)
	back := n.do(t, "PUT", "/api/integrations/crm", changed)
	if into[integration](t, back).Name != "Bob's CRM" {
		t.Errorf("sent back: %s", back.body)
	}
	if a := n.do(t, "PUT", "/api/integrations/crm", changed); a.status != 412 || a.code(t) != problem.PreconditionFailed {
		t.Errorf("an old revision: %d %s", a.status, a.body)
	}
	if a := n.do(t, "PUT", "/api/integrations/crm", crm, "If-Match", get.header.Get("ETag")); a.code(t) != problem.PreconditionFailed {
		t.Errorf("an old ETag: %d %s", a.status, a.body)
	}
	if a := n.do(t, "PUT", "/api/integrations/crm", crm, "If-Match", back.header.Get("ETag")); a.status != 200 {
		t.Errorf("the ETag: %d %s", a.status, a.body)
	}
	if a := n.do(t, "DELETE", "/api/integrations/crm", ""); a.status != 204 || a.body != "" {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := n.do(t, "GET", "/api/integrations/crm", ""); a.status != 404 || a.code(t) != problem.IntegrationUnknown {
		t.Errorf("deleted, and: %d %s", a.status, a.body)
	}
	var log []string
	for _, a := range n.audited() {
		log = append(log, a.Action+" "+a.Target+" "+a.Outcome)
		if a.Actor != "admin:tester" || a.From != "127.0.0.1" || a.At.IsZero() || strings.Contains(a.Detail, "whsec") {
			t.Errorf("audited %+v", a)
		}
	}
	want := "integration.put crm ok|integration.set_secrets crm ok|integration.put crm ok|integration.put crm precondition_failed|" +
		"integration.put crm precondition_failed|integration.put crm ok|integration.delete crm ok"
	if got := strings.Join(log, "|"); got != want {
		t.Errorf("audited %s\nwant    %s", got, want)
	}
}

func TestIntegrationsRefused(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	for _, c := range []struct {
		method, path, body, code string
		status                   int
		says                     string
	}{
		{"PUT", "/api/integrations/a%20b", crm, problem.IntegrationInvalid, 422, "a b"},
		{"PUT", "/api/integrations/health", crm, problem.FieldInvalid, 422, "health"},
		{"PUT", "/api/integrations/x", `{"vendor":"nobody"}`, problem.IntegrationInvalid, 422, "nobody"},
		{"PUT", "/api/integrations/x", `{}`, problem.FieldInvalid, 422, "vendor"},
		{"PUT", "/api/integrations/x", `{"vendor":"studiocloud","settings":{"url":"ftp://x"}}`, problem.IntegrationInvalid, 422, "settings.url"},
		{"PUT", "/api/integrations/x", `{"vendor":"studiocloud","setings":{}}`, problem.FieldInvalid, 422, "setings"},
		{"PUT", "/api/integrations/x", `{"vendor":"studiocloud","id":"y","settings":{"url":"https://x.example"}}`, problem.FieldInvalid, 422, "y"},
		{"PUT", "/api/integrations/x", `{"vendor":"studiocloud","settings":{"url":"https://x.example"},"channel":"a:*"}`, problem.IntegrationInvalid, 422, "channel"},
		{"PUT", "/api/integrations/x", `{"vendor":`, problem.JSONMalformed, 400, "body"},
		{"PUT", "/api/integrations/x", ``, problem.JSONMalformed, 400, "required"},
		{"PUT", "/api/integrations/x", `{"vendor":"` + strings.Repeat("x", 2<<20) + `"}`, problem.BodyTooLarge, 413, "too large"},
		{"PUT", "/api/integrations/crm", strings.Replace(crm, "studiocloud", "venuemaster", 1), problem.IntegrationInvalid, 422, "vendor"},
		{"DELETE", "/api/integrations/nobody", "", problem.IntegrationUnknown, 404, "nobody"},
		{"POST", "/api/integrations/nobody/pause", `{"reason":"x"}`, problem.IntegrationUnknown, 404, "nobody"},
		{"POST", "/api/integrations/crm/pause", `{"reason":""}`, problem.FieldInvalid, 422, "reason"},
		{"POST", "/api/integrations/nobody/resume", "", problem.IntegrationUnknown, 404, "nobody"},
		{"POST", "/api/integrations/nobody/reset-breaker", "", problem.IntegrationUnknown, 404, ""},
		{"PUT", "/api/integrations/nobody/secrets", `{"signing":"` + secretA + `"}`, problem.IntegrationUnknown, 404, "nobody"},
		{"PUT", "/api/integrations/crm/secrets", `{}`, problem.SecretsInvalid, 422, "at least one"},
		{"PUT", "/api/integrations/crm/secrets", `{"password":"hunter2-hunter2"}`, problem.SecretsInvalid, 422, "password"},
		{"PUT", "/api/integrations/crm/secrets", `{"signing":"hunter2-hunter2"}`, problem.SecretsInvalid, 422, "whsec_"},
		{"PUT", "/api/integrations/crm/secrets", `{"signing":["hunter2-hunter2"]}`, problem.FieldInvalid, 422, "string"},
		{"PUT", "/api/integrations/crm/secrets", `{"signing":"hunter2-hunter2`, problem.JSONMalformed, 400, "body"},
		{"GET", "/api/integrations/nobody/health", "", problem.IntegrationUnknown, 404, ""},
		{"GET", "/api/integrations?limit=0", "", problem.FieldInvalid, 422, "limit"},
		{"PATCH", "/api/integrations/crm", `{}`, problem.MethodNotAllowed, 405, "PATCH"},
		{"PUT", "/api/mappings/m", `{"pattern":"a:**:b","targets":[{"category":"venue-management"}]}`, problem.MappingInvalid, 422, "**"},
		{"PUT", "/api/mappings/m", `{"pattern":"a","targets":[]}`, problem.MappingInvalid, 422, "targets"},
		{"PUT", "/api/mappings/m", `{"pattern":"a"}`, problem.FieldInvalid, 422, "targets"},
		{"GET", "/api/mappings/nobody", "", problem.MappingUnknown, 404, "nobody"},
		{"DELETE", "/api/mappings/nobody", "", problem.MappingUnknown, 404, "nobody"},
	} {
		a := n.do(t, c.method, c.path, c.body)
		if got := a.code(t); got != c.code || a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s %.60s: got %d %s\nwant %d %s saying %q", c.method, c.path, c.body, a.status, a.body, c.status, c.code, c.says)
		}
		if strings.Contains(a.body, "hunter2") {
			t.Errorf("%s %s: a secret came out: %s", c.method, c.path, a.body)
		}
	}
	for _, a := range n.audited() {
		if strings.Contains(fmt.Sprint(a), "hunter2") {
			t.Errorf("a secret is audited: %+v", a)
		}
	}
	if strings.Contains(n.out.String(), "hunter2") {
		t.Errorf("a secret is logged: %s", n.out)
	}
	if ids := n.registry.Integrations(); len(ids) != 1 {
		t.Errorf("%d integrations", len(ids))
	}
	bad := n.do(t, "PUT", "/api/integrations/x", `{"vendor":"studiocloud","settings":{"url":"ftp://x","more":1}}`)
	if p := bad.problem(t); len(p.Errors) != 2 || p.Errors[0].Field == "" || p.Errors[0].Reason == "" {
		t.Errorf("not every field is named: %s", bad.body)
	}
	if a := n.do(t, "PUT", "/api/integrations/crm", crm, "If-Match", "nonsense"); a.status != 412 || a.code(t) != problem.PreconditionFailed {
		t.Errorf("a bad ETag: %d %s", a.status, a.body)
	}
	if a := n.do(t, "PUT", "/api/integrations/crm", crm, "Content-Type", "text/xml"); a.status != 415 || a.code(t) != problem.UnsupportedMediaType {
		t.Errorf("XML: %d %s", a.status, a.body)
	}
}

func TestPauseStays(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	paused := into[integration](t, n.do(t, "POST", "/api/integrations/crm/pause", `{"reason":"the vendor moves house"}`))
	if paused.Paused == nil || paused.Paused.By != "admin:tester" || paused.Paused.Reason != "the vendor moves house" {
		t.Errorf("paused: %+v", paused)
	}
	if again := into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm)); again.Paused == nil {
		t.Error("a change of settings ended the pause")
	}
	if on := into[integration](t, n.do(t, "POST", "/api/integrations/crm/resume", "")); on.Paused != nil {
		t.Error("still paused")
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	if a := n.do(t, "GET", "/api/integrations", ""); strings.TrimSpace(a.body) != `{"items":[]}` {
		t.Errorf("none: %s", a.body)
	}
	for i := range 5 {
		vendor := []string{"studiocloud", "venuemaster"}[i%2]
		into[integration](t, n.do(t, "PUT", fmt.Sprintf("/api/integrations/i%d", i), `{"vendor":"`+vendor+`","settings":{"url":"https://x.example"}}`))
		m := n.do(t, "PUT", fmt.Sprintf("/api/mappings/m%d", i), fmt.Sprintf(`{"pattern":"a:%d","types":["a.b"],"targets":[{"category":"venue-management"},{"integration":"i%d"}]}`, i, i))
		if got := into[event.Mapping](t, m); got.ID != fmt.Sprintf("m%d", i) || len(got.Targets) != 2 || m.header.Get("ETag") == "" {
			t.Errorf("mapping: %s", m.body)
		}
	}
	for _, path := range []string{"/api/integrations", "/api/mappings"} {
		var ids []string
		query := "?limit=2"
		for pages := 1; ; pages++ {
			a := into[list[struct{ ID string }]](t, n.do(t, "GET", path+query, ""))
			for _, x := range a.Items {
				ids = append(ids, x.ID[1:])
			}
			if a.Next == "" {
				if pages != 3 {
					t.Errorf("%s: %d pages", path, pages)
				}
				break
			}
			query = "?limit=2&after=" + a.Next
		}
		if got := strings.Join(ids, ""); got != "01234" {
			t.Errorf("%s lists %s", path, got)
		}
		// A cursor stays good when what it names is gone.
		if a := into[list[struct{ ID string }]](t, n.do(t, "GET", path+"?limit=1&after="+path[5:6]+"11", "")); len(a.Items) != 1 || a.Items[0].ID[1:] != "2" {
			t.Errorf("%s after what is not there: %+v", path, a)
		}
	}
	if a := into[list[integration]](t, n.do(t, "GET", "/api/integrations?vendor=venuemaster", "")); len(a.Items) != 2 {
		t.Errorf("by vendor: %+v", a)
	}
	if a := into[list[integration]](t, n.do(t, "GET", "/api/integrations?category=photography-crm", "")); len(a.Items) != 3 {
		t.Errorf("by category: %+v", a)
	}
	m := n.do(t, "GET", "/api/mappings/m1", "")
	if a := n.do(t, "PUT", "/api/mappings/m1", m.body); a.status != 200 {
		t.Errorf("sent back: %d %s", a.status, a.body)
	}
	if a := n.do(t, "PUT", "/api/mappings/m1", m.body); a.status != 412 || a.code(t) != problem.PreconditionFailed {
		t.Errorf("an old revision: %d %s", a.status, a.body)
	}
	if a := n.do(t, "DELETE", "/api/mappings/m1", ""); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := n.do(t, "GET", "/api/mappings/m1", ""); a.code(t) != problem.MappingUnknown {
		t.Errorf("deleted, and %s", a.body)
	}
	vendors := into[list[adapter.Description]](t, n.do(t, "GET", "/api/vendors", ""))
	if len(vendors.Items) != len(adapter.Vendors()) || vendors.Items[0].Name == "" {
		t.Errorf("vendors: %+v", vendors)
	}
	kinds := into[list[problem.Kind]](t, n.do(t, "GET", "/api/problems", ""))
	if len(kinds.Items) != len(problem.Kinds()) || kinds.Items[0] != problem.Kinds()[0] {
		t.Errorf("problems: %+v", kinds.Items)
	}
}

func TestOfWhatIsClosed(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	n.registry.Close()
	if a := n.do(t, "PUT", "/api/integrations/crm", crm); a.status != 503 || a.code(t) != problem.ShuttingDown {
		t.Errorf("%d %s", a.status, a.body)
	}
	must(t, n.journal.Close(t.Context()))
	for _, c := range [][2]string{{"GET", "/api/status"}, {"GET", "/api/channels/a/history"}, {"GET", "/api/dead-letters"}, {"GET", "/api/dead-letters/1"}} {
		if a := n.do(t, c[0], c[1], ""); a.status != 503 || a.code(t) != problem.ShuttingDown {
			t.Errorf("%s: %d %s", c[1], a.status, a.body)
		}
	}
	if a := n.do(t, "POST", publishPath, `{"type":"a","payload":{}}`); a.code(t) != problem.ShuttingDown || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestSealedWithAnotherKey: what cannot be opened is said, and nothing of it.
func TestSealedWithAnotherKey(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *api.Config) { c.Controls = sealed{c.Controls} })
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	if a := n.do(t, "PUT", "/api/integrations/crm/secrets", `{"signing":"`+secretA+`"}`); a.status != 500 || a.code(t) != problem.SecretsUnreadable {
		t.Errorf("%d %s", a.status, a.body)
	}
}

type sealed struct{ api.Controls }

func (sealed) SetSecrets(context.Context, string, map[string]event.Secret) error {
	return fmt.Errorf("integration crm: %w", registry.ErrSeal)
}
