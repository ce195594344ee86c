package main

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

// TestNotificationsDocument applies the file of docs/notifications.md, runs the page's commands and finds the
// rules again in what the node shows and exports.
func TestNotificationsDocument(t *testing.T) {
	t.Parallel()
	doc := readDocument(t, "notifications.md")
	d := newBench(t)
	file := d.season(doc.blocks["yaml"][0])
	ran := 0
	for line := range strings.Lines(doc.blocks["sh"][0]) {
		args := shellWords(strings.ReplaceAll(strings.TrimSpace(line), "notifications.yaml", file))
		if out := d.do(args[1:]...); args[0] != "wedsync" || out == "" {
			t.Errorf("%s printed nothing", line)
		}
		ran++
	}
	if ran != 3 {
		t.Errorf("%d commands were found", ran)
	}
	var m event.Mapping
	d.read(&m, "mappings", "show", "couples")
	wa, mail := m.Targets[0], m.Targets[1]
	if len(wa.Recipients) != 2 || wa.QuietHours.From != "22:00" || wa.Critical[0] != "wedding.cancelled" || len(wa.Types) != 3 || mail.Digest == nil || len(mail.Critical) != 2 {
		t.Errorf("the node has %+v", m)
	}
	if out := d.do("mappings"); !strings.Contains(out, "agency-whatsapp (2 recipients, quiet hours) email-service (2 recipients, digest) agency-slack") {
		t.Errorf("listed as\n%s", out)
	}
	if again := d.plan(d.season(d.do("export")), "--prune")["mapping couples"]; again.Action != actionUnchanged {
		t.Errorf("exported and applied again: %+v", again)
	}
	bare := d.season(strings.ReplaceAll(doc.blocks["yaml"][0], `"+33687654321"`, "+33687654321"))
	if got := d.answering(strings.NewReader(""), "apply", "--yes", "-f", bare); got.code == exitOK || !strings.Contains(got.errors, `recipients[1]: 33687654321 is no text; write it in quotes`) {
		t.Errorf("a number without quotes: %+v", got)
	}
}
