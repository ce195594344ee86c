package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

// applySeason has two of each, with values that YAML would take for something else.
const applySeason = `
integrations:
  - id: crm
    vendor: studiocloud
    name: "42"
    owner: {supplierId: 42}
    settings: {url: https://crm.example.com/hooks}
    secrets: {signing: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
    limits: {perSecond: 2.5, timeout: 10s}
  - id: chat
    vendor: slack
mappings:
  - id: timelines
    pattern: supplier:dashboard:{supplierId}
    types: [timeline.updated]
    targets: [{category: photography-crm}]
    when: |
      payload.guests > 100 and
      vars.supplierId == "42"
    fields: {seats: 1, notes: '"yes"'}
  - id: all
    pattern: a:**
    targets: [{integration: crm}]
    when: true
`

// newBench is a desk without vendors.
func newBench(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, node: startNode(t, testConfig(t))}
	waitReady(t, d.node.URL())
	return d
}

// season writes a file.
func (d *desk) season(text string) string {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "season.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// plan returns what a dry run says, by kind and id.
func (d *desk) plan(file string, args ...string) map[string]planned {
	d.t.Helper()
	var out struct {
		Plan    []planned
		Applied bool
	}
	d.read(&out, append([]string{"apply", "--dry-run", "-f", file}, args...)...)
	if out.Applied {
		d.t.Error("a dry run is applied")
	}
	all := map[string]planned{}
	for _, a := range out.Plan {
		all[a.Kind+" "+a.ID] = a
	}
	return all
}

// answering runs a command with that on standard input.
func (d *desk) answering(stdin io.Reader, args ...string) result {
	d.t.Helper()
	return wedsyncWith(d.t.Context(), nil, stdin, append(args, "--addr", d.node.URL(), "--data", d.node.cfg.Data)...)
}

func TestApplyBringsANodeToASeason(t *testing.T) {
	t.Parallel()
	d := newBench(t)
	file := d.season(applySeason)
	for id, a := range d.plan(file) {
		if a.Action != actionCreate {
			t.Errorf("%s: %+v", id, a)
		}
	}
	if got := d.answering(strings.NewReader("no\n"), "apply", "-f", file); got.code != exitFailed || got.errors != "wedsync: nothing was changed\n" ||
		!strings.Contains(got.out, "create  integration  crm") || !strings.Contains(got.out, "sets the secrets signing") ||
		!strings.Contains(got.out, "4 to create, 0 to change, 0 to delete, 0 unchanged\nCarry this out? [y/N]\n") {
		t.Errorf("answered no: %+v", got)
	}
	if got := d.answering(strings.NewReader(""), "apply", "-f", file); got.code != exitFailed {
		t.Errorf("nobody answers: %+v", got)
	}
	var none []event.Integration
	if d.read(&none, "integrations"); len(none) != 0 {
		t.Errorf("there is %+v", none)
	}
	got := d.answering(strings.NewReader("y\n"), "apply", "-f", file)
	if got.code != exitOK || !strings.HasSuffix(got.out, "integration crm is in force\nintegration chat is in force\nmapping timelines is in force\nmapping all is in force\n") {
		t.Errorf("answered yes: %+v", got)
	}
	if out := d.do("integrations"); !strings.Contains(out, "incomplete: secrets.webhook_url") || strings.Count(out, "incomplete") != 1 {
		t.Errorf("integrations:\n%s", out)
	}

	// The same again is nothing but the secrets, which cannot be compared.
	for id, a := range d.plan(file) {
		if a.Action != actionUnchanged || len(a.Changes) != 0 || (id == "integration crm") == a.idle() {
			t.Errorf("again: %s: %+v", id, a)
		}
	}
	changed := d.season(strings.NewReplacer("crm.example.com", "new.example.com", "10s", "20s", "payload.guests > 100", "payload.guests > 200",
		`seats: 1, notes: '"yes"'`, "seats: 2, at: occurredAt", "    secrets: {signing: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}\n", "").Replace(applySeason))
	plan := d.plan(changed)
	if a := plan["integration crm"]; a.Action != actionChange || strings.Join(a.Changes, "\n") !=
		`limits.timeout: "10s" -> "20s"`+"\n"+`settings.url: "https://crm.example.com/hooks" -> "https://new.example.com/hooks"` {
		t.Errorf("%+v", a)
	}
	if a := plan["mapping timelines"]; a.Action != actionChange || len(a.Changes) != 4 || !strings.Contains(strings.Join(a.Changes, "\n"), `fields.notes: "\"yes\"" is taken out`) ||
		!strings.Contains(strings.Join(a.Changes, "\n"), `fields.at: "occurredAt" is new`) {
		t.Errorf("%q", a.Changes)
	}
	var told struct {
		Plan    []planned
		Applied bool
	}
	if d.read(&told, "apply", "--yes", "-f", changed); !told.Applied || len(told.Plan) != 4 {
		t.Errorf("%+v", told)
	}
	if out := d.do("apply", "-f", changed); !strings.Contains(out, "0 to create, 0 to change, 0 to delete, 4 unchanged\n") || strings.Contains(out, "[y/N]") {
		t.Errorf("nothing to do:\n%s", out)
	}
}

func TestApplyDeletesWithPruneOnly(t *testing.T) {
	t.Parallel()
	d := newBench(t)
	d.do("apply", "-y", "-f", d.season(applySeason))
	d.do("integrations", "pause", "crm", "--reason=holiday")
	less := d.season("integrations: [{id: crm, vendor: studiocloud, name: '42', owner: {supplierId: 42}, settings: {url: 'https://crm.example.com/hooks'}, limits: {perSecond: 2.5, timeout: 10s}}]")
	if plan := d.plan(less); len(plan) != 1 || plan["integration crm"].Action != actionUnchanged {
		t.Errorf("without --prune: %+v", plan)
	}
	plan := d.plan(less, "--prune")
	for _, id := range []string{"integration chat", "mapping timelines", "mapping all"} {
		if plan[id].Action != actionDelete {
			t.Errorf("with --prune, %s: %+v", id, plan[id])
		}
	}
	got := d.answering(strings.NewReader("yes\n"), "apply", "--prune", "-f", less)
	if got.code != exitOK || !strings.HasSuffix(got.out, "mapping all is deleted\nmapping timelines is deleted\nintegration chat is deleted\n") {
		t.Errorf("%+v", got)
	}
	var left []event.Integration
	if d.read(&left, "integrations"); len(left) != 1 || left[0].Paused == nil {
		t.Errorf("left is %+v: a pause stays", left)
	}
	var mappings []event.Mapping
	if d.read(&mappings, "mappings"); len(mappings) != 0 {
		t.Errorf("left are %+v", mappings)
	}
}

func TestApplyStopsWhereTheNodeRefuses(t *testing.T) {
	t.Parallel()
	d := newBench(t)
	got := d.run("apply", "-y", "-f", d.season("integrations: [{id: ok, vendor: slack}, {id: bad, vendor: nobody}, {id: last, vendor: slack}]"))
	if got.code != exitFailed || !strings.Contains(got.out, "integration ok is in force\n") || strings.Contains(got.out, "last is in force") ||
		!strings.Contains(got.errors, "integration bad: ") || !strings.Contains(got.errors, "what is below is not") {
		t.Errorf("%+v", got)
	}
	got = d.run("apply", "-y", "-f", d.season("integrations: [{id: ok, vendor: slack, secrets: {nonsense: x}}]"))
	if got.code != exitFailed || !strings.Contains(got.errors, "integration ok: secrets: ") {
		t.Errorf("%+v", got)
	}
	got = d.run("apply", "-y", "-f", d.season("mappings: [{id: m, pattern: 'a:{b}', targets: [{integration: x}], when: vars.c == 1}]"))
	if got.code != exitUsage || !strings.Contains(got.errors, `when: line 1, column 6, at "c": unknown field c`) {
		t.Errorf("a wrong expression: %+v", got)
	}
}

// FuzzSeason reads whatever a file may hold: what is taken can be compared with what a node has.
func FuzzSeason(f *testing.F) {
	for _, text := range []string{applySeason, "mappings: [{id: a, pattern: b, targets: [{integration: c}], fields: {d: ~}}]", "integrations: 1", "a: &a [*a]", "{"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := readSeason([]byte(text))
		if err != nil {
			return
		}
		have := stored{map[string]listedIntegration{}, map[string]listedMapping{}}
		for _, in := range s.Integrations {
			have.integrations[in.ID] = listedIntegration{Integration: in.Integration}
		}
		for _, m := range s.Mappings {
			have.mappings[m.ID] = listedMapping{Mapping: m}
		}
		plan, err := s.plan(have, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range plan {
			if a.Action != actionUnchanged {
				t.Fatalf("compared with itself: %+v", a)
			}
		}
	})
}

// TestExportIsWhatApplyReads: what one node exports brings another to the same.
func TestExportIsWhatApplyReads(t *testing.T) {
	t.Parallel()
	d := newBench(t)
	if out := d.do("export"); strings.Contains(out, "- ") {
		t.Errorf("of nothing:\n%s", out)
	}
	d.do("apply", "-y", "-f", d.season(applySeason))
	d.do("integrations", "pause", "crm")
	out := d.do("export")
	for _, want := range []string{
		"# secrets: {signing: ..., webhook: ...}\n", "name: \"42\"\n", "supplierId: \"42\"\n", "when: |\n", "when: \"true\"\n", "timeout: 10s\n", "notes: '\"yes\"'\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("without %q:\n%s", want, out)
		}
	}
	for _, not := range []string{"whsec", "paused", "category: photography-crm\n    settings", "v: 0", "revision"} {
		if strings.Contains(out, not) {
			t.Errorf("with %q:\n%s", not, out)
		}
	}
	file := filepath.Join(t.TempDir(), "out.yaml")
	if said := d.do("export", "-f", file); said != "2 integrations and 2 mappings are in "+file+", without their secrets\n" {
		t.Errorf("said %s", said)
	}
	if plan := d.plan(file, "--prune"); len(plan) != 4 {
		t.Errorf("%+v", plan)
	} else {
		for id, a := range plan {
			if !a.idle() {
				t.Errorf("on the node itself: %s: %+v", id, a)
			}
		}
	}
	other := newBench(t)
	other.do("apply", "-y", "-f", file)
	if again := other.do("export"); again != out {
		t.Errorf("exported again:\n%s\nfirst:\n%s", again, out)
	}
	var asJSON season
	d.read(&asJSON, "export")
	if len(asJSON.Integrations) != 2 || asJSON.Mappings[1].When != "payload.guests > 100 and\nvars.supplierId == \"42\"\n" {
		t.Errorf("as JSON: %+v", asJSON)
	}
}

