package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// crossing says how an operation is tried across two owners, alpha and beta, each of whom has a key.
// Whatever is alpha's has alpha in its name.
type crossing struct {
	path, body string // with %s for what is acted upon
	alpha      string // such a thing of alpha's
	nothing    string // and one that does not exist; "": the operation lists

	refused string // the code that every bound key is answered
	public  bool   // it tells nothing of owners
	lists   bool   // it acts on what it finds, and shows that
	own     int    // what alpha is answered; default 200
}

const putBody = `{"vendor":"studiocloud","settings":{"url":"https://crm.example.com/y"},"channel":"supplier:dashboard:{supplierId}"}`

// crossings has every operation of the document: one that is not here fails the test, so that nobody
// adds one without saying what it shows to whom.
func crossings(dead uint64, key string) map[string]crossing {
	item := func(path, body string) crossing {
		return crossing{path: "/api/integrations/%s" + path, body: body, alpha: "alpha-crm", nothing: "gamma-crm"}
	}
	mapping := crossing{path: "/api/mappings/%s", alpha: "alpha-map", nothing: "gamma-map"}
	put := mapping
	put.body = `{"pattern":"supplier:dashboard:alpha","targets":[{"integration":"alpha-crm"}]}`
	config := func(c crossing) crossing { c.path = "/api/integrations/channel-config/%s"; return c }
	letter := crossing{path: "/api/dead-letters/%s", alpha: fmt.Sprint(dead), nothing: "999"}
	replay := letter
	replay.path, replay.own = letter.path+"/replay", 202
	gone := func(c crossing) crossing { c.own = 204; return c }
	accepted := func(c crossing) crossing { c.own = 202; return c }
	hook := crossing{public: true}
	return map[string]crossing{
		"problems": {public: true}, "vendors": {public: true}, "list-scopes": {public: true},
		"receive-webhook": hook, "webhook-handshake": hook, "channel-event": hook, // signed by the integration's own secret

		"status":             {path: "/api/status", refused: problem.ScopeMissing},
		"master-key":         {path: "/api/master-key", refused: problem.ScopeMissing},
		"members":            {path: "/api/cluster/members", refused: problem.ScopeMissing},
		"remove-member":      {path: "/api/cluster/members/n2", refused: problem.ScopeMissing},
		"cluster-keys":       {path: "/api/cluster/keys", refused: problem.ScopeMissing},
		"add-cluster-key":    {path: "/api/cluster/keys", body: `{"key":"` + secretA + `"}`, refused: problem.ScopeMissing},
		"use-cluster-key":    {path: "/api/cluster/keys/0123456789/use", refused: problem.ScopeMissing},
		"remove-cluster-key": {path: "/api/cluster/keys/0123456789", refused: problem.ScopeMissing},
		"drain":              {path: "/api/cluster/drain", refused: problem.ScopeMissing},
		"backup-log":         {path: "/api/log/backup", refused: problem.ScopeMissing},
		"erase-wedding":      {path: "/api/weddings/c1/erase", body: `{}`, refused: problem.ScopeMissing},
		"slo":                {path: "/api/slo?by=integration"},
		"slo-series":         {path: "/api/slo/series?by=integration&key=%s", alpha: "alpha-crm", nothing: "gamma-crm"},
		"live":               {path: "/api/live?by=integration"},

		"publish": {
			path: "/api/channels/%s/publish", body: `{"type":"a.b","payload":{}}`,
			alpha: "supplier:dashboard:alpha", nothing: "supplier:dashboard:gamma", own: 202,
		},
		"recent-channels": {path: "/api/channels"},
		"presence":        {path: "/api/channels/%s/presence", alpha: "supplier:dashboard:alpha", nothing: "supplier:dashboard:gamma"},
		"history":         {path: "/api/channels/%s/history", alpha: "supplier:dashboard:alpha", nothing: "supplier:dashboard:gamma"},

		"list-integrations":     {path: "/api/integrations"},
		"create-integration":    {path: "/api/integrations", body: putBody, own: 201},
		"integrations-health":   {path: "/api/integrations/health"},
		"get-integration":       item("", ""),
		"put-integration":       item("", putBody),
		"set-secrets":           item("/secrets", `{"signing":"`+secretA+`"}`),
		"rotate-secret":         item("/secrets/webhook/rotate", ""),
		"retire-secrets":        item("/secrets/retire", ""),
		"pause-integration":     item("/pause", `{"reason":"x"}`),
		"resume-integration":    item("/resume", ""),
		"test-integration":      item("/test", `{}`),
		"reset-breaker":         item("/reset-breaker", ""),
		"reinstate-integration": item("/reinstate", ""),
		"integration-health":    item("/health", ""),
		"delete-integration":    gone(item("", "")),

		"list-mappings":  {path: "/api/mappings"},
		"create-mapping": {path: "/api/mappings", body: `{"pattern":"supplier:dashboard:alpha","targets":[{"integration":"alpha-crm"}]}`, own: 201},
		"get-mapping":    mapping,
		"put-mapping":    put,
		"delete-mapping": gone(mapping),

		"list-channel-configs":  {path: "/api/integrations/channel-config"},
		"create-channel-config": {path: "/api/integrations/channel-config", body: put.body, own: 201},
		"get-channel-config":    config(mapping),
		"put-channel-config":    config(put),
		"delete-channel-config": {path: "/api/integrations/channel-config/%s", alpha: "alpha-config", nothing: "gamma-map", own: 204},

		"sync-client-profiles":    accepted(item("/client-profiles/sync", `{"profiles":[{"clientId":"alpha","name":"A"}]}`)),
		"get-client-profile-sync": item("/client-profiles/sync/s1", ""),

		"preview-integration": item("/preview", `{"channel":"supplier:dashboard:alpha","type":"timeline.updated","payload":{"coupleId":"alpha"}}`),
		"preview-mapping":     {path: "/api/mappings/preview", body: `{"mapping":{"id":"trial","pattern":"supplier:dashboard:alpha","targets":[{"integration":"alpha-crm"}]}}`},

		"list-dead-letters":   {path: "/api/dead-letters"},
		"get-dead-letter":     letter,
		"replay-dead-letter":  replay,
		"discard-dead-letter": gone(letter),
		"replay-dead-letters": {path: "/api/dead-letters/replay", body: `{"dryRun":true}`, own: 202, lists: true},

		"find-deliveries": {path: "/api/deliveries"},
		"get-delivery":    {path: "/api/deliveries/%s", alpha: "dlv_alpha", nothing: "dlv_gamma"},
		"summary":         {path: "/api/summary"},
		"find-audit":      {path: "/api/audit"},

		"list-keys":  {path: "/api/keys"},
		"create-key": {path: "/api/keys", body: `{"name":"alpha2","scopes":["audit:read"],"owner":{"supplierId":"alpha"}}`, own: 201},
		"get-key":    {path: "/api/keys/%s", alpha: key, nothing: "gamma"},
		"revoke-key": gone(crossing{path: "/api/keys/%s", alpha: key, nothing: "gamma"}),
	}
}

