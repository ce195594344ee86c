package api_test

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/problem"
)

const whatsAppIntegration = `{"vendor":"whatsapp","settings":{"phone_number_id":"106540352242922","to":"+33612345678"}}`

// A channel's notifications are a mapping: put by one name, shown by both.
func TestChannelConfigIsTheMapping(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/wa", whatsAppIntegration))
	const rules = `{"pattern":"couple:*","targets":[{"integration":"wa","types":["a.b"],"recipients":["+33612345678"],
		"quietHours":{"from":"22:00","to":"07:00","timeZone":"Europe/Paris"},"critical":["a.c"]}]}`
	put := n.do(t, "PUT", "/api/integrations/channel-config/night", rules)
	m := into[event.Mapping](t, put)
	if to := m.Targets[0]; m.ID != "night" || to.Recipients[0] != "+33612345678" || to.QuietHours.TimeZone != "Europe/Paris" || to.Critical[0] != "a.c" || to.Types[0] != "a.b" {
		t.Errorf("put %+v", m)
	}
	for _, path := range []string{"/api/mappings/night", "/api/integrations/channel-config/night"} {
		if a := n.do(t, "GET", path, ""); a.body != put.body || a.header.Get("ETag") != put.header.Get("ETag") {
			t.Errorf("%s: %s, want %s", path, a.body, put.body)
		}
	}
	if a := n.do(t, "GET", "/api/integrations/channel-config", ""); !strings.Contains(a.body, `"quietHours"`) {
		t.Errorf("listed: %s", a.body)
	}
	if a := n.do(t, "GET", "/api/integrations/wa/health", ""); a.status != 404 || a.code(t) != problem.IntegrationUnknown {
		t.Errorf("an integration's health, of which this engine knows nothing: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/api/integrations/wa/nothing", "/api/integrations/channel-config/a/b"} {
		if a := n.do(t, "GET", path, ""); a.status != 404 || a.code(t) != problem.NotFound {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := n.do(t, "DELETE", "/api/integrations/channel-config/night", ""); a.status != 204 {
		t.Errorf("deleted: %d %s", a.status, a.body)
	}
	if a := n.do(t, "GET", "/api/mappings/night", ""); a.code(t) != problem.MappingUnknown {
		t.Errorf("deleted, it is shown: %s", a.body)
	}
}

// What is wrong with a rule is told by the field's name.
func TestRulesAreRefusedByField(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/wa", whatsAppIntegration))
	for rules, field := range map[string]string{
		`"recipients":["0612345678"]`: "targets[0].recipients[0]",
		`"types":["other"]`:           "targets[0].types[0]",
		`"critical":["a.b"]`:          "targets[0].critical",
		`"quietHours":{"from":"22:00","to":"07:00","timeZone":"Paris"}`: "targets[0].quietHours.timeZone",
		`"quietHours":{"from":"22","to":"07:00","timeZone":"UTC"}`:      "targets[0].quietHours.from",
	} {
		a := n.do(t, "PUT", "/api/integrations/channel-config/m", `{"pattern":"a:b","types":["a.b"],"targets":[{"integration":"wa",`+rules+`}]}`)
		p := a.problem(t)
		if p.Code != problem.MappingInvalid || len(p.Errors) != 1 || p.Errors[0].Field != field || !strings.Contains(p.Detail, field) {
			t.Errorf("%s: %s", rules, a.body)
		}
	}
	if a := n.do(t, "GET", "/api/mappings/m", ""); a.code(t) != problem.MappingUnknown {
		t.Errorf("a refused mapping was stored: %s", a.body)
	}
}
