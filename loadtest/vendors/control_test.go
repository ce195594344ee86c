package vendors_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestControl(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartVenueMaster, vendors.Config{})
	asJSON := http.Header{"Content-Type": {"application/json"}}
	call := func(method, path, body string, want int) string {
		t.Helper()
		status, _, answer := do(t, method, v.URL()+"/_sim/"+path, asJSON, body)
		if status != want {
			t.Errorf("%s %s %s: answered %d %s, want %d", method, path, body, status, answer, want)
		}
		return strings.TrimSpace(answer)
	}
	call(http.MethodGet, "last", "", 404)
	do(t, http.MethodPost, v.URL()+"/webhooks/wedding", signedCall(t, v, "one", guests), guests)
	do(t, http.MethodPost, v.URL()+"/webhooks/wedding", signedCall(t, v, "two", guests), guests)
	var got []struct{ ID, Body, Vendor string }
	if err := json.Unmarshal([]byte(call(http.MethodGet, "received?limit=1", "", 200)), &got); err != nil || len(got) != 1 || got[0].ID != "two" || got[0].Body != guests {
		t.Errorf("received %+v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(call(http.MethodGet, "received", "", 200)), &got); err != nil || len(got) != 2 {
		t.Errorf("received %+v, %v", got, err)
	}
	if got := call(http.MethodGet, "last", "", 200); got != guests {
		t.Errorf("last %s", got)
	}
	call(http.MethodGet, "received?limit=none", "", 400)
	call(http.MethodGet, "received?limit=0", "", 400)
	if got := call(http.MethodGet, "counts", "", 200); got != `{"calls":2,"taken":2,"distinct":2,"repeats":0,"refused":0}` {
		t.Errorf("counts %s", got)
	}
	var settings struct {
		Integration event.Integration
		Secrets     map[string]string
	}
	if err := json.Unmarshal([]byte(call(http.MethodGet, "settings", "", 200)), &settings); err != nil || settings.Secrets["signing"] == "[secret]" || settings.Integration.ID != "sim-venuemaster" {
		t.Errorf("settings %+v, %v", settings, err)
	}
	if got := call(http.MethodPost, "faults", `{"status":503,"times":1,"retryAfter":"1500ms"}`, 200); got != `[{"status":503,"retryAfter":"1.5s","times":1}]` {
		t.Errorf("faults %s", got)
	}
	status, h, _ := do(t, http.MethodPost, v.URL()+"/webhooks/wedding", signedCall(t, v, "three", guests), guests)
	if status != 503 || h.Get("Retry-After") != "2" {
		t.Errorf("answered %d, %v", status, h)
	}
	if got := call(http.MethodGet, "faults", "", 200); got != `[]` {
		t.Errorf("faults %s", got)
	}
	call(http.MethodPost, "faults", `{"reset":true}`, 200)
	if got := call(http.MethodDelete, "faults", "", 200); got != `[]` {
		t.Errorf("faults %s", got)
	}
	call(http.MethodPost, "faults", `{"statuss":503}`, 400)
	call(http.MethodPost, "faults", `{`, 400)
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	defer to.Close()
	call(http.MethodPost, "webhook-faults", `{"duplicate":true}`, 200)
	call(http.MethodPost, "webhook-faults", `{"twice":true}`, 400)
	var sent []vendors.Sent
	if err := json.Unmarshal([]byte(call(http.MethodPost, "send", `{"to":"`+to.URL+`","type":"capacity.changed","data":{"venue_id":"v","capacity":1}}`, 200)), &sent); err != nil || len(sent) != 2 || sent[0].Status != 202 {
		t.Errorf("sent %+v, %v", sent, err)
	}
	call(http.MethodPost, "send", `{"to":"http://127.0.0.1:1","type":"x","data":{}}`, 400)
	call(http.MethodPost, "send", `{"from":"x"}`, 400)
	// A web page can post text without being asked; it must have no say here.
	asJSON = http.Header{"Content-Type": {"text/plain"}}
	call(http.MethodPost, "faults", `{"reset":true}`, 400)
}
