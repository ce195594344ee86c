package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

const publishPath = "/api/channels/supplier:dashboard:42/publish"

func TestPublish(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := n.do(t, "POST", publishPath, `{"type":"timeline.updated","payload":{"coupleId":"c1","notes":"<b>Tom</b> & Anna <3"},"id":"my:id-1",
		"occurredAt":"2026-06-20T15:00:00+02:00","correlationId":"corr"}`, "Traceparent", trace)
	if a.status != 202 || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := into[ingest.Receipt](t, a)
	if got != (ingest.Receipt{ID: "my:id-1", Seq: 1}) {
		t.Errorf("answered %s", a.body)
	}
	ev, err := n.journal.EventAt(t.Context(), 1)
	must(t, err)
	if ev.Channel != "supplier:dashboard:42" || ev.Source != "api" || ev.WeddingID != "c1" || ev.CorrelationID != "corr" || ev.TraceParent != trace ||
		!ev.OccurredAt.Equal(time.Date(2026, 6, 20, 13, 0, 0, 0, time.UTC)) {
		t.Errorf("appended %+v", ev)
	}
	var payload map[string]string
	must(t, json.Unmarshal(ev.Payload, &payload))
	if payload["notes"] != "Tom & Anna <3" {
		t.Errorf("payload %s", ev.Payload)
	}
	again := n.do(t, "POST", publishPath, `{"type":"timeline.updated","payload":{},"id":"my:id-1"}`)
	if r := into[ingest.Receipt](t, again); again.status != 200 || r != (ingest.Receipt{ID: "my:id-1", Seq: 1, Duplicate: true}) {
		t.Errorf("again: %d %s", again.status, again.body)
	}
	if n.appended(t) != 1 {
		t.Errorf("%d events", n.appended(t))
	}
	if escaped := n.do(t, "POST", "/api/channels/supplier%3Adashboard%3A42/publish", `{"type":"a","payload":{}}`); escaped.status != 202 {
		t.Errorf("with an escaped name: %d %s", escaped.status, escaped.body)
	}
	if last, err := n.journal.Last(t.Context(), "supplier:dashboard:42"); err != nil || last != 2 {
		t.Errorf("last is %d, %v", last, err)
	}
}

