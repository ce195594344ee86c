package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/loadtest/load"
)

// afternoon is a short smoke in which one vendor refuses some deliveries for good.
const afternoon = `
about: An afternoon.
begins: Sat 10:00
ends: Sat 11:00
lasts: 3s
settle: 30s
rate: 20
population: {couples: 6, suppliers: 5, integrations: [7, 7], clients: 30}
mix: {timeline.updated: 4, guest_count.changed: 2, capacity.changed: 1, wedding.date_changed: 1, form.submitted: 1}
storms:
  - {about: a shower, at: Sat 10:20, weddings: 5}
edges:
  - {about: an edge dies, at: Sat 10:30, back: Sat 10:31}
vendors:
  irisworks:
    latency: {p50: 5ms, p99: 20ms}
    faults:
      - {about: refuses for good, from: Sat 10:00, to: Sat 10:50, share: 0.5, status: 422}
  shootq:
    faults:
      - {about: resets connections, from: Sat 10:10, to: Sat 10:40, share: 0.5, reset: true}
  slack: {perSecond: 100}
  whatsapp: {perRecipient: 1ms}
nodes: {delivery.retryWaits: "20ms,40ms,80ms", delivery.breakerWait: 100ms, delivery.breakerMaxWait: 500ms}
thresholds: {success: 0.999}
`

//nolint:paralleltest // it plays by the clock
func TestLoadReportsTheTruth(t *testing.T) {
	dir := t.TempDir()
	profile, out := filepath.Join(dir, "afternoon.yaml"), filepath.Join(dir, "report")
	if err := os.WriteFile(profile, []byte(afternoon), 0o600); err != nil {
		t.Fatal(err)
	}
	got := wedsyncWith(t.Context(), []string{asCommand + "=1", "GOCOVERDIR=" + t.TempDir()}, strings.NewReader(""),
		"load", "--profile", profile, "--local=1", "--seed=7", "-o", out)
	text, err := os.ReadFile(out + ".json")
	if err != nil {
		t.Fatalf("%v; %+v", err, got)
	}
	var r load.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	c, d := r.Publishes, r.Deliveries
	if c.Lost+c.Reordered+c.Wrong+c.NotAllowed > 0 || len(r.Strange) > c.Unanswered {
		t.Errorf("not all is well: %+v, %q", c, r.Strange)
	}
	// A publish that is under way when the clients' connections break is not answered.
	if c.Accepted+c.Unanswered != r.Planned || r.Planned < 30 || r.Clients.Connections != 30 || r.Clients.Seen == 0 {
		t.Errorf("%d of %d events were accepted; clients %+v", c.Accepted, r.Planned, r.Clients)
	}
	// What was refused for good is dead, here and in ClickHouse; what was reset arrived at last.
	if d.Dead == 0 || d.Delivered+d.Dead != d.Due || d.Success >= 0.999 || d.Calls <= d.Due {
		t.Errorf("deliveries %+v", d)
	}
	if k := r.ClickHouse; k == nil || !k.Agrees || k.Dead != d.Dead || k.Delivered != d.Delivered {
		t.Errorf("ClickHouse %+v, the truth %+v", k, d)
	}
	dead := 0
	for _, m := range r.Missing {
		dead += m.Dead
		if m.Vendor != "irisworks" || m.Waiting > 0 || m.Why == "" {
			t.Errorf("missing is %+v", m)
		}
	}
	if dead != d.Dead {
		t.Errorf("of %d dead deliveries it tells of %d", d.Dead, dead)
	}
	if len(r.Faults) != 3 || len(r.Deaths) != 1 || r.Deaths[0].Clients != 30 || r.Deaths[0].Back <= 0 || r.Clients.NotRecovered != 0 {
		t.Errorf("faults %+v, deaths %+v", r.Faults, r.Deaths)
	}
	if r.Passed || got.code != exitFailed || !strings.Contains(got.out, "MISSED") || !strings.Contains(got.errors, "a threshold of the profile was missed") {
		t.Errorf("it passed: %+v", got)
	}
	for _, want := range []string{"Sat 10:00  from now on: irisworks refuses for good", "an edge dies: node-1, with 30 clients", "all clients are back after"} {
		if !strings.Contains(got.errors, want) {
			t.Errorf("it does not say %q: %s", want, got.errors)
		}
	}
	page, err := os.ReadFile(out + ".html")
	if err != nil || !bytes.Contains(page, []byte("irisworks refuses for good")) || !bytes.Contains(page, []byte("uPlot=function")) || bytes.Contains(page, []byte("ZgotmplZ")) {
		t.Errorf("the page has %d bytes: %v", len(page), err)
	}
}