// everyScope is what a key that is bound to an owner can have.
func everyScope() (all []access.Scope) {
	for _, k := range access.Scopes() {
		if !k.Unbound {
			all = append(all, k.Scope)
		}
	}
	return all
}

// settled is a node on which alpha and beta each have one of everything; it returns beside their keys
// alpha's dead letter and a second key of alpha's.
func settled(t *testing.T) (n *node, keys map[string]string, dead uint64, key string) {
	t.Helper()
	n, keys = start(t, nil), map[string]string{}
	for _, owner := range []string{"alpha", "beta"} {
		vars := map[string]string{"supplierId": owner}
		spec := access.Key{Name: owner, Scopes: everyScope(), Owner: vars, Channels: []string{"supplier:dashboard:{supplierId}"}}
		keys[owner], _ = n.key(t, spec)
		if _, id := n.key(t, spec); owner == "alpha" {
			key = id
		}
		into[integration](t, n.do(t, "PUT", "/api/integrations/"+owner+"-crm", strings.Replace(crm, `"42"`, `"`+owner+`"`, 1)))
		into[event.Mapping](t, n.do(t, "PUT", "/api/mappings/"+owner+"-map",
			fmt.Sprintf(`{"pattern":"supplier:dashboard:%s","targets":[{"integration":"%s-crm"}]}`, owner, owner)))
		into[event.Mapping](t, n.do(t, "PUT", "/api/integrations/channel-config/"+owner+"-config",
			fmt.Sprintf(`{"pattern":"supplier:dashboard:%s","targets":[{"integration":"%s-crm"}]}`, owner, owner)))
		n.do(t, "POST", "/api/channels/supplier:dashboard:"+owner+"/publish", `{"type":"a.b","payload":{}}`)
		n.engine.healths = append(n.engine.healths, event.Health{Integration: owner + "-crm", State: event.Healthy})
		for range 2 {
			must(t, n.journal.Bury(t.Context(), &event.DeadLetter{
				V: event.Version, DiedAt: time.Now(), Event: event.Event{V: event.Version, ID: owner, Payload: json.RawMessage(`{}`)},
				Delivery: event.Delivery{V: event.Version, ID: fmt.Sprint("dlv_", owner, dead), Integration: owner + "-crm", Body: json.RawMessage(`{}`)},
			}))
			dead++
		}
		n.numbers.summary = append(n.numbers.summary, analytics.IntegrationSummary{Integration: owner + "-crm"})
		n.numbers.rows = append(n.numbers.rows, analytics.SLORow{Key: owner + "-crm"})
		n.engine.book.Attempted("studiocloud", owner+"-crm", true)
		n.engine.book.Ended(&event.DeliveryRecord{Vendor: "studiocloud", Integration: owner + "-crm", Result: &event.Result{Outcome: event.Dead}})
	}
	into[integration](t, n.do(t, "PUT", "/api/integrations/everybodys", `{"vendor":"slack","settings":{"channel":"#alpha"}}`))
	into[event.Mapping](t, n.do(t, "PUT", "/api/mappings/everybodys", `{"pattern":"supplier:dashboard:beta","targets":[{"integration":"alpha-crm"},{"category":"slack-notifications"}]}`))
	n.numbers.attempts = []analytics.AttemptRow{{DeliveryID: "dlv_alpha", Integration: "alpha-crm"}}
	return n, keys, 1, key
}

