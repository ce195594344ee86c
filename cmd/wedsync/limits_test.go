package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/edge/problem"
)

// counted sums a metric of a node over its series that have a label of that value.
func counted(t *testing.T, url, metric, label string) (sum float64) {
	t.Helper()
	_, text := get(t, url+"/metrics")
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, metric+"{") && strings.Contains(name, `="`+label+`"`) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sum += n
		}
	}
	return sum
}

// What goes beyond a limit of a node is refused by the limit's own code, and counted. Tests of the packages do the
// same for what needs more of a scene: payloads in edge/ingest (TestPayloadsRefused, TestPace), webhooks in
// edge/webhook (TestBudget, TestTooManyMessages), clients in edge/ws (TestTooManyClients,
// TestSubscribeRefusals, TestMessageTooLarge, TestSlowClient, TestPublishRate), connections and headers in edge
// (TestTooManyConnections, TestHeadersAreBounded), deliveries in actors (limited), expressions in actors/registry
// (TestExpressionsAreBounded), the log in loadtest/e2e (TestEventLogFull).
func TestLimitsAreMet(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.HTTP.PublishRate = 1
	n := startNode(t, c)
	waitReady(t, n.URL())
	const publish = "POST /api/channels/a:b/publish"
	event := func(payload string) string { return `{"type":"a.b","payload":` + payload + `}` }
	wide := func(keys int) string {
		var b strings.Builder
		for i := range keys {
			fmt.Fprintf(&b, `"k%d":1,`, i)
		}
		return event("{" + b.String()[:b.Len()-1] + "}")
	}
	long := strings.Repeat("x", 64<<10)
	many := strings.Repeat(`"a:b",`, 32) + `"a:b"`
	_, made := n.tell(t, "POST /api/keys", `{"name":"website","scopes":["channels:publish"]}`, nil)
	var key struct {
		Text string `json:"key"`
	}
	if err := json.Unmarshal([]byte(made), &key); err != nil || key.Text == "" {
		t.Fatalf("no key was made: %s", made)
	}
	website := http.Header{"Authorization": {"Bearer " + key.Text}}
	taken := uint64(0) // on a slow machine, a second may pass between two
	for {
		status, answer := n.tell(t, publish, event("{}"), website)
		if status == http.StatusAccepted {
			taken++
			continue
		}
		if status != http.StatusTooManyRequests || !strings.Contains(answer, `"code":"`+problem.PublishLimited+`"`) || taken == 0 {
			t.Fatalf("after %d: %d %s", taken, status, answer)
		}
		break
	}
	const problems, ingested, webhooks = "wedsync_http_problems_total", "wedsync_ingest_events_total", "wedsync_webhooks_total"
	for _, tt := range []struct {
		name, request, body string
		header              http.Header
		code, metric        string
	}{
		{"body", "POST /api/mappings", strings.Repeat(" ", 1<<20+1), nil, problem.BodyTooLarge, problems},
		{"body of an event", publish, strings.Repeat(" ", 260<<10+1), nil, problem.BodyTooLarge, problems},
		{"body of a webhook", "POST /api/webhooks/venuemaster/v", strings.Repeat(" ", 3<<20+1), nil, problem.BodyTooLarge, webhooks},
		{"payload", publish, event(`{"a":"` + long[:60<<10] + `","b":"` + long[:60<<10] + `","c":"` + long[:60<<10] + `","d":"` + long[:60<<10] + `","e":"` + long[:18<<10] + `"}`), nil, problem.PayloadTooLarge, ingested},
		{"depth", publish, event(strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17)), nil, problem.PayloadTooDeep, problems},
		{"keys", publish, wide(1001), nil, problem.PayloadTooWide, ingested},
		{"keys of the body too", publish, wide(1017), nil, problem.PayloadTooWide, problems},
		{"elements", publish, event(`{"a":[` + strings.Repeat("1,", 10_000) + "1]}"), nil, problem.TooManyElements, problems},
		{"a key", publish, event(`{"` + long[:257] + `":1}`), nil, problem.KeyTooLong, problems},
		{"a text", publish, event(`{"a":"` + long + `x"}`), nil, problem.StringTooLong, problems},
		{"a number", publish, event(`{"a":` + strings.Repeat("1", 129) + `}`), nil, problem.NumberTooLong, problems},
		{"a channel's name", "POST /api/channels/" + long[:65] + "/publish", event("{}"), nil, problem.ChannelInvalid, ingested},
		{"a type", publish, `{"type":"a` + long[:64] + `","payload":{}}`, nil, problem.TypeInvalid, ingested},
		{"an id", publish, `{"type":"a","payload":{},"id":"` + long[:129] + `"}`, nil, problem.IDInvalid, ingested},
		{"page", "GET /api/integrations?limit=1001", "", nil, problem.FieldInvalid, problems},
		{"history", "GET /api/channels/a:b/history?limit=1001", "", nil, problem.FieldInvalid, problems},
		{"bulk replay", "POST /api/dead-letters/replay", `{"limit":1001}`, nil, problem.FieldInvalid, problems},
		{"idempotency key", publish, event("{}"), http.Header{"Idempotency-Key": {long[:256]}}, problem.FieldInvalid, problems},
		{"a key's name", "POST /api/keys", `{"name":"` + long[:65] + `","scopes":["channels:read"]}`, nil, problem.KeySpecInvalid, problems},
		{"a key's channels", "POST /api/keys", `{"name":"a","scopes":["channels:read"],"channels":[` + many + `]}`, nil, problem.KeySpecInvalid, problems},
		{"an integration's name", "PUT /api/integrations/a", `{"vendor":"slack","name":"` + long[:129] + `"}`, nil, problem.FieldInvalid, problems},
		{"its settings", "PUT /api/integrations/a", `{"vendor":"slack","settings":{"url":"` + long[:17<<10] + `"}}`, nil, problem.IntegrationInvalid, problems},
		{"targets", "PUT /api/mappings/a", `{"pattern":"a:b","targets":[` + strings.Repeat(`{"integration":"a"},`, 100) + `{"integration":"a"}]}`, nil, problem.MappingInvalid, problems},
		{"an expression", "PUT /api/mappings/a", `{"pattern":"a:b","targets":[{"integration":"a"}],"when":"true` + strings.Repeat(" ", 4<<10) + `"}`, nil, problem.MappingInvalid, problems},
		{"its nodes", "PUT /api/mappings/a", `{"pattern":"a:b","targets":[{"integration":"a"}],"when":"true` + strings.Repeat(" or true", 300) + `"}`, nil, problem.MappingInvalid, problems},
	} {
		before := counted(t, n.URL(), tt.metric, tt.code)
		status, answer := n.tell(t, tt.request, tt.body, tt.header)
		if want := problem.Status(tt.code); status != want || !strings.Contains(answer, `"code":"`+tt.code+`"`) {
			t.Errorf("%s: %d %.300s, want %d %s", tt.name, status, answer, want, tt.code)
		}
		if after := counted(t, n.URL(), tt.metric, tt.code); after != before+1 {
			t.Errorf("%s: %s counts %v of %s, and did %v", tt.name, tt.metric, after, tt.code, before)
		}
	}
	if n := counted(t, n.URL(), ingested, problem.PublishLimited); n != 1 {
		t.Errorf("%s counts %v of %s", ingested, n, problem.PublishLimited)
	}
	if _, last, err := n.journal.Bounds(t.Context()); err != nil || last != taken {
		t.Errorf("%d events are in the log, %v, want the %d that were taken", last, err, taken)
	}
}

// tell asks the node, as its administrator if the header has no other key.
func (n *node) tell(t *testing.T, request, body string, header http.Header) (status int, answer string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, n.URL()+path, bufio.NewReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+n.keys.api.Reveal())
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
