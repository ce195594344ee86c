package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/adapter"
)

func TestSeasons(t *testing.T) {
	t.Parallel()
	s, err := readSeason([]byte(`
integrations:
  - id: alices-crm
    vendor: studiocloud
    owner: {supplierId: 42}
    settings: {url: https://crm.example.com/hooks, deep: {list: [1, a]}}
    secrets: {signing: whsec_x, pin: 1234}
    limits: {perSecond: 2.5, timeout: 10s}
mappings:
  - id: timelines
    pattern: supplier:dashboard:{supplierId}
    types: [timeline.updated]
    targets: [{category: photography-crm}, {integration: alices-crm}]
    when: true
    fields: {seats: 2}
`))
	if err != nil {
		t.Fatal(err)
	}
	in := s.Integrations[0]
	if in.Owner["supplierId"] != "42" || in.Secrets["pin"] != "1234" || in.Limits.PerSecond != 2.5 || !json.Valid(in.Settings) {
		t.Errorf("read %+v", in)
	}
	if m := s.Mappings[0]; m.Pattern != "supplier:dashboard:{supplierId}" || len(m.Targets) != 2 || m.When != "true" || m.Fields["seats"] != "2" {
		t.Errorf("read %+v", m)
	}
	for text, want := range map[string]string{
		"a: [":                      "yaml",
		"things: []":                `unknown field "things"`,
		"mappings: []":              "neither integrations nor mappings",
		"mappings: [{}]":            "mapping: id",
		"integrations: [{id: a b}]": "integrations[0]: id",
		"integrations: [{id: a, sekrets: {a: b}}]":                                                                           `unknown field "sekrets"`,
		"integrations: [{id: a, owner: {x: [1]}}]":                                                                           "owner",
		"mappings: [{id: a, pattern: 'b', targets: [{category: nope}]}]":                                                     `"nope" is no category`,
		"mappings: [{id: a, pattern: 'b', targets: [{integration: c}], when: '1 +'}]":                                        "when: line 1, column 3",
		"mappings: [{id: a, pattern: 'b', targets: [{integration: c}]}, {id: a, pattern: 'b', targets: [{integration: c}]}]": "mappings[1]: a is there twice",
		"integrations: [{id: a, vendor: slack}, {id: a, vendor: slack}]":                                                     "integrations[1]: a is there twice",
	} {
		if _, err := readSeason([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestVendorsAreDescribed(t *testing.T) {
	t.Parallel()
	out := wedsync(t, "integrations", "vendors").out
	var all []adapter.Description
	if err := json.Unmarshal([]byte(wedsync(t, "integrations", "vendors", "--json").out), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(adapter.Vendors()) {
		t.Errorf("%d vendors, want %d", len(all), len(adapter.Vendors()))
	}
	for _, d := range all {
		if !strings.Contains(out, "\n"+d.Vendor+" ") {
			t.Errorf("%s is not listed", d.Vendor)
		}
		text := wedsync(t, "integrations", "vendors", d.Vendor).out
		for _, f := range d.Settings {
			if !strings.Contains(text, "\nsettings."+f.Name+" ") {
				t.Errorf("%s does not tell of settings.%s", d.Vendor, f.Name)
			}
		}
		for _, f := range d.Secrets {
			if !strings.Contains(text, "\nsecrets."+f.Name+" ") {
				t.Errorf("%s does not tell of secrets.%s", d.Vendor, f.Name)
			}
		}
		var one adapter.Description
		if err := json.Unmarshal([]byte(wedsync(t, "integrations", "vendors", d.Vendor, "--json").out), &one); err != nil || one.Vendor != d.Vendor {
			t.Errorf("%s by itself: %+v, %v", d.Vendor, one, err)
		}
	}
	if line := regexp.MustCompile(`\nwebhook +Signed webhook +yours +all +all *\n`); !line.MatchString(out) {
		t.Errorf("a vendor that can be anything is not listed as such:\n%s", out)
	}
}

func TestPagesAreFollowed(t *testing.T) {
	t.Parallel()
	node := newStandIn(t, map[string]answer{
		"GET /api/integrations":         {200, `{"items":[{"id":"a","vendor":"slack","disabled":true},{"id":"b","vendor":"slack","problems":[{"field":"settings.url","reason":"is missing"}]}],"next":"b"}`},
		"GET /api/integrations?after=b": {200, `{"items":[{"id":"c","vendor":"email","owner":{"supplierId":"42","coupleId":"c1"}}]}`},
	})
	got := wedsync(t, "integrations", "--addr", node.URL)
	for _, want := range []string{"\na   slack", "disabled", "incomplete: settings.url: is missing", "coupleId=c1 supplierId=42"} {
		if got.code != exitOK || !strings.Contains(got.out, want) {
			t.Errorf("without %q: %+v", want, got)
		}
	}
}
