package api_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

const syncPath = "/api/integrations/crm/client-profiles/sync"

func TestSyncClientProfiles(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	n.audited()
	a := n.do(t, "POST", syncPath, `{"syncId":"s1","profiles":[
		{"clientId":"c1","name":"Amélie & <b>Jonas</b>","email":"a+b@example.com","phone":"+33 6","weddingDate":"2027-06-12","venue":"Old\u0000 Mill","notes":"a\u202eb"},
		{"clientId":"c2","name":"Bo"}]}`)
	if s := into[event.ProfileSync](t, a); a.status != 202 || s.SyncID != "s1" || s.Total != 2 || s.Pending != 2 || s.Results[1].ClientID != "c2" {
		t.Errorf("%d %s", a.status, a.body)
	}
	want := event.Profile{ClientID: "c1", Name: "Amélie & Jonas", Email: "a+b@example.com", Phone: "+33 6", WeddingDate: "2027-06-12", Venue: "Old Mill", Notes: "ab"}
	if got := n.engine.profiles; len(got) != 2 || got[0] != want || got[1] != (event.Profile{ClientID: "c2", Name: "Bo"}) {
		t.Errorf("the engine is given %+v", got)
	}
	if got := n.audited(); len(got) != 1 || got[0].Action != "integration.sync_profiles" || got[0].Target != "crm" || got[0].Detail != "s1: 2 profiles" || got[0].Outcome != "ok" {
		t.Errorf("audited %+v", got)
	}
	if s := into[event.ProfileSync](t, n.do(t, "POST", syncPath, `{"profiles":[{"clientId":"c2","name":"Bo"}]}`)); s.SyncID != "sync_made" {
		t.Errorf("without an id: %+v", s)
	}
	if got := n.audited(); len(got) != 1 || got[0].Detail != "sync_made: 1 profiles" {
		t.Errorf("audited %+v", got)
	}
	if a := n.do(t, "GET", syncPath+"/s1", ""); strings.TrimSpace(a.body) != `{"syncId":"s1","total":1,"pending":0,"created":0,"updated":0,"unchanged":0,"failed":1,"results":[{"clientId":"alpha","outcome":"failed","reason":"http_422"}]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, id := range []string{"none", "a.b"} {
		if a := n.do(t, "GET", syncPath+"/"+id, ""); a.status != 404 || a.code(t) != problem.SyncUnknown {
			t.Errorf("%s: %d %s", id, a.status, a.body)
		}
	}
	// Whoever may manage integrations may not for that reason send clients' data out.
	key, _ := n.key(t, access.Key{Name: "manager", Scopes: []access.Scope{access.IntegrationsWrite, access.IntegrationsRead}})
	if a := n.do(t, "POST", syncPath, `{"profiles":[{"clientId":"c2","name":"Bo"}]}`, as(key)...); a.status != 403 || a.code(t) != problem.ScopeMissing {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestSyncClientProfilesIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	into[integration](t, n.do(t, "PUT", "/api/integrations/crm", crm))
	for text, want := range map[string]string{
		`{"profiles":[]}`:   "body.profiles",
		`{"profiles":[{}]}`: "body.profiles[0]",
		`{"profiles":[{"clientId":"c1","name":"B","age":7}]}`:                                                     "body.profiles[0].age",
		`{"profiles":[{"clientId":"c1","name":"B"},{"clientId":"c 2","name":"B"}]}`:                               "profiles[1].clientId",
		`{"profiles":[{"clientId":"c1","name":"B","email":"me"}]}`:                                                "profiles[0].email",
		`{"profiles":[` + strings.Repeat(`{"clientId":"c1","name":"B"},`, 500) + `{"clientId":"c1","name":"B"}]}`: "body.profiles",
	} {
		a := n.do(t, "POST", syncPath, text)
		p := a.problem(t)
		named := false
		for _, f := range p.Errors {
			named = named || f.Field == want
		}
		if p.Status != 422 || p.Code != problem.FieldInvalid || !named {
			t.Errorf("%.80s: %s", text, a.body)
		}
	}
	if len(n.engine.profiles) != 0 {
		t.Errorf("the engine is given %+v", n.engine.profiles)
	}
	one := `{"syncId":"s1","profiles":[{"clientId":"c1","name":"B"}]}`
	if a := n.do(t, "POST", strings.Replace(syncPath, "crm", "none", 1), one); a.code(t) != problem.IntegrationUnknown {
		t.Errorf("%d %s", a.status, a.body)
	}
	for code, err := range map[string]error{
		problem.NoProfiles:          fmt.Errorf("%w: slack", actors.ErrNoProfiles),
		problem.IntegrationDisabled: actors.ErrPassedOver,
		problem.SyncReused:          actors.ErrSyncReused,
		problem.IntegrationBroken:   &adapter.SettingsError{Vendor: "studiocloud", Problems: []adapter.Problem{{Field: "secrets.signing", Reason: "is required"}}},
		problem.FieldInvalid:        &event.FieldError{Field: "syncId", Reason: "is odd"},
		problem.LogFull:             journal.ErrFull,
		problem.Internal:            errors.New("x"),
	} {
		n.engine.fail(err)
		a := n.do(t, "POST", syncPath, one)
		if p := a.problem(t); p.Code != code || (code == problem.IntegrationBroken || code == problem.FieldInvalid) && len(p.Errors) != 1 {
			t.Errorf("%v: %s", err, a.body)
		}
	}
}
