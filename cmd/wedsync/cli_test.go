package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/analytics/embedded"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	embedded.MaybeRunChild()
	// As in cluster/journal: what a server of a cluster leaves that ends while it still opens a copy of a stream.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// result is what a command printed, and its exit code.
type result struct {
	code        int
	out, errors string
}

// wedsync runs the command in this process.
func wedsync(t *testing.T, args ...string) result {
	t.Helper()
	return wedsyncWith(t.Context(), nil, strings.NewReader(""), args...)
}

func wedsyncWith(ctx context.Context, environ []string, stdin io.Reader, args ...string) result {
	var out, errors bytes.Buffer
	code := command(ctx, args, world{stdin: stdin, stdout: &out, stderr: &errors, environ: environ})
	return result{code, out.String(), errors.String()}
}

// apiCall is a request that the stand-in for a node got.
type apiCall struct{ method, path, key, body string }

// standIn answers like a node: each path with its text, in the order of the calls.
type standIn struct {
	*httptest.Server
	mu    sync.Mutex
	calls []apiCall
}

type answer struct {
	status int
	body   string
}

func newStandIn(t *testing.T, answers map[string]answer) *standIn {
	t.Helper()
	s := &standIn{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.calls = append(s.calls, apiCall{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), string(body)})
		s.mu.Unlock()
		a, ok := answers[r.Method+" "+r.URL.RequestURI()]
		if !ok {
			a = answer{404, `{"status":404,"code":"not_found","title":"There is nothing at this address"}`}
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) called() []apiCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func TestHelpTellsWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}} {
		got := wedsync(t, args...)
		if got.code != exitOK || got.errors != "" {
			t.Errorf("%q: %+v", args, got)
		}
		for _, name := range []string{"serve", "sim", "load", "publish", "tail", "slo", "analytics", "dead", "integrations", "mappings", "apply", "export", "deliveries", "keys", "audit", "members", "drain", "cluster-keys", "master-key", "log", "erase", "version"} {
			if !strings.Contains(got.out, "\n  "+name+" ") {
				t.Errorf("%q does not list %s", args, name)
			}
			if sub := wedsync(t, name, "--help"); sub.code != exitOK || !strings.Contains(sub.out, "Usage: wedsync "+name) || !strings.Contains(sub.out, "--json") {
				t.Errorf("%s --help: %+v", name, sub)
			}
		}
	}
}

func TestWrongUseIsOneClearLine(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"wedsync: unexpected argument plan; try wedsync --help\n":                                                                                                {"plan"},
		"wedsync: unknown flag --adr, did you mean \"--addr\"?; try wedsync serve --help\n":                                                                      {"serve", "--adr=1"},
		"wedsync: --set data: write it like --set http.addr=127.0.0.1:8080\n":                                                                                    {"serve", "--set", "data"},
		"wedsync: the payload is not JSON: {\n":                                                                                                                  {"publish", "a", "b.c", "{"},
		"wedsync: --expires \"soon\" is neither a time in RFC 3339 nor a duration such as 720h\n":                                                                {"keys", "create", "a", "--scope=admin", "--expires=soon"},
		"wedsync: name either the nodes with --addr, or how many to start with --local\n":                                                                        {"load"},
		"wedsync: there is no profile \"none\"; use saturday, smoke, soak, storm, or a file\n":                                                                   {"load", "--profile=none", "--local=1"},
		"wedsync: --local is 2; use one of [1 3 5], so that more than half of the nodes can be told from the others\n":                                           {"load", "--local=2"},
		"wedsync: \"node-1\" is no address of a node; write it like http://127.0.0.1:8080\n":                                                                     {"load", "--addr=node-1"},
		"wedsync: lasts is -1s; it must be more than 0, and at most 720h0m0s\n":                                                                                  {"load", "--local=1", "--lasts=-1s"},
		"wedsync: missing flags: --to=FOLDER; try wedsync log backup --help\n":                                                                                   {"log", "backup"},
		"wedsync: missing flags: --scope=SCOPE,...; try wedsync keys create --help\n":                                                                            {"keys", "create", "a"},
		"wedsync: open none.json: no such file or directory\n":                                                                                                   {"publish", "a", "b.c", "@none.json"},
		"wedsync: --addr \"ftp://x\" is no address of a node; write it like http://127.0.0.1:8080\n":                                                             {"publish", "--addr=ftp://x", "a", "b.c"},
		"wedsync: \"name\" is not NAME=VALUE\n":                                                                                                                  {"integrations", "secrets", "set", "x", "name"},
		fmt.Sprintf("wedsync: vendor \"nobody\" is not known; use one of %v\n", adapter.Vendors()):                                                               {"integrations", "vendors", "nobody"},
		"wedsync: open none.yaml: no such file or directory\n":                                                                                                   {"apply", "-y", "-f", "none.yaml"},
		"wedsync: give either numbers, or --all and what else selects them\n":                                                                                    {"dead", "replay"},
		"wedsync: numbers need no filter and no --dry-run\n":                                                                                                     {"dead", "replay", "7", "--reason=x"},
		"wedsync: nobody can be asked; give --yes or --dry-run\n":                                                                                                {"apply", "-f", "-"},
		"wedsync: give either a type, and a payload, or --seq\n":                                                                                                 {"integrations", "preview", "a", "b:c"},
		"wedsync: the profiles are not a JSON array such as [{\"clientId\":\"c1\",\"name\":\"Amélie & Jonas\"}]\n":                                               {"integrations", "sync-profiles", "a", "[]"},
		"wedsync: the payload is not JSON: [\n":                                                                                                                  {"integrations", "preview", "a", "b:c", "x.y", "["},
		"wedsync: channel \"a::b\": a segment is empty; a pattern also takes *, ** and {name} as whole segments\n":                                               {"tail", "a::b"},
		"wedsync: --by must be one of \"overall\",\"vendor\",\"category\",\"integration\",\"event_type\",\"wedding\" but got \"moon\"; try wedsync slo --help\n": {"slo", "--by=moon"},
	} {
		if got := wedsync(t, args...); got.code != exitUsage || got.errors != want || got.out != "" {
			t.Errorf("%q: %d\n%s\nwant\n%s", args, got.code, got.errors, want)
		}
	}
}

