package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// key makes an API key by the API, and returns its text and id.
func (n *node) key(tb testing.TB, k access.Key, header ...string) (text, id string) {
	tb.Helper()
	body, err := json.Marshal(k)
	must(tb, err)
	made := into[struct {
		access.Key
		Text string `json:"key"`
	}](tb, n.do(tb, "POST", "/api/keys", string(body), header...))
	return made.Text, made.ID
}

// as is the header that shows a key.
func as(text string) []string { return []string{"Authorization", "Bearer " + text} }

func TestKeysAreManaged(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	made := n.do(t, "POST", "/api/keys", `{"name":"alice","scopes":["integrations:read","keys:read"],"channels":["a:*"],"expiresAt":"2099-01-01T00:00:00Z"}`)
	k := into[struct {
		access.Key
		Text string `json:"key"`
	}](t, made)
	if made.status != 201 || !strings.HasPrefix(k.Text, "wsk_"+k.ID+"_") || k.CreatedBy != "admin:tester" || k.CreatedAt.IsZero() || k.ExpiresAt.Year() != 2099 {
		t.Errorf("made: %d %s", made.status, made.body)
	}
	for _, path := range []string{"/api/keys", "/api/keys/" + k.ID} {
		a := n.do(t, "GET", path, "", as(k.Text)...)
		if a.status != 200 || !strings.Contains(a.body, `"name":"alice"`) || strings.Contains(a.body, k.Text) || strings.Contains(a.body, "hash") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := n.do(t, "PUT", "/api/integrations/crm", crm, as(k.Text)...); a.status != 403 || a.code(t) != problem.ScopeMissing ||
		!strings.Contains(a.problem(t).Detail, "integrations:write") || !strings.Contains(a.problem(t).Detail, "integrations:read, keys:read") {
		t.Errorf("without the scope: %d %s", a.status, a.body)
	}
	n.key(t, access.Key{Name: "bob", Scopes: []access.Scope{access.Admin}})
	one := into[list[access.Key]](t, n.do(t, "GET", "/api/keys?limit=1", ""))
	two := into[list[access.Key]](t, n.do(t, "GET", "/api/keys?limit=1&after="+one.Next, ""))
	if len(one.Items) != 1 || len(two.Items) != 1 || one.Items[0].ID >= two.Items[0].ID || two.Next != "" {
		t.Errorf("pages: %+v, %+v", one, two)
	}
	if a := n.do(t, "DELETE", "/api/keys/"+k.ID, ""); a.status != 204 {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	if a := n.do(t, "GET", "/api/integrations", "", as(k.Text)...); a.status != 401 || a.code(t) != problem.KeyInvalid {
		t.Errorf("revoked, and: %d %s", a.status, a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if a := n.do(t, method, "/api/keys/"+k.ID, ""); a.status != 404 || a.code(t) != problem.KeyUnknown {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
	audited := n.audited()
	if a := audited[1]; a.Actor != "key:alice/"+k.ID || a.Action != "access.refuse" || a.Target != "put-integration" || a.Outcome != problem.ScopeMissing || a.From != "127.0.0.1" {
		t.Errorf("the refusal is audited as %+v", a)
	}
	var log []string
	for _, a := range slices.Delete(audited, 1, 2) {
		log = append(log, a.Actor+" "+a.Action+" "+a.Target+" "+a.Outcome+" "+a.Detail)
		if strings.Contains(fmt.Sprint(a), k.Text) {
			t.Errorf("a key's text is audited: %+v", a)
		}
	}
	if len(log) != 4 || log[0] != "admin:tester key.create "+k.ID+" ok alice: integrations:read keys:read" ||
		log[2] != "admin:tester key.revoke "+k.ID+" ok alice" || !strings.HasSuffix(log[3], "key_unknown ") {
		t.Errorf("audited %q", log)
	}
	if strings.Contains(n.out.String(), k.Text) {
		t.Error("a key's text is logged")
	}
	if a := n.do(t, "GET", "/api/scopes", ""); len(into[list[struct{ Scope access.Scope }]](t, a).Items) != len(access.Scopes()) {
		t.Errorf("scopes: %s", a.body)
	}
}

func TestKeysRefused(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	weak, _ := n.key(t, access.Key{Name: "weak", Scopes: []access.Scope{access.KeysWrite}})
	for _, c := range []struct {
		body, code, says string
		status           int
		header           []string
	}{
		{`{"name":"a b","scopes":["audit:read"]}`, problem.KeySpecInvalid, "name", 422, nil},
		{`{"name":"a","scopes":["fly"]}`, problem.KeySpecInvalid, "fly", 422, nil},
		{`{"name":"a"}`, problem.FieldInvalid, "scopes", 422, nil},
		{`{"name":"a","scopes":["audit:read"],"hash":"x"}`, problem.FieldInvalid, "hash", 422, nil},
		{`{"name":"a","scopes":["audit:read"],"expiresAt":"1999-01-01T00:00:00Z"}`, problem.KeySpecInvalid, "1999", 422, nil},
		{`{"name":"a","scopes":["audit:read"]}`, problem.GrantExceeded, "audit:read", 403, as(weak)},
	} {
		a := n.do(t, "POST", "/api/keys", c.body, c.header...)
		if a.status != c.status || a.code(t) != c.code || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s", c.body, a.status, a.body)
		}
	}
	if got := into[list[access.Key]](t, n.do(t, "GET", "/api/keys", "")); len(got.Items) != 1 {
		t.Errorf("keys were made: %+v", got)
	}
	old, _ := n.key(t, access.Key{Name: "old", Scopes: []access.Scope{access.Admin}, ExpiresAt: time.Now().Add(time.Hour)})
	n.later.Store(int64(2 * time.Hour))
	for _, path := range []string{"/api/integrations", "/api/vendors"} {
		if a := n.do(t, "GET", path, "", as(old)...); a.status != 401 || a.code(t) != problem.KeyExpired || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s with an expired key: %d %s", path, a.status, a.body)
		}
	}
	if a := n.do(t, "POST", publishPath, `{"type":"a","payload":{}}`, as(old)...); a.code(t) != problem.KeyExpired {
		t.Errorf("published with an expired key: %d %s", a.status, a.body)
	}
	n.keys.Close()
	if a := n.do(t, "POST", "/api/keys", `{"name":"a","scopes":["audit:read"]}`); a.status != 503 || a.code(t) != problem.ShuttingDown {
		t.Errorf("made by what is closed: %d %s", a.status, a.body)
	}
}

// operation is one of the OpenAPI document.
type operation struct {
	id, method, path string
	scopes           []string // nil: free
}

// operations reads the document.
func (n *node) operations(tb testing.TB) []operation {
	tb.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    *[]map[string][]string
		}
	}
	must(tb, json.Unmarshal([]byte(n.do(tb, "GET", "/api/openapi.json", "").body), &doc))
	var all []operation
	for path, item := range doc.Paths {
		for method, op := range item {
			o := operation{id: op.OperationID, method: strings.ToUpper(method), path: path}
			switch {
			case op.Security == nil:
				tb.Errorf("%s does not say who may call it", o.id)
			case len(*op.Security) > 0:
				o.scopes = append([]string{}, (*op.Security)[0]["key"]...)
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}

// filled is the path with something in its places.
func (o operation) filled() string {
	return strings.NewReplacer("{name}", "a:b", "{id}", "x", "{seq}", "1", "{vendor}", "slack", "{integrationId}", "x").Replace(o.path)
}

// TestEveryOperationAsksForItsScope: what the document says is what is asked for, before anything else.
func TestEveryOperationAsksForItsScope(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	known := map[string]bool{}
	for _, k := range access.Scopes() {
		known[string(k.Scope)] = true
	}
	scopes := map[string]bool{}
	for _, o := range n.operations(t) {
		if o.scopes == nil {
			if a := n.do(t, o.method, o.filled(), "", "Authorization", ""); a.status == 401 || a.status == 403 {
				t.Errorf("%s is free, and answers %d %s", o.id, a.status, a.body)
			}
			continue
		}
		if a := n.do(t, o.method, o.filled(), "", "Authorization", ""); a.status != 401 || a.code(t) != problem.KeyMissing {
			t.Errorf("%s without a key: %d %s", o.id, a.status, a.body)
		}
		if len(o.scopes) == 0 {
			continue
		}
		var all []access.Scope
		for _, scope := range o.scopes {
			scopes[scope], all = true, append(all, access.Scope(scope))
			if !known[scope] {
				t.Errorf("%s needs %v", o.id, o.scopes)
				continue
			}
			var others []access.Scope
			for _, k := range access.Scopes() {
				if k.Scope != access.Admin && string(k.Scope) != scope {
					others = append(others, k.Scope)
				}
			}
			without, _ := n.key(t, access.Key{Name: "without", Scopes: others})
			if a := n.do(t, o.method, o.filled(), "{", as(without)...); a.status != 403 || a.code(t) != problem.ScopeMissing || !strings.Contains(a.problem(t).Detail, scope) {
				t.Errorf("%s without %s: %d %s", o.id, scope, a.status, a.body)
			}
		}
		with, _ := n.key(t, access.Key{Name: "with", Scopes: all})
		if a := n.do(t, o.method, o.filled(), "", as(with)...); a.status == 401 || a.status == 403 {
			t.Errorf("%s with %v: %d %s", o.id, o.scopes, a.status, a.body)
		}
	}
	for scope := range known {
		if !scopes[scope] && scope != string(access.Admin) {
			t.Errorf("no operation needs %s", scope)
		}
	}
}