func TestPublishRefused(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	ok := `{"type":"a.b","payload":{}}`
	for _, c := range []struct {
		name, path, body, code string
		status                 int
		says                   string
	}{
		{"wildcard", "/api/channels/supplier:*/publish", ok, problem.ChannelWildcard, 422, "wildcards"},
		{"bad channel", "/api/channels/a%20b/publish", ok, problem.ChannelInvalid, 422, "not allowed"},
		{"empty body", publishPath, ``, problem.JSONMalformed, 400, "ends"},
		{"malformed", publishPath, `{"type":"a.b","payload":{]}`, problem.JSONMalformed, 400, "byte"},
		{"not an object", publishPath, `[]`, problem.PayloadNotObject, 422, "array"},
		{"not UTF-8", publishPath, "{\"type\":\"a.b\",\"payload\":{\"a\":\"\xff\"}}", problem.UTF8Invalid, 400, "0xff"},
		{"unknown field", publishPath, `{"type":"a.b","payload":{},"chanel":"x"}`, problem.FieldInvalid, 422, "chanel"},
		{"no payload", publishPath, `{"type":"a.b"}`, problem.FieldInvalid, 422, "payload"},
		{"payload is a text", publishPath, `{"type":"a.b","payload":"x"}`, problem.PayloadNotObject, 422, "string"},
		{"payload is null", publishPath, `{"type":"a.b","payload":null}`, problem.PayloadNotObject, 422, "null"},
		{"type is a number", publishPath, `{"type":1,"payload":{}}`, problem.FieldInvalid, 422, "type"},
		{"no type", publishPath, `{"payload":{}}`, problem.TypeInvalid, 422, "type"},
		{"bad type", publishPath, `{"type":"A b","payload":{}}`, problem.TypeInvalid, 422, "type"},
		{"bad time", publishPath, `{"type":"a.b","payload":{},"occurredAt":"noon"}`, problem.FieldInvalid, 422, "noon"},
		{"time is a number", publishPath, `{"type":"a.b","payload":{},"occurredAt":5}`, problem.FieldInvalid, 422, "occurredAt cannot be a number"},
		{"absurd time", publishPath, `{"type":"a.b","payload":{},"occurredAt":"1970-01-01T00:00:00Z"}`, problem.OccurredAtInvalid, 422, "1970"},
		{"bad id", publishPath, `{"type":"a.b","payload":{},"id":"a b"}`, problem.IDInvalid, 422, "a b"},
		{"a key twice", publishPath, `{"type":"a.b","type":"c","payload":{}}`, problem.DuplicateKey, 422, "type"},
		{"deep", publishPath, `{"type":"a.b","payload":` + strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 18), problem.PayloadTooDeep, 422, "deep"},
		{"large payload", publishPath, `{"type":"a.b","payload":{"a":["` + strings.Repeat(strings.Repeat("x", 60_000)+`","`, 4) + strings.Repeat("x", 23_000) + `"]}}`, problem.PayloadTooLarge, 413, "262144"},
		{"large body", publishPath, `{"type":"a.b","payload":{"a":"` + strings.Repeat("x", 300<<10) + `"}}`, problem.BodyTooLarge, 413, "266240"},
	} {
		a := n.do(t, "POST", c.path, c.body)
		if got := a.code(t); got != c.code || a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: got %d %s\nwant %d %s saying %q", c.name, a.status, a.body, c.status, c.code, c.says)
		}
	}
	if got := n.appended(t); got != 0 {
		t.Errorf("%d events were appended", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	for _, path := range []string{publishPath, "/api/integrations", "/api/status", "/api/dead-letters/1", "/api/channels/a/history"} {
		method, body := "GET", ""
		if path == publishPath {
			method, body = "POST", `{"type":"a","payload":{}}`
		}
		for header, code := range map[string]string{
			"":                         problem.KeyMissing,
			"Basic eDp5":               problem.KeyMissing,
			apiKey:                     problem.KeyMissing,
			"Bearer ":                  problem.KeyMissing,
			"Bearer x":                 problem.KeyInvalid,
			"Bearer " + apiKey + "x":   problem.KeyInvalid,
			"Bearer " + apiKey[1:]:     problem.KeyInvalid,
			"Bearer tester:" + apiKey:  problem.KeyInvalid,
			"Bearer " + apiKey + " xx": problem.KeyInvalid,
		} {
			a := n.do(t, method, path, body, "Authorization", header)
			if a.status != 401 || a.code(t) != code || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") || strings.Contains(a.body, apiKey[1:]) {
				t.Errorf("%s with %q: %d %s", path, header, a.status, a.body)
			}
		}
	}
	if n.appended(t) != 0 {
		t.Error("published without a key")
	}
	if a := n.do(t, "POST", publishPath, `{"type":"a","payload":{}}`, "Authorization", "bearer "+apiKey); a.status != 202 {
		t.Errorf("the scheme in lower case: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/api/openapi.json", "/api/openapi.yaml", "/api/problems"} {
		if a := n.do(t, "GET", path, "", "Authorization", ""); a.status != 200 {
			t.Errorf("%s needs a key: %d", path, a.status)
		}
	}
}

func TestNobodyGetsInWithoutKeysConfigured(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *api.Config) { c.Keys = emptyKeyring(t) })
	for _, header := range []string{"", "Bearer ", "Bearer " + apiKey} {
		if a := n.do(t, "GET", "/api/status", "", "Authorization", header); a.status != 401 {
			t.Errorf("with %q: %d", header, a.status)
		}
	}
}