func TestMappingsAreManagedByCommand(t *testing.T) {
	t.Parallel()
	d := newBench(t)
	d.do("apply", "-y", "-f", d.season(applySeason))
	if out := d.do("mappings", "put", "large", "--pattern=supplier:dashboard:{supplierId}", "--type=timeline.updated", "--category=photography-crm",
		"--when", "payload.guests > 100", "--field", "notes=let a = 1; a == 1 ? \"x\" : \"y\"", "--field", "seats=2"); out != "mapping large is in force\n" {
		t.Errorf("put: %s", out)
	}
	var m event.Mapping
	d.read(&m, "mappings", "show", "large")
	if m.When != "payload.guests > 100" || m.Fields["notes"] != `let a = 1; a == 1 ? "x" : "y"` || m.Fields["seats"] != "2" || m.Targets[0].Category != event.PhotographyCRM {
		t.Errorf("stored %+v", m)
	}
	d.do("mappings", "put", "large", "--when=", "--field=seats=", "--integration=crm")
	m = event.Mapping{}
	if d.read(&m, "mappings", "show", "large"); m.When != "" || len(m.Fields) != 1 || m.Pattern == "" || m.Types[0] != "timeline.updated" || len(m.Targets) != 1 || m.Targets[0].Integration != "crm" {
		t.Errorf("changed to %+v", m)
	}
	if out := d.do("mappings"); !strings.Contains(out, "large") || !strings.Contains(out, "payload.guests > 100") {
		t.Errorf("list:\n%s", out)
	}
	if got := d.run("mappings", "put", "large", "--when=payload >"); got.code != exitFailed || !strings.Contains(got.errors, `at ">"`) || !strings.Contains(got.errors, "mapping_invalid") {
		t.Errorf("a wrong one: %+v", got)
	}
	if out := d.do("mappings", "delete", "large", "--json"); out != `{"id":"large"}`+"\n" {
		t.Errorf("delete: %s", out)
	}
	if got := d.run("mappings", "show", "large"); got.code != exitFailed || !strings.Contains(got.errors, "mapping_unknown") {
		t.Errorf("a deleted one: %+v", got)
	}
}

func TestPreviewsByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	out := d.do("integrations", "preview", "sim-studiocloud", "supplier:dashboard:42", "timeline.updated", timeline)
	for _, want := range []string{"sent by mapping sim-dashboards\n", "\nPOST http://127.0.0.1:", "\nWebhook-Signature: [secret]\n", "\n  \"client_id\": \"c1\",\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("without %q:\n%s", want, out)
		}
	}
	out = d.do("integrations", "preview", "sim-email", "supplier:dashboard:42", "timeline.updated", timeline)
	if !strings.Contains(out, "\nmail through 127.0.0.1:") || !strings.Contains(out, "\nSubject: Timeline updated") || !strings.Contains(out, "\nBEGIN:VCALENDAR\n") {
		t.Errorf("mail:\n%s", out)
	}
	if out := d.do("integrations", "preview", "sim-slack", "nowhere:1", "timeline.updated"); !strings.HasPrefix(out, "not sent: no mapping leads") || strings.Count(out, "\n") != 1 {
		t.Errorf("nowhere: %s", out)
	}
	if out := d.do("integrations", "preview", "sim-slack", "supplier:dashboard:1", "a.b", "--source=webhook:sim-slack"); !strings.Contains(out, "(own_event), mapping sim-dashboards\n") {
		t.Errorf("echo: %s", out)
	}

	var receipt struct{ Seq json.Number }
	d.read(&receipt, "publish", "supplier:dashboard:42", "timeline.updated", timeline)
	var p struct {
		Sends   bool
		Request struct{ Body string }
	}
	d.read(&p, "integrations", "preview", "sim-studiocloud", "supplier:dashboard:42", "--seq", receipt.Seq.String())
	if !p.Sends || !strings.Contains(p.Request.Body, `"client_id":"c1"`) {
		t.Errorf("of a stored event: %+v", p)
	}

	d.do("integrations", "pause", "sim-slack")
	if out := d.do("integrations", "preview", "sim-slack", "supplier:dashboard:42", "timeline.updated", timeline); !strings.Contains(out, "it would wait") || !strings.Contains(out, "Bearer") && !strings.Contains(out, "[secret]") {
		t.Errorf("paused: %s", out)
	}

	if out := d.do("mappings", "preview", "sim-dashboards"); !strings.Contains(out, fmt.Sprintf("1 events looked at; %d deliveries stay as they are\nnothing would change\n", len(outside(t)))) {
		t.Errorf("without a change: %s", out)
	}
	out = d.do("mappings", "preview", "sim-dashboards", "--field", `notes="changed"`)
	if !strings.Contains(out, "sim-studiocloud") || !strings.Contains(out, `"value":"changed"`) {
		t.Errorf("other notes:\n%s", out)
	}
	out = d.do("mappings", "preview", "sim-dashboards", "--when=false", "--last=10")
	if !strings.Contains(out, "sent by sim-dashboards -> none") {
		t.Errorf("none any more:\n%s", out)
	}
	if out := d.do("mappings", "preview", "sim-dashboards", "--field=notes=payload.notes.deep"); !strings.Contains(out, "dead") || !strings.Contains(out, "fields.notes: line 1") {
		t.Errorf("dead:\n%s", out)
	}
	file := d.season("mappings: [{id: sim-dashboards, pattern: 'supplier:dashboard:*', targets: [{integration: sim-slack}]}]")
	if out := d.do("mappings", "preview", "sim-dashboards", "-f", file); !strings.Contains(out, "sim-email") || strings.Contains(out, "sim-slack ") {
		t.Errorf("from a file:\n%s", out)
	}
	if got := d.run("mappings", "preview", "other", "-f", file); got.code != exitUsage || !strings.Contains(got.errors, "has no mapping other") {
		t.Errorf("not in the file: %+v", got)
	}
	var c struct{ Events int }
	if d.read(&c, "mappings", "preview", "new", "--pattern=supplier:**", "--integration=sim-slack"); c.Events != 1 {
		t.Errorf("a new one: %+v", c)
	}
}