// used is when a key was last used: beta's is.
var used = regexp.MustCompile(`,"lastUsedAt":"[^"]*"`)

// state is what is stored of alpha.
func (n *node) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, path := range []string{"integrations/alpha-crm", "mappings/alpha-map", "keys", "dead-letters?integration=alpha-crm", "channels/supplier:dashboard:alpha/history"} {
		b.WriteString(used.ReplaceAllString(n.do(t, "GET", "/api/"+path, "").body, ""))
	}
	fmt.Fprint(&b, n.engine.told, len(n.registry.Integrations()), len(n.registry.Mappings()))
	return b.String()
}

// said is an answer without what differs between any two requests.
func said(t *testing.T, a answer, thing string) string {
	t.Helper()
	if a.header.Get("Content-Type") == problem.ContentType {
		p := a.problem(t)
		p.RequestID, p.Instance = "", ""
		text, err := json.Marshal(p)
		must(t, err)
		a.body = string(text)
	}
	return fmt.Sprint(a.status, strings.ReplaceAll(a.body, thing, "IT"))
}

// TestOwnersDoNotSeeEachOther walks every operation of the document: to beta, what is alpha's is as
// what does not exist, and to alpha it is there.
func TestOwnersDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	n, keys, dead, key := settled(t)
	all, ops := crossings(dead, key), n.operations(t)
	before := n.state(t)
	for _, o := range ops {
		c, known := all[o.id]
		switch {
		case !known:
			t.Errorf("%s %s (%s): this test does not know the operation: say in crossings what it shows to whom", o.method, o.path, o.id)
		case c.public:
		case c.refused != "":
			if a := n.do(t, o.method, c.path, c.body, as(keys["beta"])...); a.status != 403 || a.code(t) != c.refused {
				t.Errorf("%s: beta is answered %d %s", o.id, a.status, a.body)
			}
		case c.nothing != "":
			beta := n.do(t, o.method, fmt.Sprintf(c.path, c.alpha), c.body, as(keys["beta"])...)
			none := n.do(t, o.method, fmt.Sprintf(c.path, c.nothing), c.body, as(keys["beta"])...)
			if got, want := said(t, beta, c.alpha), said(t, none, c.nothing); got != want || beta.status/100 == 2 {
				t.Errorf("%s: of alpha's, beta is answered %s\nof what does not exist  %s", o.id, got, want)
			}
		case o.method == "GET" || c.lists:
			beta := n.do(t, o.method, c.path, c.body, as(keys["beta"])...)
			if strings.Contains(beta.body, "alpha") || strings.Contains(beta.body, "everybody") || beta.status != max(c.own, 200) {
				t.Errorf("%s: beta is shown %d %s", o.id, beta.status, beta.body)
			}
		default: // it makes something
			if a := n.do(t, o.method, c.path, strings.ReplaceAll(c.body, "supplierId}", "supplierId}:alpha"), as(keys["beta"])...); a.status/100 == 2 || a.status == 404 {
				t.Errorf("%s: beta makes something of alpha's: %d %s", o.id, a.status, a.body)
			}
		}
		delete(all, o.id)
	}
	for id := range all {
		t.Errorf("there is no operation %s any more", id)
	}
	if after := n.state(t); after != before {
		t.Errorf("beta has changed what is alpha's, from\n%s\nto\n%s", before, after)
	}
	// Alpha can do all of it; what ends something comes last.
	all = crossings(dead, key)
	slices.SortStableFunc(ops, func(a, b operation) int { return ending(all[a.id]) - ending(all[b.id]) })
	for _, o := range ops {
		c := all[o.id]
		if c.public || c.refused != "" {
			continue
		}
		path := c.path
		if c.nothing != "" {
			path = fmt.Sprintf(path, c.alpha)
		}
		if a := n.do(t, o.method, path, c.body, as(keys["alpha"])...); a.status != max(c.own, 200) || o.method == "GET" && !strings.Contains(a.body, "alpha") && o.id != "find-audit" && o.id != "find-deliveries" {
			t.Errorf("%s: alpha is answered %d %s", o.id, a.status, a.body)
		}
	}
}