// A cluster that is there keeps what it had, and nothing of the run's integrations; that it has no ClickHouse is no fault.
//
//nolint:paralleltest // it plays by the clock
func TestLoadOnANodeThatIsThere(t *testing.T) {
	c := testConfig(t)
	c.Delivery.AllowPrivate = []string{"127.0.0.0/8"}
	n := startNode(t, c)
	waitReady(t, n.URL())
	dir := t.TempDir()
	profile, out := filepath.Join(dir, "afternoon.yaml"), filepath.Join(dir, "report")
	if err := os.WriteFile(profile, []byte(afternoon), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &desk{t, n, nil}
	if got := d.run("load", "--profile", profile, "--key=wrong", "-o", out); got.code != exitFailed || !strings.Contains(got.errors, "does not know the API key") {
		t.Fatalf("%+v", got)
	}
	if got := d.run("load", "--profile", profile, "--lasts=1s", "--clients=10", "-o", out, "--json"); got.code != exitFailed {
		t.Fatalf("%+v", got)
	}
	r, err := load.ReadReport(out + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Publishes; r.ClickHouse != nil || p.Lost+p.Reordered+p.Wrong+p.NotAllowed > 0 || r.Deliveries.Dead == 0 || r.Clients.Connections != 10 || r.Clients.Seen == 0 {
		t.Errorf("%+v, %+v, %+v", r.ClickHouse, r.Deliveries, p)
	}
	// Who interrupts it is told of what was played until then.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var said bytes.Buffer
	code := command(ctx, []string{"load", "--profile", profile, "--lasts=6s", "--clients=10", "-o", out, "--addr", n.URL(), "--data", c.Data}, world{
		stdout: io.Discard, stderr: writer(func(text []byte) (int, error) {
			if bytes.Contains(text, []byte("from now on: shootq")) {
				interrupt()
			}
			return said.Write(text)
		}),
	})
	if r, err = load.ReadReport(out + ".json"); err != nil {
		t.Fatal(err)
	}
	if p := r.Publishes; code != exitFailed || !strings.Contains(said.String(), "the report tells of what was played until then") ||
		p.Accepted == 0 || p.Accepted >= r.Planned || p.Lost > 0 || r.Passed || !strings.HasPrefix(r.Verdicts[0].Got, "interrupted at Sat 10:") {
		t.Errorf("%d %s; %+v of %d, %+v", code, said.String(), p, r.Planned, r.Verdicts)
	}
	if left := d.do("integrations", "--json") + d.do("mappings", "--json"); strings.Contains(left, "studiocloud") || strings.Contains(left, "supplier:dashboard") {
		t.Errorf("it left %s", left)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(text []byte) (int, error) { return w(text) }

func TestLoadThatCannotBegin(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]result{
		"":                                 {code: exitUsage, errors: "name either the nodes with --addr"},
		"--local=2":                        {code: exitUsage, errors: "--local is 2; use one of [1 3 5]"},
		"--local=1 -o /nonexistent/report": {code: exitUsage, errors: "--out is /nonexistent/report, and nothing can be written there"},
		"--addr=nowhere":                   {code: exitUsage, errors: `"nowhere" is no address of a node`},
		"--addr=ftp://node-1":              {code: exitUsage, errors: `"ftp://node-1" is no address of a node`},
		"--addr=http://127.0.0.1:1 -o " + t.TempDir() + "/r": {code: exitFailed, errors: "http://127.0.0.1:1 does not answer as a node does"},
	} {
		if got := wedsync(t, append([]string{"load"}, strings.Fields(args)...)...); got.code != want.code || !strings.Contains(got.errors, want.errors) {
			t.Errorf("%s: %+v", args, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := wedsyncWith(ctx, nil, strings.NewReader(""), "load", "--local=1", "-o", t.TempDir()+"/r"); got.code != exitFailed || !strings.Contains(got.errors, "interrupted; there is no report") {
		t.Errorf("%+v", got)
	}
}

func TestLoadProfilesAndComparisons(t *testing.T) {
	t.Parallel()
	if got := wedsync(t, "load", "profiles"); got.code != exitOK || !strings.Contains(got.out, "saturday  A Saturday in June") {
		t.Errorf("%+v", got)
	}
	if got := wedsync(t, "load", "profiles", "saturday"); got.code != exitOK || !strings.Contains(got.out, "a thunderstorm moves 200 ceremonies") {
		t.Errorf("%+v", got)
	}
	if got := wedsync(t, "load", "profiles", "none"); got.code != exitUsage {
		t.Errorf("%+v", got)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a": `{"profile":"smoke","lasts":10,"verdicts":[{}],"publishes":{"accepted":200},"accept":{"p99":2.5}}`,
		"b": `{"profile":"storm","lasts":60,"verdicts":[{}],"publishes":{"accepted":300},"accept":{"p99":5}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := wedsync(t, "load", "compare", filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	for _, want := range []string{"of different profiles: smoke of 10 s, and storm of 60 s", "events accepted            200      300    +50.0 %", "publishing, p99            2.50 ms  5 ms   +100.0 %"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing: %+v", want, got)
		}
	}
	for _, args := range [][]string{{"none", filepath.Join(dir, "b")}, {filepath.Join(dir, "a"), "none"}} {
		if got := wedsync(t, append([]string{"load", "compare"}, args...)...); got.code != exitUsage || !strings.Contains(got.errors, "open none") {
			t.Errorf("%+v", got)
		}
	}
}
