package api_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// owners does something and returns whose its records are, by action and target.
func (n *node) owners(t *testing.T, method, path, body string, header ...string) map[string]string {
	t.Helper()
	n.audited()
	a := n.do(t, method, path, body, header...)
	all := map[string]string{}
	for _, r := range n.audited() {
		all[r.Action+" "+r.Target] = r.Owner["supplierId"]
	}
	if len(all) == 0 {
		t.Errorf("%s %s left no record: %d %s", method, path, a.status, a.body)
	}
	return all
}

// TestAuditRecordsHaveAnOwner: what the administrator does to what is alpha's is alpha's to know, also when it is
// gone afterwards; what beta tries on it is not.
func TestAuditRecordsHaveAnOwner(t *testing.T) {
	t.Parallel()
	n, keys, dead, key := settled(t)
	whose := func(want, method, path, body string, header ...string) {
		t.Helper()
		for record, owner := range n.owners(t, method, path, body, header...) {
			if owner != want {
				t.Errorf("%s %s: the record of %s is %q's, want %q's", method, path, record, owner, want)
			}
		}
	}
	mapping := func(pattern, targets string) string {
		return fmt.Sprintf(`{"pattern":%q,"targets":[%s]}`, pattern, targets)
	}
	const own, others, everybodys = `{"integration":"alpha-crm"}`, `{"integration":"beta-crm"}`, `{"integration":"everybodys"}`
	beta, alpha := as(keys["beta"]), as(keys["alpha"])

	whose("beta", "POST", "/api/integrations/alpha-crm/pause", `{"reason":"x"}`, beta...)
	whose("beta", "DELETE", "/api/integrations/alpha-crm", "", beta...)
	whose("beta", "DELETE", "/api/mappings/alpha-map", "", beta...)
	whose("beta", "POST", fmt.Sprintf("/api/dead-letters/%d/replay", dead), "", beta...)
	whose("beta", "DELETE", "/api/keys/"+key, "", beta...)
	whose("alpha", "GET", "/api/status", "", alpha...) // which is refused

	whose("alpha", "POST", "/api/integrations/alpha-crm/pause", `{"reason":"x"}`)
	whose("alpha", "POST", "/api/integrations/alpha-crm/resume", "", alpha...)
	whose("alpha", "POST", "/api/integrations/alpha-crm/test", `{}`)
	whose("alpha", "POST", fmt.Sprintf("/api/dead-letters/%d/replay", dead), "")
	whose("alpha", "DELETE", fmt.Sprintf("/api/dead-letters/%d", dead), "")
	whose("", "DELETE", fmt.Sprintf("/api/dead-letters/%d", dead), "")
	whose("alpha", "DELETE", "/api/keys/"+key, "")
	whose("beta", "POST", "/api/keys", `{"name":"new","scopes":["audit:read"],"owner":{"supplierId":"beta"}}`)
	whose("", "PUT", "/api/integrations/everybodys", `{"vendor":"slack","settings":{"channel":"#beta"}}`)

	whose("alpha", "PUT", "/api/mappings/new", mapping("supplier:dashboard:alpha", own))
	whose("alpha", "DELETE", "/api/mappings/new", "")
	for _, notAlphas := range []string{
		mapping("supplier:dashboard:*", own), mapping("supplier:dashboard:alpha", own+","+others),
		mapping("supplier:dashboard:alpha", everybodys+","+own), mapping("supplier:dashboard:alpha", own+`,{"category":"slack-notifications"}`),
	} {
		whose("", "PUT", "/api/mappings/new", notAlphas)
		whose("", "DELETE", "/api/mappings/new", "")
	}

	if got := n.owners(t, "POST", "/api/dead-letters/replay", `{}`); !maps.Equal(got, map[string]string{"dead.replay_many alpha-crm": "alpha", "dead.replay_many beta-crm": "beta"}) {
		t.Errorf("a replay of all is recorded as %v", got)
	}
	if got := n.owners(t, "POST", "/api/dead-letters/replay", `{"reason":"none"}`); !maps.Equal(got, map[string]string{"dead.replay_many ": ""}) {
		t.Errorf("a replay of none is recorded as %v", got)
	}

	// What changes hands is whose it was.
	whose("alpha", "PUT", "/api/integrations/alpha-crm", strings.Replace(crm, `"42"`, `"beta"`, 1))
	whose("beta", "DELETE", "/api/integrations/alpha-crm", "")
	whose("alpha", "PUT", "/api/integrations/alpha-crm", strings.Replace(crm, `"42"`, `"alpha"`, 1))

	// All of an owner's variables are recorded.
	in := into[integration](t, n.do(t, "PUT", "/api/integrations/two", strings.Replace(crm, `"42"`, `"alpha","venueId":"v1"`, 1)))
	n.audited()
	n.do(t, "DELETE", "/api/integrations/two", "")
	if r := n.audited(); len(r) != 1 || !maps.Equal(r[0].Owner, in.Owner) || len(in.Owner) != 2 {
		t.Errorf("recorded %+v", r)
	}
}