// ending orders what removes things: letters and mappings before the integration that they are of.
func ending(c crossing) int {
	switch {
	case c.own != 204:
		return 0
	case strings.Contains(c.path, "integrations"):
		return 2
	}
	return 1
}

func TestOwnersAskAnalyticsForTheirOwn(t *testing.T) {
	t.Parallel()
	n, keys, _, _ := settled(t)
	n.do(t, "GET", "/api/audit?actor=admin:x&action=a&target=t&outcome=ok&since=1h&until=2030-01-01T00:00:00Z&after=5.0.6.e&limit=7", "", as(keys["beta"])...)
	q := n.numbers.audit
	if !maps.Equal(q.Owner, map[string]string{"supplierId": "beta"}) {
		t.Errorf("of beta's: %+v", q.Owner)
	}
	if q.Actor != "admin:x" || q.Action != "a" || q.Target != "t" || q.Outcome != "ok" || q.Limit != 7 || q.After.Seq != 6 || q.Until.Year() != 2030 || time.Since(q.Since) < time.Hour {
		t.Errorf("asked %+v", q)
	}
	n.do(t, "GET", "/api/deliveries?channel=c&integration=i&eventId=e&weddingId=w&outcome=dead", "", as(keys["beta"])...)
	if d := n.numbers.deliveries; !slices.Equal(d.Among, []string{"beta-crm"}) || d.Channel != "c" || d.Integration != "i" ||
		d.EventID != "e" || d.WeddingID != "w" || d.Outcome != event.Dead || d.Limit != 100 {
		t.Errorf("asked %+v", d)
	}
	a := n.do(t, "GET", "/api/audit", "")
	if n.numbers.audit.Owner != nil || !strings.Contains(a.body, `"next":"5.0.6.e"`) {
		t.Errorf("the administrator asks %+v and is answered %s", n.numbers.audit, a.body)
	}
	if a := n.do(t, "GET", "/api/slo?by=vendor", "", as(keys["beta"])...); a.status != 403 || a.code(t) != problem.OwnerBound {
		t.Errorf("slo by vendor: %d %s", a.status, a.body)
	}
	if a := n.do(t, "GET", "/api/live?by=vendor", "", as(keys["beta"])...); a.status != 403 || a.code(t) != problem.OwnerBound {
		t.Errorf("live by vendor: %d %s", a.status, a.body)
	}
	n.numbers.ends = []analytics.DeliveryRow{{Integration: "beta-crm"}}
	n.numbers.receipts = []analytics.ReceiptRow{{DeliveryID: "dlv_1", Status: event.ReceiptRead, At: time.UnixMilli(0).UTC()}}
	if a := n.do(t, "GET", "/api/deliveries/dlv_beta", "", as(keys["beta"])...); !strings.Contains(a.body, `"receipts":[{"deliveryId":"dlv_1","integration":"","vendor":"","status":"read","at":"1970-01-01T00:00:00Z"}]`) {
		t.Errorf("receipts: %d %s", a.status, a.body)
	}
	for _, path := range []string{"audit?after=x", "audit?since=noon", "audit?until=noon", "deliveries?after=x", "deliveries?outcome=lost"} {
		if a := n.do(t, "GET", "/api/"+path, ""); a.status != 422 || a.code(t) != problem.FieldInvalid {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	n.numbers.err = errors.New("clickhouse://user:hunter2@host")
	for _, path := range []string{"audit", "deliveries", "deliveries/dlv_1"} {
		if a := n.do(t, "GET", "/api/"+path, ""); a.status != 502 || a.code(t) != problem.AnalyticsFailed || strings.Contains(a.body, "hunter2") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	n.numbers.missing = true
	if a := n.do(t, "GET", "/api/slo?by=integration", "", as(keys["beta"])...); !strings.Contains(a.body, `"source":"live"`) || !strings.Contains(a.body, `"key":"beta-crm"`) || strings.Contains(a.body, "alpha") {
		t.Errorf("beta's live numbers: %d %s", a.status, a.body)
	}
	for _, path := range []string{"audit", "deliveries", "deliveries/dlv_1"} {
		if a := n.do(t, "GET", "/api/"+path, ""); a.status != 503 || a.code(t) != problem.AnalyticsMissing {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestWhatBoundKeysMake(t *testing.T) {
	t.Parallel()
	n, keys, _, _ := settled(t)
	beta := as(keys["beta"])
	made := into[integration](t, n.do(t, "POST", "/api/integrations", putBody, beta...))
	if !strings.HasPrefix(made.ID, "int_") || made.Owner["supplierId"] != "beta" {
		t.Errorf("made %+v", made)
	}
	m := into[event.Mapping](t, n.do(t, "POST", "/api/mappings", `{"pattern":"supplier:dashboard:beta","targets":[{"integration":"`+made.ID+`"}]}`, beta...))
	if !strings.HasPrefix(m.ID, "map_") {
		t.Errorf("made %+v", m)
	}
	if a := n.do(t, "GET", "/api/dead-letters?limit=1", "", beta...); !strings.Contains(a.body, `"next":3`) || !strings.Contains(a.body, "beta") {
		t.Errorf("the first dead letter: %s", a.body)
	}
	if a := n.do(t, "GET", "/api/dead-letters?integration=alpha-crm", "", beta...); strings.TrimSpace(a.body) != `{"items":[]}` {
		t.Errorf("dead letters of alpha's: %s", a.body)
	}
	for _, c := range []struct{ method, path, body, code, says string }{
		{"PUT", "/api/integrations/" + made.ID, `{"vendor":"studiocloud","owner":{"supplierId":"alpha"}}`, problem.IntegrationInvalid, "supplierId=beta"},
		{"PUT", "/api/integrations/" + made.ID, `{"vendor":"studiocloud","channel":"supplier:dashboard:alpha"}`, problem.IntegrationInvalid, "channel"},
		{"PUT", "/api/integrations/" + made.ID, `{"vendor":"studiocloud","channel":"supplier:dashboard:{coupleId}"}`, problem.IntegrationInvalid, "channel"},
		{"POST", "/api/integrations", `{"vendor":"studiocloud","id":"mine"}`, problem.FieldInvalid, "id"},
		{"PUT", "/api/mappings/" + m.ID, `{"pattern":"supplier:dashboard:*","targets":[{"integration":"beta-crm"}]}`, problem.MappingInvalid, "pattern"},
		{"PUT", "/api/mappings/" + m.ID, `{"pattern":"supplier:dashboard:{supplierId}","targets":[{"integration":"beta-crm"}]}`, problem.MappingInvalid, "pattern"},
		{"PUT", "/api/mappings/" + m.ID, `{"pattern":"supplier:dashboard:beta","targets":[{"category":"photography-crm"}]}`, problem.MappingInvalid, "categories"},
		{"PUT", "/api/mappings/" + m.ID, `{"pattern":"supplier:dashboard:beta","targets":[{"integration":"alpha-crm"}]}`, problem.MappingInvalid, "no integration"},
		{"PUT", "/api/mappings/" + m.ID, `{"pattern":"supplier:dashboard:beta","targets":[{"integration":"gamma-crm"}]}`, problem.MappingInvalid, "no integration"},
		{"POST", "/api/mappings", `{"id":"x","pattern":"supplier:dashboard:beta","targets":[{"integration":"beta-crm"}]}`, problem.FieldInvalid, "id"},
		{"GET", "/api/mappings/everybodys", "", problem.MappingUnknown, "everybodys"},
	} {
		if a := n.do(t, c.method, c.path, c.body, beta...); a.code(t) != c.code || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
	// Somebody else's mapping is neither replaced in a preview nor named by it.
	a := n.do(t, "POST", "/api/mappings/preview", `{"mapping":{"id":"everybodys","pattern":"supplier:dashboard:beta","targets":[{"integration":"beta-crm"}]}}`, beta...)
	if told := n.engine.told[len(n.engine.told)-1]; a.status != 200 || !strings.HasPrefix(told, "compare map_") || strings.Count(a.body, "everybodys") != 1 {
		t.Errorf("previewed as %s: %d %s", told, a.status, a.body)
	}
	// A key without an owner, but with channels, is held to these.
	some, _ := n.key(t, access.Key{Name: "some", Scopes: []access.Scope{access.ChannelsPublish, access.ChannelsRead, access.MappingsWrite}, Channels: []string{"a:*"}})
	for path, code := range map[string]string{"/api/channels/a:b/publish": "", "/api/channels/b/publish": problem.ChannelOutOfReach} {
		a := n.do(t, "POST", path, `{"type":"a","payload":{}}`, as(some)...)
		if code == "" && a.status != 202 || code != "" && a.code(t) != code {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := n.do(t, "PUT", "/api/mappings/new", `{"pattern":"**","targets":[{"category":"venue-management"}]}`, as(some)...); a.code(t) != problem.MappingInvalid {
		t.Errorf("a mapping of all channels: %d %s", a.status, a.body)
	}
	if a := n.do(t, "PUT", "/api/mappings/alpha-map", `{"pattern":"a:b","targets":[{"category":"venue-management"}]}`, as(some)...); a.code(t) != problem.MappingUnknown {
		t.Errorf("a mapping that it does not reach: %d %s", a.status, a.body)
	}
	if a := n.do(t, "PUT", "/api/mappings/new", `{"pattern":"a:b","targets":[{"category":"venue-management"}]}`, as(some)...); a.status != 200 {
		t.Errorf("a mapping that it reaches: %d %s", a.status, a.body)
	}
}