// emptyKeyring has no key at all.
func emptyKeyring(t *testing.T) *access.Keyring {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{Dir: t.TempDir(), Shards: 1, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(func() { must(t, j.Close(context.Background())) })
	config, err := j.KV(t.Context(), "config")
	must(t, err)
	keys, err := access.Open(t.Context(), access.Config{Bucket: config, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(keys.Close)
	return keys
}

func TestInsecure(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *api.Config) { c.Insecure = true })
	if a := n.do(t, "POST", publishPath, `{"type":"a","payload":{}}`, "Authorization", ""); a.status != 202 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := n.do(t, "DELETE", "/api/integrations/x", "", "Authorization", ""); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if audits := n.audited(); len(audits) != 1 || audits[0].Actor != "admin:insecure" {
		t.Errorf("audited %+v", audits)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := api.New(api.Config{}); err == nil || !strings.Contains(err.Error(), "Keys") {
		t.Errorf("got %v", err)
	}
	start(t, func(c *api.Config) {
		without := *c
		without.Answers = nil
		if _, err := api.New(without); err == nil || !strings.Contains(err.Error(), "Answers") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHistory(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	for i := range 5 {
		into[ingest.Receipt](t, n.do(t, "POST", "/api/channels/a:b/publish", fmt.Sprintf(`{"type":"a.b","payload":{"n":%d}}`, i)))
		into[ingest.Receipt](t, n.do(t, "POST", "/api/channels/a:c/publish", `{"type":"a.b","payload":{}}`))
	}
	type history struct {
		Epoch  string `json:"epoch"`
		Events []struct {
			Seq   uint64      `json:"seq"`
			Event event.Event `json:"event"`
		} `json:"events"`
		Next uint64 `json:"next"`
	}
	for query, want := range map[string]struct {
		seqs []uint64
		next uint64
	}{
		"":                 {[]uint64{1, 3, 5, 7, 9}, 0},
		"?limit=2":         {[]uint64{7, 9}, 0},
		"?after=1&limit=2": {[]uint64{3, 5}, 5},
		"?after=5&limit=2": {[]uint64{7, 9}, 9},
		"?after=9":         {[]uint64{}, 0},
	} {
		a := n.do(t, "GET", "/api/channels/a:b/history"+query, "")
		h := into[history](t, a)
		seqs := []uint64{}
		for _, e := range h.Events {
			seqs = append(seqs, e.Seq)
			if e.Event.Channel != "a:b" || string(e.Event.Payload) != fmt.Sprintf(`{"n":%d}`, (e.Seq-1)/2) {
				t.Errorf("event %d is %+v", e.Seq, e.Event)
			}
		}
		if !slices.Equal(seqs, want.seqs) || h.Next != want.next || h.Epoch != n.journal.Epoch() {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	if a := n.do(t, "GET", "/api/channels/nobody/history", ""); !strings.Contains(a.body, `"events":[]`) {
		t.Errorf("an empty channel: %s", a.body)
	}
	for path, code := range map[string]string{
		"/api/channels/a:*/history":          problem.ChannelWildcard,
		"/api/channels/a%20b/history":        problem.ChannelInvalid,
		"/api/channels/a/history?limit=0":    problem.FieldInvalid,
		"/api/channels/a/history?limit=1001": problem.FieldInvalid,
		"/api/channels/a/history?limt=1":     problem.FieldInvalid,
		"/api/channels/a/history?after=x":    problem.FieldInvalid,
	} {
		if a := n.do(t, "GET", path, ""); a.status != 422 || a.code(t) != code {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// A key that publishes more than it may is told when to go on; the administrator's goes on.
func TestPublishRate(t *testing.T) {
	t.Parallel()
	begun, later := time.Now(), atomic.Int64{}
	n := start(t, func(c *api.Config) {
		in, err := ingest.New(ingest.Config{
			Log: c.History.(*journal.Journal), PerSecond: 1, Now: func() time.Time { return begun.Add(time.Duration(later.Load())) },
		})
		must(t, err)
		c.Publisher = in
	})
	text, _ := n.key(t, access.Key{Name: "website", Scopes: []access.Scope{access.ChannelsPublish}})
	const ok = `{"type":"a.b","payload":{}}`
	if a := n.do(t, "POST", publishPath, ok, as(text)...); a.status != 202 {
		t.Errorf("the first: %d %s", a.status, a.body)
	}
	again := append(as(text), "Idempotency-Key", "one")
	for range 2 { // the refusal is not kept as the answer
		if a := n.do(t, "POST", publishPath, ok, again...); a.status != 429 || a.code(t) != problem.PublishLimited || a.header.Get("Retry-After") != "1" {
			t.Errorf("the second: %d %s", a.status, a.body)
		}
	}
	later.Store(int64(time.Second))
	if a := n.do(t, "POST", publishPath, ok, again...); a.status != 202 {
		t.Errorf("a second later: %d %s", a.status, a.body)
	}
	if a := n.do(t, "POST", publishPath, ok); a.status != 202 {
		t.Errorf("the administrator's: %d %s", a.status, a.body)
	}
}