func TestEveryCommandNeedsANode(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	addr := server.URL
	server.Close() // nobody listens there any more
	season := filepath.Join(t.TempDir(), "season.yaml")
	if err := os.WriteFile(season, []byte("integrations: [{id: a, vendor: slack, settings: {}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"publish", "a", "b.c"},
		{"slo"},
		{"dead"},
		{"dead", "show", "1"},
		{"dead", "replay", "1"},
		{"integrations"},
		{"integrations", "show", "a"},
		{"apply", "-f", season},
		{"export"},
		{"integrations", "delete", "a"},
		{"integrations", "pause", "a"},
		{"integrations", "resume", "a"},
		{"integrations", "reset", "a"},
		{"integrations", "health"},
		{"integrations", "health", "a"},
		{"integrations", "preview", "a", "b:c", "x.y"},
		{"integrations", "test", "a"},
		{"integrations", "sync-profiles", "a", `[{"clientId":"c1","name":"B"}]`},
		{"integrations", "secrets", "rotate", "a", "signing"},
		{"integrations", "secrets", "retire", "a"},
		{"dead", "replay", "--all"},
		{"mappings"},
		{"mappings", "show", "a"},
		{"mappings", "put", "a"},
		{"mappings", "delete", "a"},
		{"mappings", "preview", "a"},
		{"integrations", "secrets", "set", "a", "b=c"},
		{"keys"},
		{"keys", "create", "a", "--scope=admin"},
		{"keys", "revoke", "a"},
		{"audit"},
		{"members"},
		{"members", "remove", "a"},
		{"drain"},
		{"cluster-keys"},
		{"cluster-keys", "add", "0000000000000000000000000000000000000000000"},
		{"cluster-keys", "use", "a"},
		{"cluster-keys", "remove", "a"},
		{"erase", "c1", "--yes"},
		{"log", "backup", "--to", filepath.Join(t.TempDir(), "backup")},
		{"deliveries"},
		{"deliveries", "show", "a"},
	} {
		got := wedsync(t, append(args, "--addr", addr, "--data", t.TempDir())...)
		if got.code != exitFailed || strings.Count(got.errors, "\n") != 1 ||
			!strings.Contains(got.errors, "no node answers at "+addr) || !strings.Contains(got.errors, "wedsync serve") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if got := wedsync(t, "tail", "a", "--addr", addr, "--data", t.TempDir()); got.code != exitFailed || !strings.Contains(got.errors, "no connection to ws://") {
		t.Errorf("tail: %+v", got)
	}
}

func TestProblemsAreOneLine(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"status":422,"code":"channel_invalid","title":"t","detail":"channel \"a\": bad\nnews"}`: "wedsync: channel \"a\": bad news (422 channel_invalid)\n",
		`{"title":"The title"}`: "wedsync: The title (422)\n",
		`{"code":"integration_invalid","errors":[{"field":"settings.url","reason":"is missing"},{"field":"secrets.signing","reason":"too short"}]}`: "wedsync: Unprocessable Entity: settings.url: is missing; secrets.signing: too short (422 integration_invalid)\n",
	} {
		node := newStandIn(t, map[string]answer{"GET /api/integrations": {422, body}})
		if got := wedsync(t, "integrations", "--addr", node.URL); got.code != exitFailed || got.errors != want {
			t.Errorf("%s: %d %q, want %q", body, got.code, got.errors, want)
		}
	}
	node := newStandIn(t, map[string]answer{
		"GET /api/integrations":        {401, `{"code":"key_missing","title":"An API key is needed"}`},
		"GET /api/slo?by=overall":      {502, "<html>"},
		"GET /api/dead-letters/1":      {200, "hello"},
		"GET /api/integrations/health": {200, `[1]`},
	})
	for want, args := range map[string][]string{
		"--key or WEDSYNC_KEY":       {"integrations"},
		`answers "<html>"`:           {"slo"},
		"it sends no JSON":           {"dead", "show", "1"},
		"are both of the same":       {"integrations", "health"},
		"There is nothing at this a": {"integrations", "show", "x"},
	} {
		if got := wedsync(t, append(args, "--addr", node.URL)...); got.code != exitFailed || !strings.Contains(got.errors, want) || strings.Count(got.errors, "\n") != 1 {
			t.Errorf("%q: %+v, want %q", args, got, want)
		}
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	node := newStandIn(t, map[string]answer{
		"POST /api/channels/supplier:dashboard:42/publish": {202, `{"id":"e1","seq":7}`},
		"POST /api/channels/again/publish":                 {202, `{"id":"e1","seq":7,"duplicate":true}`},
	})
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, apiKeyFile), []byte("wsk_hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "payload.json")
	if err := os.WriteFile(file, []byte(`{"a":1}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"supplier:dashboard:42", "timeline.updated", "@" + file, "--id=x", "--wedding=w", "--correlation=c", "--occurred-at=2027-06-12T16:00:00+02:00"}, "event e1 is in the log at 7\n"},
		{[]string{"supplier:dashboard:42", "timeline.updated", "-"}, "event e1 is in the log at 7\n"},
		{[]string{"again", "timeline.updated"}, "event e1 is in the log already, at 7\n"},
		{[]string{"again", "timeline.updated", "--json"}, `{"id":"e1","seq":7,"duplicate":true}` + "\n"},
	} {
		got := wedsyncWith(t.Context(), nil, strings.NewReader(`{"b":2}`), append([]string{"publish", "--addr", node.URL, "--data", data}, c.args...)...)
		if got.code != exitOK || got.out != c.want {
			t.Errorf("%q: %+v, want %q", c.args, got, c.want)
		}
	}
	want := []string{
		`{"type":"timeline.updated","payload":{"a":1},"id":"x","occurredAt":"2027-06-12T16:00:00+02:00","correlationId":"c","weddingId":"w"}`,
		`{"type":"timeline.updated","payload":{"b":2}}`,
		`{"type":"timeline.updated","payload":{}}`,
		`{"type":"timeline.updated","payload":{}}`,
	}
	for i, call := range node.called() {
		if call.body != want[i] || call.key != "Bearer wsk_hush" {
			t.Errorf("sent %q with key %q, want %q", call.body, call.key, want[i])
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := wedsync(t, "version"); got.code != exitOK || !strings.HasPrefix(got.out, "wedsync ") || !strings.Contains(got.out, " go1.") {
		t.Errorf("%+v", got)
	}
	var v versionInfo
	if got := wedsync(t, "version", "--json"); json.Unmarshal([]byte(got.out), &v) != nil || v.Version == "" || v.Go == "" {
		t.Errorf("%+v", got)
	}
	if got, want := (versionInfo{Version: "v1.2.0", Revision: "0123456789abcdef", Modified: true, Go: "go1.26"}).String(), "wedsync v1.2.0 0123456789ab+changes go1.26"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
